//! What stands in for the vendors, the jobs and the clock.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use latchkey_contract::{
    BoardId, CallError, Check, Delivery, Directory, EntitlementId, Knock, MemberId, Rejected, SenderProof, StatusId,
    TicketId, TicketSystem, Verified, directory as dir,
    outside::Urgency,
    ticket::{
        Catalogue, Change, Member, NoteAt, NoteKey, NoteText, Part, Posted, Said, StatusSet, Ticket, TicketChanged,
        TicketEvent, WantedChecks, WantedHooks, Webhook, WebhookChanges,
    },
};

use super::*;
use crate::{
    access::Length,
    registry::{Assemble, Connector, HookSecret},
    store::StoreError,
};

const KEY: &[u8] = b"the key of the stand-in";

/// A clock that is moved by hand.
#[derive(Debug)]
pub(in crate::http) struct Hands {
    started: i64,
    now: AtomicI64,
}

impl Hands {
    pub(in crate::http) fn at(now: Timestamp) -> Self {
        Self { started: now.millis(), now: AtomicI64::new(now.millis()) }
    }

    pub(in crate::http) fn pass(&self, span: Duration) {
        self.now.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now.load(Ordering::SeqCst) - self.started).unwrap())
    }
    async fn sleep_until(&self, _: Timestamp) {
        tokio::task::yield_now().await;
    }
}

/// Remembers who ended what.
#[derive(Debug, Default)]
pub(in crate::http) struct Ends(pub(in crate::http) Mutex<Vec<(GrantId, PersonId)>>);

#[async_trait]
impl Ending for Ends {
    async fn end(&self, grant: &GrantId, by: &PersonId) -> Result<(), EndError> {
        self.0.lock().unwrap().push((grant.clone(), by.clone()));
        Ok(())
    }
    async fn extend(&self, _: &GrantId, _: &PersonId, length: Length) -> Result<(), ExtendError> {
        Err(ExtendError::Refused(format!("{length} is <b>too</b> long")))
    }
}

/// Health that can be turned red.
#[derive(Debug, Default)]
pub(in crate::http) struct Ready {
    pub(in crate::http) is_red: AtomicBool,
    pub(in crate::http) is_lost: AtomicBool,
}

#[async_trait]
impl Health for Ready {
    async fn checks(&self) -> Vec<HealthCheck> {
        let worker = if self.is_red.load(Ordering::SeqCst) { Err("stopped at 12:00".to_owned()) } else { Ok(()) };
        let database = if self.is_lost.load(Ordering::SeqCst) { Err("it is gone".to_owned()) } else { Ok(()) };
        vec![HealthCheck { name: "database", result: database }, HealthCheck { name: "worker", result: worker }]
    }
}

/// One PSA `cw`, one `wide` that sends more at once, one directory, a PSA `broken` that cannot be used, and from revision 2 on a PSA `late`.
#[derive(Debug)]
pub(in crate::http) struct StandIns {
    pub(in crate::http) store: Arc<Sqlite>,
    /// What happens while a revision is being put into force, one of these each time: a hold falls, or a secret is set.
    pub(in crate::http) meanwhile: Mutex<VecDeque<Option<Hold>>>,
}

#[async_trait]
impl Assemble for StandIns {
    async fn assemble(&self, rules: &Rules) -> Result<Registry, StoreError> {
        let meanwhile = self.meanwhile.lock().unwrap().pop_front();
        match meanwhile {
            Some(Some(hold)) => drop(self.store.set_hold(&hold).await?),
            Some(None) => drop(self.store.touch(&[], "test", "test", Timestamp::from_millis(0)).await?),
            None => {}
        }
        let id = |text: &str| latchkey_contract::ConnectionId::parse(text).unwrap();
        let late = if rules.revision > 1 { "late" } else { "not-yet" };
        Ok(Registry::default()
            .with(id(late), Connector::TicketSystem(Arc::new(Psa { largest: LARGEST })))
            .with_hook(id(late), HookSecret::of(PATH_SECRET))
            .with(id("cw"), Connector::TicketSystem(Arc::new(Psa { largest: LARGEST })))
            .with(id("wide"), Connector::TicketSystem(Arc::new(Psa { largest: 8 * LARGEST })))
            .with_hook(id("wide"), HookSecret::of(PATH_SECRET))
            .with(id("entra-contoso"), Connector::Directory(Arc::new(Tenant)))
            .with_broken(id("broken"), "set broken/private-key".to_owned())
            .with_hook(id("cw"), HookSecret::of(PATH_SECRET))
            .with_hook(id("entra-contoso"), HookSecret::of(PATH_SECRET))
            .with_hook(id("broken"), HookSecret::of(PATH_SECRET)))
    }
}

