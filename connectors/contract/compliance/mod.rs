//! What the contract promises, held against a connector and its simulator: the same run for every PSA.
//!
//! A connector's tests bring a [`Psa`] and call [`complies!`]; each promise is then a test of theirs. Only what is the same
//! everywhere is here: how a vendor differs is in its own tests.

use latchkey_contract::{
    BoardId, CallError, Delivery, Secret, StatusId, TicketId, TicketSystem, Timestamp,
    outside::Urgency,
    ticket::{Actor, NoteAt, NoteKey, NoteText, Part, StatusSet},
};
use latchkey_simulators::fault::{Act, Fault, Faults};

const SECRET: &str = "hunter2-canary";

/// A connector with its simulator, and somebody at work there.
#[async_trait::async_trait]
pub(crate) trait Psa: Send + Sync {
    fn system(&self) -> &dyn TicketSystem;
    fn faults(&self) -> &Faults;
    /// The call behind [`TicketSystem::read`].
    fn read_op(&self) -> &'static str;
    fn advance(&self, seconds: i64);
    fn now(&self) -> Timestamp;

    fn board(&self) -> BoardId;
    fn requested(&self) -> StatusId;
    /// Login name of whoever asks.
    fn asker(&self) -> &'static str;

    /// A new ticket on the board, open.
    fn ticket(&self) -> TicketId;
    /// The asker's click.
    fn asks(&self, ticket: &TicketId);
    /// Somebody else saves it, and changes nothing that asks.
    fn touches(&self, ticket: &TicketId);
    fn deletes(&self, ticket: &TicketId);
    /// The asker writes this in an internal note.
    fn says(&self, ticket: &TicketId, text: &str);
    /// The answer to the list of saves that holds a row without a time, and then the ticket as it was saved now.
    fn lists_an_undated_row_before(&self, ticket: &TicketId) -> Fault;
    /// All that is kept of the ticket's notes, in the vendor's own form.
    fn kept(&self, ticket: &TicketId) -> Vec<serde_json::Value>;
    /// By every flag that the vendor has for that.
    fn is_internal(&self, note: &serde_json::Value) -> bool;
    /// The answer to a look at one note that the customer can see.
    fn seen_by_customer(&self) -> Fault;

    /// The click's message, as it comes in.
    async fn message(&self) -> Delivery;
    /// The same with a proof that somebody else made.
    fn proven_by_another(&self, message: &Delivery) -> Delivery;
    /// The body is signed; else the message only rings.
    fn is_signed(&self) -> bool;
}

/// Makes a test of each promise; `$open` starts a PSA.
macro_rules! complies {
    ($open:path) => {
        run::complies! { $open:
            only_its_own_proof_lets_a_message_in,
            a_click_is_an_edge_of_one_person,
            a_note_is_internal_posted_once_found_and_overwritten,
            a_text_of_any_length_is_posted_in_parts_that_are_found_in_order,
            a_note_that_the_customer_can_see_is_told_and_can_be_taken_away,
            a_status_is_set_or_nothing_is,
            a_status_is_ours_where_the_record_says_so,
            saves_are_listed_oldest_first_and_in_pages,
            a_row_without_a_time_hides_no_other_save,
            errors_say_what_to_do_next,
            removals_go_first_when_the_budget_is_spent,
            a_deleted_ticket_is_gone_with_all_that_was_on_it,
        }
    };
    ($open:path: $($promise:ident,)+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                run::$promise(&$open().await).await;
            }
        )+
    };
}
pub(crate) use complies;

fn key(text: &str) -> NoteKey {
    NoteKey(text.to_owned())
}

fn secret() -> NoteText {
    NoteText(Secret::new(format!("Password: {SECRET}")))
}

fn with_body(message: &Delivery, body: Vec<u8>) -> Delivery {
    let Delivery { connection, headers, received_at, .. } = message;
    Delivery { connection: connection.clone(), headers: headers.clone(), body, received_at: *received_at }
}

/// How often the PSA was asked anything.
fn asked(psa: &impl Psa) -> usize {
    psa.faults().calls().len()
}

