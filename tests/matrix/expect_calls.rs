//! What is expected of each call to a vendor around which the service may die.

use crate::{expect::Run, kills::is_read, point::Side, view::View};

impl Run<'_> {
    pub(super) fn call(&self, name: &str) -> String {
        let Some((_, step, effects)) =
            WRITES.iter().find(|(op, ..)| name == *op || name.starts_with(&format!("{op} (")))
        else {
            assert!(is_read(&self.point.name), "no expectation for {}", self.point);
            return if MEMBERS.contains(&name) { self.asked_after() } else { self.read() };
        };
        if !step.is_empty() {
            // The second time the role is there already, and its end is moved by another call.
            let is_there = name.ends_with(" adminAssign") && self.point.nth > 1;
            let is_refused = is_there || self.clean.audited("step.failed") > 0 && name.ends_with("/roleAssignments");
            self.effect_stands(step, usize::from(!self.is_before() && !is_refused));
            return match self.point.side {
                Side::Before => format!("{step} was not done; done once after the start"),
                Side::After => format!("{step} was done and nobody heard of it; found by looking, {}", again(step)),
            };
        }
        let kind = match name.split_once(" (") {
            Some((_, topic)) => format!("{effects}{}", topic.trim_end_matches(')')),
            None => (*effects).to_owned(),
        };
        let done = self.point.nth - usize::from(self.is_before());
        assert_eq!(self.death.effect(&kind), done, "{kind} at the death: {:?}", self.death.effects);
        match self.point.side {
            Side::Before => format!("{kind} was not done; done once after the start"),
            Side::After => format!("{kind} was done and nobody heard of it; found, not done again"),
        }
    }

    /// Members are read where somebody asks, and then twice a minute for as long as they have access: the last question
    /// may not be needed again.
    fn asked_after(&self) -> String {
        if self.is_before() {
            return self.read();
        }
        assert_eq!(self.end.audited("hold.set"), 0, "nobody is held because nobody heard the answer");
        "nothing was changed by asking; asked again while it mattered".to_owned()
    }

    fn read(&self) -> String {
        // A note that was posted is found by its marker in the list, which also tells whether the customer sees it.
        let name = LISTED.iter().find(|(one, _)| *one == self.point.name).map_or(&*self.point.name, |(_, list)| *list);
        let asked = |view: &View| view.calls.get(name).copied().unwrap_or_default();
        assert!(asked(self.end) > asked(self.death), "it is asked again");
        "nothing was changed by asking; asked again".to_owned()
    }
}

pub(super) fn again(step: &str) -> &'static str {
    match step {
        "create" => "adopted; its password is set once more, so that it is known",
        "set-password" | "scramble-password" | "cut-sessions" => "or done once more, which harms nothing",
        _ => "not done again",
    }
}

/// What each step changes outside.
pub(super) const STEPS: [(&str, &[&str]); 12] = [
    ("create", &["created"]),
    ("set-password", &["password"]),
    ("enable", &["enabled"]),
    ("give", &["role given", "member added", "role lengthened"]),
    ("disable", &["disabled"]),
    ("cut-sessions", &["sessions"]),
    ("take", &["role taken", "member removed"]),
    ("disown", &["owner removed"]),
    ("remove-method", &["method removed"]),
    ("scramble-password", &["password"]),
    ("delete", &["deleted"]),
    ("purge", &["purged"]),
];

pub(super) fn effects_of(step: &str) -> &'static [&'static str] {
    STEPS.iter().find(|(name, _)| *name == step).map(|(_, effects)| *effects).expect("every step is in the list")
}

/// Where members are asked after who have access.
const MEMBERS: [&str; 3] = ["GET /system/members", "POST /Resources/query", "GET /Agent"];

/// A note, and the list in which it is found.
const LISTED: [(&str, &str); 3] = [
    ("psa GET /service/tickets/{id}/notes/{noteId}", "psa GET /service/tickets/{id}/notes"),
    ("autotask GET /TicketNotes/{id}", "autotask POST /TicketNotes/query"),
    ("halopsa GET /Actions/{id}", "halopsa GET /Actions"),
];

/// Calls that change something: the step they take, or what they leave in the ticket.
const WRITES: [(&str, &str, &str); 26] = [
    ("POST /users", "create", ""),
    ("PATCH /users/{id} passwordProfile", "scramble-password", ""),
    ("PATCH /users/{id} accountEnabled=true", "enable", ""),
    ("PATCH /users/{id} accountEnabled=false", "disable", ""),
    ("POST /users/{id}/revokeSignInSessions", "cut-sessions", ""),
    ("POST /roleManagement/directory/roleAssignments", "give", ""),
    ("POST /roleManagement/directory/roleAssignmentScheduleRequests adminAssign", "give", ""),
    ("POST /roleManagement/directory/roleAssignmentScheduleRequests adminUpdate", "give", ""),
    ("POST /roleManagement/directory/roleAssignmentScheduleRequests adminRemove", "take", ""),
    ("POST /roleManagement/directory/roleEligibilityScheduleRequests", "take", ""),
    ("POST /groups/{id}/members/$ref", "give", ""),
    ("DELETE /roleManagement/directory/roleAssignments/{id}", "take", ""),
    ("DELETE /groups/{id}/members/{member}/$ref", "take", ""),
    ("DELETE /groups/{id}/owners/{owner}/$ref", "disown", ""),
    ("DELETE /users/{id}/authentication/{methods}/{method}", "remove-method", ""),
    ("DELETE /users/{id}", "delete", ""),
    ("DELETE /directory/deletedItems/{id}", "purge", ""),
    ("POST /service/tickets/{id}/notes", "", "note "),
    ("PATCH /service/tickets/{id}/notes/{noteId}", "", "note this access has ended"),
    ("PATCH /service/tickets/{id}", "", "status"),
    ("PUT /service/tickets/{id}/notes/{noteId}", "", "note this access has ended"),
    ("POST /Tickets/{id}/Notes", "", "note "),
    ("PATCH /Tickets/{id}/Notes", "", "note this access has ended"),
    ("PATCH /Tickets", "", "status"),
    ("POST /Actions", "", "note "),
    ("POST /Tickets", "", "status"),
];
