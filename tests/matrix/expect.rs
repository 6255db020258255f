//! What is expected of each place at which the service may die: of the moment right after, and of the end.
//!
//! There is no default: a place without an expectation of its own fails its cell.

use crate::{
    expect_calls::{STEPS, again, effects_of},
    expect_end::MAILS,
    point::{Point, Side},
    view::View,
};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) point: &'a Point,
    /// Before the story began.
    pub(crate) beginning: &'a View,
    /// Right after the death.
    pub(crate) death: &'a View,
    pub(crate) end: &'a View,
    /// The end of the same story without a death.
    pub(crate) clean: &'a View,
}

/// Asserts it; answers it as a sentence.
pub(crate) fn check(run: &Run<'_>) -> String {
    let (place, name) = run.point.name.split_once(' ').expect("a place has two parts");
    let sentence = match place {
        "commit" => run.commit(name),
        _ => run.call(name),
    };
    run.end_is_as_without_a_death();
    sentence
}

impl Run<'_> {
    pub(super) fn is_before(&self) -> bool {
        self.point.side == Side::Before
    }

    fn commit(&self, name: &str) -> String {
        let (kind, about) = name.split_once('/').unwrap_or((name, ""));
        match kind {
            "record-delivery" => self.record_delivery(),
            "claim" => self.claimed(about),
            "finish" => self.finished(about),
            "seen" if about.is_empty() => self.worked_off("look"),
            "seen" => self.seen(),
            "polled" => self.worked_off("poll"),
            "decided" if about == "held" => self.decided_to_wait(),
            "decided" if about == "active" => self.decided_beside(),
            "decided" => self.decided(),
            "approved" => self.approved(about),
            "mailed" => self.mailed(),
            "trouble" => self.troubled(),
            "refused" => self.refused(),
            "step-intent" => self.step_intent(about),
            "step-outcome" => self.step_outcome(about),
            "reached" if about.is_empty() => self.looked(),
            "looked" => self.looked(),
            "reached" => self.moved("granting", about),
            "impossible" => self.moved("granting", about),
            "delivered" => self.delivered(),
            "told" => self.told(about),
            "warned" => self.warned(),
            "due" | "end-asked" => self.moved("active", about),
            "off-seen" => self.off_seen(),
            "off-proven" => self.moved("ending", about),
            "handing-over" => self.handing_over(),
            "audit-head" => self.audit_head(),
            "revealed" => self.revealed(),
            "use-step" | "open-session" => self.signing_in(),
            "command" => self.command(),
            "touch" => self.touched(),
            "resolved" => self.resolved(),
            "save-rules" => self.operated("rules.saved"),
            "set-hold" => self.operated("hold.set"),
            "lift-hold" => self.operated("hold.lifted"),
            "invite" => self.operated("person.invited"),
            "enroll" => self.operated("person.enrolled"),
            "choose" => self.chosen(),
            "uninvite" => self.uninvited(),
            "rewrap" => self.rewrapped(),
            "retire-key" => self.retired(),
            "count-failure" => self.counted(),
            "close-session" => self.signed_out(),
            "session" => self.session(),
            "renew" => self.renewed(),
            "sweep" => self.swept(),
            "heartbeat" => self.beaten(),
            "heartbeat-in-doubt" => self.beaten_in_doubt(),
            "raise-generation" => self.raised(),
            "compare-first" => self.compared_first(),
            "compared-so-far" => self.compared_so_far(),
            "end-comparing" => self.comparing_ended(),
            "audit-prune" => self.pruned(),
            _ => panic!("no expectation is written for {}", self.point),
        }
    }

    fn record_delivery(&self) -> String {
        let recorded = self.death.deliveries.0;
        if self.is_before() {
            assert_eq!(recorded, self.point.nth - 1, "nothing is recorded");
            "the PSA heard no 202 and nothing was recorded; the person asked again".to_owned()
        } else {
            assert_eq!(recorded, self.point.nth, "it is recorded");
            assert!(self.death.deliveries.1 > 0, "and waits to be worked off");
            "recorded, though the PSA heard no 202; worked off once".to_owned()
        }
    }

    fn claimed(&self, kind: &str) -> String {
        assert!(self.death.has_task(kind, "leased"), "the dead process holds the lease");
        assert!(!self.end.has_task(kind, "leased"), "the lease ran out");
        format!("the lease on {kind} ran out and the work was done by the next process")
    }

    fn finished(&self, kind: &str) -> String {
        assert_eq!(self.death.has_task(kind, "leased"), self.is_before(), "{:?}", self.death.tasks);
        format!("{kind} was found to have nothing to do, again where that was not written down")
    }

    /// A commit that settles its own task.
    fn worked_off(&self, kind: &str) -> String {
        assert_eq!(self.death.has_task(kind, "leased"), self.is_before(), "{:?}", self.death.tasks);
        format!("{kind} was done once more where that was not written down, which changes nothing")
    }

    fn seen(&self) -> String {
        let open = self.death.deliveries.1;
        assert_eq!(open > 0, self.is_before(), "open deliveries: {open}");
        assert_eq!(self.death.grants.len(), self.death.audited("request.granted"), "seeing decides nothing");
        "the ticket was read again where that was not written down; nothing was decided twice".to_owned()
    }

    fn decided(&self) -> String {
        let before = self.point.nth - 1;
        let effects = |view: &View| view.effect("created") + view.effect("enabled");
        if self.is_before() {
            assert_eq!((self.death.grants.len(), self.death.deliveries.1), (before, 1), "no grant, an open delivery");
            assert_eq!(effects(self.death), 0, "nothing was done outside");
            "nothing was decided and nothing done; decided once after the start".to_owned()
        } else {
            assert_eq!((self.death.grants.len(), self.death.deliveries.1), (before + 1, 0), "a grant");
            assert_eq!(self.death.grant(), "granting", "decided before anything was done outside");
            assert!(self.death.has_task("converge", "pending") || self.death.has_task("converge", "leased"));
            assert!(self.death.has_task("due", "pending"));
            assert_eq!(effects(self.death), 0, "nothing was done outside");
            "decided, with its end and its work in the same commit; nothing done outside yet".to_owned()
        }
    }

    fn decided_to_wait(&self) -> String {
        let grants = self.clean.grants.len() - usize::from(self.is_before());
        assert_eq!((self.death.grants.len(), self.death.deliveries.1), (grants, usize::from(self.is_before())));
        assert_eq!(self.death.grant() == "held", !self.is_before());
        "waits for two people, or was not decided yet; nothing was done outside".to_owned()
    }

    /// Where access of the same person stands already.
    fn decided_beside(&self) -> String {
        let grants = self.clean.grants.len() - usize::from(self.is_before());
        assert_eq!((self.death.grants.len(), self.death.deliveries.1), (grants, usize::from(self.is_before())));
        assert_eq!(self.death.effect("role lengthened"), 0, "nothing was done outside");
        "decided once, with its end in the same commit; what stood already went on".to_owned()
    }

    fn approved(&self, to: &str) -> String {
        let approvals = self.death.audited("grant.held") - 1;
        assert_eq!(self.end.audited("grant.held"), self.clean.audited("grant.held"), "each approval counts once");
        if to == "held" {
            assert_eq!((self.death.grant(), approvals), ("held", usize::from(!self.is_before())));
            return "one approval is no approval, counted or not".to_owned();
        }
        self.moved("held", to)
    }

    fn mailed(&self) -> String {
        assert_eq!(self.mails(self.death), self.point.nth, "the mail server has it: {:?}", self.death.effects);
        if self.is_before() {
            "sent, and not written down: sent once more under the same id, and marked as a repeat".to_owned()
        } else {
            "sent and written down; not sent again".to_owned()
        }
    }

    pub(super) fn mails(&self, view: &View) -> usize {
        MAILS.iter().map(|kind| view.effect(kind)).sum()
    }

    fn troubled(&self) -> String {
        let (pending, leased) = (self.death.has_task("recheck", "pending"), self.death.has_task("recheck", "leased"));
        if self.point.nth == 1 {
            assert_eq!((pending, leased), (!self.is_before(), false), "asked again in five minutes");
        } else {
            assert_eq!((pending, leased), (false, self.is_before()), "it is over");
        }
        "told of with the very commit, once; over when the vendor takes us again".to_owned()
    }

    fn refused(&self) -> String {
        assert_eq!(self.death.audited("request.refused") == 1, !self.is_before());
        assert_eq!(self.death.notices.len(), usize::from(!self.is_before()), "the note is owed with the decision");
        assert_eq!(self.end.audited("request.refused"), 1, "refused once");
        "refused once, told once".to_owned()
    }

    fn step_intent(&self, step: &str) -> String {
        let intents = self.death.audited("step.intent");
        let outcomes = self.death.trace.iter().filter(|l| l.contains("after commit step-outcome/")).count();
        assert_eq!(intents, outcomes + usize::from(!self.is_before()), "intents and outcomes");
        self.effect_stands(step, 0);
        if self.is_before() {
            format!("{step} was neither intended nor sent; done once after the start")
        } else {
            format!("{step} was intended and not sent; done once after the start")
        }
    }

    fn step_outcome(&self, step: &str) -> String {
        if self.is_before() {
            let is_refused = self.clean.audited("step.failed") > 0 && step == "give" && self.point.nth == 1;
            self.effect_stands(step, usize::from(!is_refused));
            format!("{step} took effect and that was not written down; found by looking, {}", again(step))
        } else {
            self.effect_stands(step, 0);
            format!("{step} took effect and was written down; not done again")
        }
    }

    /// What steps of this kind have done outside: as often as outcomes were written down, and `more`.
    pub(super) fn effect_stands(&self, step: &str, more: usize) {
        let kinds = effects_of(step);
        let same = STEPS.iter().filter(|(_, effects)| *effects == kinds);
        let refused = self.death.audited("step.failed");
        let outcomes: usize = same.map(|(s, _)| self.death.commits(&format!("commit step-outcome/{s}"))).sum();
        let outcomes = if step == "give" { outcomes - refused } else { outcomes };
        let effects: usize = kinds.iter().map(|kind| self.death.effect(kind)).sum();
        assert_eq!(effects, outcomes + more, "effects of {step} at the death: {:?}", self.death.effects);
    }

    /// A commit that moves the grant on.
    fn moved(&self, from: &str, to: &str) -> String {
        let stands = if self.is_before() { from } else { to };
        assert_eq!(self.death.grant(), stands);
        format!("the grant stood at {stands} and went on from there")
    }

    fn delivered(&self) -> String {
        assert_eq!(self.death.effect("note access granted"), 1, "the note stands in the ticket");
        self.moved("delivering", "active");
        "the note stood, and was not posted again; the time of access began once".to_owned()
    }

    fn handing_over(&self) -> String {
        assert_eq!(self.death.audited("secret.handing-over"), usize::from(!self.is_before()));
        assert_eq!(self.death.effect("note access granted"), 0, "recorded before it is written");
        assert_eq!(self.end.effect("note this access has ended"), 1, "written once, overwritten at the end");
        "recorded or not, no credentials stood in the ticket; recorded and written after the start".to_owned()
    }

    fn audit_head(&self) -> String {
        assert_eq!(self.death.audited("audit.head"), self.point.nth - usize::from(self.is_before()));
        assert_eq!(self.end.audited("audit.head"), self.clean.audited("audit.head"), "once a day");
        "the head of the day left the house once".to_owned()
    }

    fn told(&self, about: &str) -> String {
        let (telling, state) = about.rsplit_once('-').expect("a telling and a state");
        let note = match telling {
            "received" => "note request received",
            "granted" => "note access granted",
            "ended" => "note access has ended",
            "failed" => "note access could not be given",
            "endssoon" => "note access ends soon",
            "refused" => "note access was not granted",
            "held" | "waiting" => "note request is waiting",
            "tidy" => "note this access has ended",
            _ => panic!("no expectation is written for {}", self.point),
        };
        // A note with a link holds no secret and stays as it is.
        let stands = if telling == "tidy" && self.clean.effect(note) == 0 { 0 } else { self.point.nth };
        assert_eq!(self.death.effect(note), stands, "it stands in the ticket: {:?}", self.death.effects);
        let written = self.death.notices.iter().filter(|(t, s)| t == telling && s == state).count();
        assert_eq!(written, self.point.nth - usize::from(self.is_before()), "{:?}", self.death.notices);
        "it stood in the ticket; found by its marker, not written again".to_owned()
    }

    fn looked(&self) -> String {
        assert!(self.death.has_task("converge", if self.is_before() { "leased" } else { "pending" }));
        "looking again changed nothing".to_owned()
    }

    fn warned(&self) -> String {
        assert_eq!(self.death.grant(), "active", "it goes on until its end");
        let owed = self.death.notices.iter().filter(|(telling, _)| telling == "endssoon").count();
        assert_eq!(owed, self.point.nth - usize::from(self.is_before()), "{:?}", self.death.notices);
        assert_eq!(self.death.has_task("warn", "leased"), self.is_before(), "{:?}", self.death.tasks);
        "the warning was owed with the commit, and given once".to_owned()
    }

    fn off_seen(&self) -> String {
        assert_eq!(self.death.grant(), "ending", "one look is no proof");
        assert_eq!(self.death.effect("note access has ended"), self.clean.grants.len() - 1, "nothing is claimed yet");
        "one look is no proof; two looks after the start are".to_owned()
    }

    fn revealed(&self) -> String {
        let before = self.point.nth - 1;
        let recorded = self.death.audited("secret.revealed");
        assert_eq!(recorded, before + usize::from(!self.is_before()));
        let more = usize::from(!self.is_before());
        assert_eq!(self.end.audited("secret.revealed"), self.clean.audited("secret.revealed") + more);
        if self.is_before() {
            "not recorded and not shown; shown and recorded at the second try".to_owned()
        } else {
            "recorded, though the page was lost; each showing is recorded".to_owned()
        }
    }

    fn signing_in(&self) -> String {
        assert_eq!(self.death.audited("secret.revealed"), 0, "nothing was shown");
        "the person signed in again with a fresh code, and was shown the credentials".to_owned()
    }

    fn command(&self) -> String {
        let is_old = self.death.client_secret == self.beginning.client_secret;
        assert_eq!(is_old, self.is_before(), "the old secret or the new one");
        let recorded = self.death.audited("secret.set") - self.beginning.audited("secret.set");
        assert_eq!(recorded, usize::from(!self.is_before()), "recorded with it");
        "the old secret or the new one, never none; the service works with it".to_owned()
    }

    fn touched(&self) -> String {
        assert_ne!(self.death.client_secret, self.beginning.client_secret, "the new secret is there already");
        "the new secret is in force from the next start at the latest".to_owned()
    }

    fn resolved(&self) -> String {
        if self.is_before() {
            assert!(self.death.has_task("alert", "leased"), "{:?}", self.death.tasks);
        }
        let work = self.death.tasks.iter().filter(|(kind, _)| kind == "alert").count();
        assert_eq!(work, self.death.alerts, "what happened goes with its work, and neither is left without the other");
        assert_eq!(self.end.alerts, self.clean.alerts, "in the end it is known of everything");
        "who is told was found out again where that was not written down".to_owned()
    }
}