/// F8
pub(crate) async fn only_its_own_proof_lets_a_message_in(psa: &impl Psa) {
    let ticket = psa.ticket();
    psa.asks(&ticket);
    let message = psa.message().await;
    let proven = psa.system().verify(&message).await.unwrap().into_inner();
    assert_eq!(proven.ticket.as_ref(), Some(&ticket));
    let again = psa.system().verify(&message).await.unwrap().into_inner();
    assert_eq!(again.message_id, proven.message_id, "a replay is the same delivery");
    let unproven = Delivery { headers: vec![], ..with_body(&message, message.body.clone()) };
    assert!(psa.system().verify(&unproven).await.is_err(), "without proof");
    assert!(psa.system().admit(message.knock()).unwrap() >= message.body.len());
    assert!(psa.system().admit(unproven.knock()).unwrap_or(0) <= 16 * 1024, "without proof next to nothing is read");
    assert!(psa.system().verify(&psa.proven_by_another(&message)).await.is_err(), "by a wrong secret");
    if !psa.is_signed() {
        assert!(proven.actor.is_none() && proven.status.is_none() && !proven.is_deletion, "it only rings");
        return;
    }
    let facts: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    let anew = serde_json::to_vec_pretty(&facts).unwrap();
    let longer = [message.body.as_slice(), b"\n"].concat();
    for (what, body) in [("re-serialised", anew), ("longer", longer), ("empty", vec![])] {
        assert!(psa.system().verify(&with_body(&message, body)).await.is_err(), "{what}");
    }
}

/// F1, F4
pub(crate) async fn a_click_is_an_edge_of_one_person(psa: &impl Psa) {
    let ticket = psa.ticket();
    psa.advance(60);
    psa.asks(&ticket);
    let change = async || {
        let read = psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().unwrap();
        assert_eq!(read.status, Some(psa.requested()));
        psa.system().change(&read, Part::Status, Urgency::Ordinary).await.unwrap().unwrap()
    };
    let first = change().await;
    assert_eq!((first.by.as_str(), first.actor, &first.later_by), (psa.asker(), Actor::Member, &None));
    let member = psa.system().member(&first.by).await.unwrap().unwrap();
    assert!(member.is_active && member.is_human);
    psa.advance(60);
    psa.touches(&ticket);
    let later = change().await;
    assert_eq!((&later.key, &later.by), (&first.key, &first.by), "it is the same click");
    assert!(later.later_by.is_some(), "and somebody else saved the ticket since");
}

/// I4, F106
pub(crate) async fn a_note_is_internal_posted_once_found_and_overwritten(psa: &impl Psa) {
    let (psas, ticket) = (psa.system(), psa.ticket());
    let posted = psas.post(&ticket, &secret(), &key("g1")).await.unwrap();
    assert!(!posted.is_visible_to_customer && !posted.was_there);
    assert!(psa.kept(&ticket).iter().all(|note| psa.is_internal(note)), "{:?}", psa.kept(&ticket));
    let again = psas.post(&ticket, &secret(), &key("g1")).await.unwrap();
    assert!(again.was_there && again.notes == posted.notes);
    assert_eq!(psas.find(&ticket, &key("g1")).await.unwrap(), posted.notes);
    assert!(psas.find(&ticket, &key("g2")).await.unwrap().is_empty());
    assert!(psas.overwrite(&posted.notes[0], "Removed.", &key("g1")).await.unwrap());
    assert!(psa.kept(&ticket).iter().all(|note| !note.to_string().contains(SECRET)), "{:?}", psa.kept(&ticket));
    assert_eq!(psas.find(&ticket, &key("g1")).await.unwrap(), posted.notes, "it keeps its marker");
}

pub(crate) async fn a_text_of_any_length_is_posted_in_parts_that_are_found_in_order(psa: &impl Psa) {
    let ticket = psa.ticket();
    let long: String = (0..4_000).map(|n| format!("line {n} of a long explanation\n")).collect();
    let posted = psa.system().post(&ticket, &NoteText::plain(&long), &key("g1")).await.unwrap();
    assert!(posted.notes.len() > 1 && posted.notes.len() == psa.kept(&ticket).len());
    let found = psa.system().find(&ticket, &key("g1")).await.unwrap();
    assert_eq!(found, posted.notes);
    assert!(found.iter().map(|at: &NoteAt| at.part).eq(0..found.len()));
    let all: String = psa.kept(&ticket).iter().map(ToString::to_string).collect();
    assert!(all.contains("line 0 of") && all.contains("line 3999 of"), "nothing is cut");
}

