//! A PSA's webhooks: compared with what the mappings want, about once an hour, and with every poll while they are in
//! trouble. They are mended by command; only what a PSA switched off by itself is switched on again.

use std::{collections::BTreeSet, time::Duration};

use latchkey_contract::{BoardId, ConnectionId, TicketSystem, ticket::Webhook};
use url::Url;

use super::{JobError, Jobs, watch::Found};
use crate::{
    jobs::queue::{LeaseHandle, Ran},
    store::{CommitName, Finish, Transition, TroubleKind},
};

/// So long after a lost delivery nothing more must be lost before the webhooks count as well.
const WATCHED_AFTER_LOSS: Duration = Duration::from_secs(3600);

impl Jobs {
    /// Compares what is there with what is wanted.
    pub(super) async fn webhooks(&self, connection: &ConnectionId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let world = self.live.current().await;
        let wanted = world.rules.rulebook.boards(connection);
        let mut transition = Transition::new(CommitName::Trouble, self.clock.now());
        let wrong = if wanted.is_empty() {
            None
        } else {
            let psa = world.registry.ticket_system(connection)?;
            let there = psa.webhooks().await?;
            let wrong = wrong(&there, &wanted, &target(&self.public_url, connection), psa.board_noun());
            match wrong {
                Some(what) => Some(self.revived(psa.as_ref(), connection, what).await),
                None => None,
            }
        };
        if let Some(what) = wrong {
            let remedy = format!("Run: latchkey webhook sync {connection}");
            let found = Found { connection, kind: TroubleKind::Webhooks, what, remedy, is_loss: false };
            self.in_trouble(&mut transition, found).await?;
        } else {
            let trouble = self.store.trouble(connection, TroubleKind::Webhooks).await?;
            let lost_at = trouble.and_then(|trouble| trouble.lost_at).filter(|_| !wanted.is_empty());
            if lost_at.is_none_or(|at| transition.now.since(at) >= WATCHED_AFTER_LOSS) {
                self.is_well(&mut transition, connection, TroubleKind::Webhooks).await?;
            }
        }
        if transition.watched.is_empty() {
            return Ok(Ran::Finish(Finish::Done));
        }
        transition.lease = Some((lease.lease(), Finish::Done));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    /// What the PSA switched off by itself is switched on at once; that it was is told all the same.
    async fn revived(&self, psa: &dyn TicketSystem, connection: &ConnectionId, what: String) -> String {
        // Ours are known by host and path; the path secret is not at hand, and not needed.
        let mut url = self.public_url.clone();
        url.set_path(&format!("/hooks/{connection}/-"));
        match psa.revive_webhooks(&url).await {
            Ok(0) => what,
            Ok(_) => format!("{what}; it is switched on again"),
            Err(error) => {
                tracing::warn!(%connection, %error, "a webhook that the PSA switched off could not be switched on");
                what
            }
        }
    }

    /// A request was found that no webhook told of.
    pub(super) async fn webhook_lost(
        &self,
        transition: &mut Transition,
        connection: &ConnectionId,
    ) -> Result<(), JobError> {
        let what = "a request was found by the poll alone: no webhook told of it".to_owned();
        let target = target(&self.public_url, connection);
        let remedy = format!("See whether the PSA reaches {target}, and what its own log of webhooks says.");
        let found = Found { connection, kind: TroubleKind::Webhooks, what, remedy, is_loss: true };
        self.in_trouble(transition, found).await
    }
}

/// Host and path of a connection's webhooks, as [`Webhook::target`] shows them.
fn target(public_url: &Url, connection: &ConnectionId) -> String {
    let host = public_url.host_str().unwrap_or_default();
    let host = public_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    format!("{host}/hooks/{connection}/")
}

/// The first thing that is wrong. `noun` is what the PSA calls a board.
fn wrong(there: &[Webhook], wanted: &BTreeSet<BoardId>, target: &str, noun: &str) -> Option<String> {
    let of = |board: &BoardId| there.iter().filter(|hook| hook.scope.covers(board)).collect::<Vec<_>>();
    let fault = |board: &BoardId| {
        let hooks = of(board);
        if hooks.is_empty() {
            return Some(format!("no webhook watches {noun} {board}"));
        }
        let here: Vec<_> = hooks.into_iter().filter(|hook| hook.target == target).collect();
        if here.is_empty() {
            return Some(format!("the webhook of {noun} {board} does not lead to {target}"));
        }
        let is_well = here.iter().any(|hook| hook.is_active);
        (!is_well).then(|| format!("the webhook of {noun} {board} was switched off at the PSA"))
    };
    wanted.iter().find_map(fault)
}

#[cfg(test)]
mod tests {
    use latchkey_contract::ticket::Scope;

    use super::*;

    fn hook(board: &str, target: &str, is_active: bool) -> Webhook {
        let scope = Scope::Board(board.parse().unwrap());
        Webhook { id: "1".into(), watches: String::new(), scope, target: target.into(), is_active }
    }

    #[test]
    fn one_webhook_for_everything_watches_every_queue() {
        let wanted: BTreeSet<BoardId> = ["63", "64"].map(|b| b.parse().unwrap()).into();
        let of = |is_active| Webhook { scope: Scope::Everything, ..hook("1", "here/", is_active) };
        assert_eq!(wrong(&[of(true)], &wanted, "here/", "queue"), None);
        let said = wrong(&[of(false)], &wanted, "here/", "queue").unwrap();
        assert_eq!(said, "the webhook of queue 63 was switched off at the PSA");
    }

    /// F9
    #[test]
    fn each_way_in_which_a_webhook_can_be_wrong_is_said() {
        let connection: ConnectionId = "cw".parse().unwrap();
        let wanted: BTreeSet<BoardId> = ["63", "64"].map(|b| b.parse().unwrap()).into();
        let ours = target(&"https://jit.example.com:8443".parse().unwrap(), &connection);
        assert_eq!(ours, "jit.example.com:8443/hooks/cw/");
        let judge = |hooks: &[Webhook]| wrong(hooks, &wanted, &ours, "board");
        let well = hook("63", &ours, true);
        assert_eq!(judge(&[well.clone(), hook("64", &ours, true), hook("65", "elsewhere/", false)]), None);
        assert_eq!(judge(&[well.clone(), hook("64", &ours, false), hook("64", &ours, true)]), None, "one is enough");
        for (other, says) in [
            (hook("65", &ours, true), "no webhook watches board 64"),
            (hook("64", "elsewhere/hooks/cw/", true), "does not lead to jit.example.com:8443/hooks/cw/"),
            (hook("64", &ours, false), "was switched off at the PSA"),
        ] {
            let said = judge(&[well.clone(), other]).unwrap();
            assert!(said.contains(says), "{said}");
        }
    }
}