/// Signs like the stand-in PSA.
pub(in crate::http) fn sign(body: &[u8]) -> String {
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(KEY).unwrap();
    mac.update(body);
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[derive(Debug)]
struct Psa {
    largest: usize,
}

/// Of the PSA `cw`.
pub(in crate::http) const LARGEST: usize = 256 * 1024;

#[async_trait]
impl TicketSystem for Psa {
    async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        let claimed = delivery.header("x-signature").ok_or(Rejected::NoSignature)?;
        if claimed == b"key site down" {
            return Err(Rejected::KeyUnreachable(CallError::transient("GET /keys/{id}", "timed out")));
        }
        if claimed == b"too often" {
            return Err(Rejected::OverBudget);
        }
        let claimed = BASE64_STANDARD.decode(claimed).map_err(|_| Rejected::NoSignature)?;
        let proof = SenderProof::hmac_sha256(KEY, &delivery.body, &claimed)?;
        let event = serde_json::from_slice(&delivery.body).map_err(|_| Rejected::ForeignBody("not an event"))?;
        Ok(Verified::new(event, proof))
    }

    fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected> {
        knock.header("x-signature").map(|_| self.largest).ok_or(Rejected::NoSignature)
    }

    async fn read(&self, _: &TicketId, _: Urgency) -> Result<Option<Ticket>, CallError> {
        unreachable!("the surface does not read tickets")
    }
    async fn change(&self, _: &Ticket, _: Part<'_>, _: Urgency) -> Result<Option<Change>, CallError> {
        unreachable!()
    }
    async fn member(&self, _: &str) -> Result<Option<Member>, CallError> {
        unreachable!()
    }
    async fn member_by_id(&self, _: &MemberId, _: Urgency) -> Result<Option<Member>, CallError> {
        unreachable!()
    }
    async fn inactive_members(&self, _: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        unreachable!()
    }
    async fn changed_since(&self, _: Timestamp, _: &[BoardId], _: usize) -> Result<Vec<TicketChanged>, CallError> {
        unreachable!()
    }
    async fn checks(&self, _: &WantedChecks) -> Vec<Check> {
        unreachable!()
    }
    async fn post(&self, _: &TicketId, _: &NoteText, _: &NoteKey) -> Result<Posted, CallError> {
        unreachable!()
    }
    async fn find(&self, _: &TicketId, _: &NoteKey) -> Result<Vec<NoteAt>, CallError> {
        unreachable!()
    }
    async fn overwrite(&self, _: &NoteAt, _: &str, _: &NoteKey) -> Result<bool, CallError> {
        unreachable!()
    }
    async fn take_back(&self, _: &NoteAt) -> Result<(), CallError> {
        unreachable!()
    }
    async fn commands(&self, _: &TicketId, _: Urgency) -> Result<Vec<Said>, CallError> {
        unreachable!()
    }
    async fn set_status(&self, _: &TicketId, _: &StatusId) -> Result<StatusSet, CallError> {
        unreachable!()
    }
    async fn is_status_ours(&self, _: &Ticket, _: Urgency) -> Result<bool, CallError> {
        unreachable!()
    }
    fn board_noun(&self) -> &'static str {
        "board"
    }
    async fn catalogue(&self) -> Result<Catalogue, CallError> {
        unreachable!()
    }
    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        unreachable!()
    }
    async fn sync_webhooks(&self, _: &WantedHooks) -> Result<WebhookChanges, CallError> {
        unreachable!()
    }
    async fn revive_webhooks(&self, _: &url::Url) -> Result<usize, CallError> {
        unreachable!()
    }
    async fn remove_webhooks(&self, _: &url::Url) -> Result<usize, CallError> {
        unreachable!()
    }
    fn link(&self, _: &TicketId) -> String {
        unreachable!()
    }
}

#[derive(Debug)]
struct Tenant;

#[async_trait]
impl Directory for Tenant {
    async fn observe(&self, _: &dir::AccountRef, _: Urgency) -> Result<dir::Observation, CallError> {
        unreachable!("the surface does not look at accounts")
    }
    fn next(&self, _: &dir::Target, _: &dir::Observation, _: &dir::Known, _: Timestamp) -> dir::Next {
        unreachable!()
    }
    async fn perform(
        &self,
        _: &dir::Step,
        _: &dir::AccountRef,
        _: Option<&Secret<String>>,
    ) -> Result<dir::Outcome, CallError> {
        unreachable!()
    }
    fn password(&self, _: &mut dyn FnMut(&mut [u8])) -> Secret<String> {
        unreachable!()
    }
    async fn catalogue(&self) -> Result<Vec<dir::Entitlement>, CallError> {
        unreachable!()
    }
    async fn missing(&self, _: &[EntitlementId]) -> Result<Vec<EntitlementId>, CallError> {
        unreachable!()
    }
    async fn preflight(&self, _: &dir::DirectoryWants) -> Vec<Check> {
        unreachable!()
    }
    fn warning(&self, _: &EntitlementId) -> Option<&'static str> {
        None
    }
    async fn protected(&self) -> Result<Vec<dir::ProtectedAccount>, CallError> {
        unreachable!()
    }
    async fn domains(&self) -> Result<Vec<dir::Domain>, CallError> {
        unreachable!()
    }
    async fn find_marked(&self) -> Result<Vec<dir::Marked>, CallError> {
        unreachable!()
    }
    fn call_timeout(&self) -> Duration {
        Duration::from_secs(10)
    }
    fn token_tail(&self) -> Duration {
        Duration::from_secs(90 * 60)
    }
}