/// F107
pub(crate) async fn a_note_that_the_customer_can_see_is_told_and_can_be_taken_away(psa: &impl Psa) {
    let ticket = psa.ticket();
    psa.faults().add(psa.seen_by_customer().once());
    let posted = psa.system().post(&ticket, &secret(), &key("g1")).await.unwrap();
    assert!(posted.is_visible_to_customer);
    for _ in 0..2 {
        psa.system().take_back(&posted.notes[0]).await.unwrap();
        assert!(psa.kept(&ticket).iter().all(|note| psa.is_internal(note) && !note.to_string().contains(SECRET)));
    }
}

pub(crate) async fn a_status_is_set_or_nothing_is(psa: &impl Psa) {
    let (ticket, unknown) = (psa.ticket(), "777777".parse().unwrap());
    let before = psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().unwrap().status;
    assert!(!psa.system().set_status(&ticket, &unknown).await.unwrap().is_so());
    assert_eq!(psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().unwrap().status, before);
    for _ in 0..2 {
        assert!(psa.system().set_status(&ticket, &psa.requested()).await.unwrap().is_so());
    }
    let after = psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(after.status, Some(psa.requested()));
}

/// F11
pub(crate) async fn a_status_is_ours_where_the_record_says_so(psa: &impl Psa) {
    let (ours, theirs) = (psa.ticket(), psa.ticket());
    let is_ours = async |ticket: &TicketId| {
        let read = psa.system().read(ticket, Urgency::Ordinary).await.unwrap().unwrap();
        psa.system().is_status_ours(&read, Urgency::Removal).await.unwrap()
    };
    psa.advance(60);
    psa.asks(&theirs);
    let set = async |ticket: &TicketId| psa.system().set_status(ticket, &psa.requested()).await.unwrap();
    assert_eq!((set(&ours).await, set(&ours).await), (StatusSet::Changed, StatusSet::Stood));
    assert_eq!(set(&theirs).await, StatusSet::Stood);
    assert!(is_ours(&ours).await && !is_ours(&theirs).await);
    psa.advance(60);
    psa.touches(&ours);
    assert!(!is_ours(&ours).await, "somebody else saved it since");
}

/// F10
pub(crate) async fn saves_are_listed_oldest_first_and_in_pages(psa: &impl Psa) {
    let tickets = [psa.ticket(), psa.ticket(), psa.ticket()];
    psa.advance(60);
    let since = psa.now();
    for ticket in &tickets {
        psa.asks(ticket);
        psa.advance(60);
    }
    let list = async |since, boards: &[BoardId], limit| {
        let found = psa.system().changed_since(since, boards, limit).await.unwrap();
        (found.iter().map(|t| t.id.clone()).collect::<Vec<_>>(), found.last().map(|t| t.at))
    };
    let boards = [psa.board()];
    assert_eq!(list(since, &boards, 100).await.0, tickets);
    assert!(list(since, &[], 100).await.0.is_empty(), "of no board");
    let (first, at) = list(since, &boards, 1).await;
    assert_eq!(first, tickets[..1]);
    let next = Timestamp::from_millis(at.unwrap().millis() + 1_000);
    assert_eq!(list(next, &boards, 100).await.0, tickets[1..], "asking on finds the rest");
}

/// F10
pub(crate) async fn a_row_without_a_time_hides_no_other_save(psa: &impl Psa) {
    let (ticket, since) = (psa.ticket(), psa.now());
    psa.faults().add(psa.lists_an_undated_row_before(&ticket).once());
    let found = psa.system().changed_since(since, &[psa.board()], 100).await.unwrap();
    assert_eq!(found.iter().map(|saved| &saved.id).collect::<Vec<_>>(), [&ticket]);
}

pub(crate) async fn errors_say_what_to_do_next(psa: &impl Psa) {
    let ticket = psa.ticket();
    psa.system().read(&ticket, Urgency::Ordinary).await.unwrap();
    let told = async |act: Act| {
        psa.faults().add(Fault::on(psa.read_op(), act));
        let told = psa.system().read(&ticket, Urgency::Removal).await;
        psa.faults().clear();
        psa.advance(30);
        told.unwrap_err()
    };
    let answers = |status| Act::Answer { status, retry_after: None, body: serde_json::Value::Null };
    for act in [Act::ResetBefore, answers(502), answers(503)] {
        assert!(told(act.clone()).await.is_transient(), "{act:?}");
    }
    let page = Act::Answer { status: 404, retry_after: None, body: serde_json::json!("<html>not found") };
    let by_a_proxy = told(page).await;
    assert!(by_a_proxy.is_transient(), "a proxy's page is no word about a ticket: {by_a_proxy:?}");
    assert!(matches!(told(answers(401)).await, CallError::Unauthorized { .. }));
    for unreadable in [Act::Garbage, Act::Huge] {
        let error = told(unreadable.clone()).await;
        assert!(!matches!(error, CallError::Refused { .. }), "{unreadable:?}: {error:?}");
    }
    assert!(psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().is_some());
}

/// F11, F18, F31, F106
pub(crate) async fn removals_go_first_when_the_budget_is_spent(psa: &impl Psa) {
    let ticket = psa.ticket();
    psa.says(&ticket, "/jit end");
    let posted = psa.system().post(&ticket, &secret(), &key("g1")).await.unwrap();
    psa.faults().add(Fault::on(psa.read_op(), Act::throttled(120)).once());
    assert!(psa.system().read(&ticket, Urgency::Ordinary).await.unwrap_err().is_transient());
    let before = asked(psa);
    assert!(psa.system().read(&ticket, Urgency::Ordinary).await.unwrap_err().retry_after().is_some());
    assert!(psa.system().post(&ticket, &NoteText::plain("x"), &key("g2")).await.is_err());
    assert_eq!(asked(psa), before, "not even asked");
    assert_eq!(psa.system().find(&ticket, &key("g1")).await.unwrap(), posted.notes);
    assert!(psa.system().overwrite(&posted.notes[0], "Removed.", &key("g1")).await.unwrap());
    assert!(psa.system().read(&ticket, Urgency::Removal).await.unwrap().is_some(), "whether access must end");
    assert!(psa.kept(&ticket).iter().all(|note| !note.to_string().contains(SECRET)));
    let said = psa.system().commands(&ticket, Urgency::Removal).await.unwrap();
    assert_eq!(said.iter().map(|said| said.line.as_str()).collect::<Vec<_>>(), ["/jit end"]);
    let whose = psa.system().member_by_id(&said[0].by, Urgency::Removal).await.unwrap();
    assert_eq!(whose.map(|member| member.name).as_deref(), Some(psa.asker()));
    let left = psa.system().inactive_members(std::slice::from_ref(&said[0].by)).await.unwrap();
    assert!(left.is_empty(), "who has left loses what they have: {left:?}");
    assert!(psa.system().member_by_id(&said[0].by, Urgency::Ordinary).await.is_err(), "whoever only asks waits");
    psa.system().take_back(&posted.notes[0]).await.unwrap();
    assert!(psa.system().find(&ticket, &key("g1")).await.unwrap().is_empty());
    psa.advance(130);
    assert!(psa.system().read(&ticket, Urgency::Ordinary).await.unwrap().is_some());
}

/// F11
pub(crate) async fn a_deleted_ticket_is_gone_with_all_that_was_on_it(psa: &impl Psa) {
    let ticket = psa.ticket();
    let posted = psa.system().post(&ticket, &secret(), &key("g1")).await.unwrap();
    psa.deletes(&ticket);
    assert_eq!(psa.system().read(&ticket, Urgency::Removal).await.unwrap(), None);
    assert!(psa.system().find(&ticket, &key("g1")).await.unwrap().is_empty());
    assert!(!psa.system().overwrite(&posted.notes[0], "Removed.", &key("g1")).await.unwrap());
    psa.system().take_back(&posted.notes[0]).await.unwrap();
    assert!(!psa.system().set_status(&ticket, &psa.requested()).await.unwrap().is_so());
    let refused = psa.system().post(&ticket, &NoteText::plain("x"), &key("g2")).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }), "{refused:?}");
}
