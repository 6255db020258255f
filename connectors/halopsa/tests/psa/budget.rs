//! The budget of five minutes: removals go first.

use latchkey_contract::{
    TicketSystem,
    outside::Urgency,
    ticket::{NoteKey, NoteText},
};
use latchkey_simulators::fault::{Act, Fault};

use crate::world::World;

#[tokio::test]
async fn taking_a_secret_out_goes_on_when_the_budget_is_spent() {
    let w = World::start().await;
    let halo = w.with(|s| s.calls = 60);
    let (n, id) = w.ticket();
    let key = NoteKey("k".into());
    let posted = halo.post(&id, &NoteText::plain("secret-canary"), &key).await.unwrap();
    let mut spent = None;
    for _ in 0..60 {
        if let Err(error) = halo.read(&id, Urgency::Ordinary).await {
            spent = Some(error);
            break;
        }
    }
    let spent = spent.expect("the budget ends");
    assert!(spent.is_transient() && spent.retry_after().is_some_and(|wait| wait.as_secs() <= 300), "{spent}");
    assert!(w.sim.spent() <= 50, "a sixth is kept");
    assert!(halo.post(&id, &NoteText::plain("y"), &NoteKey("k2".into())).await.is_err());
    let found = halo.find(&id, &key).await.unwrap();
    assert_eq!(found, posted.notes);
    assert!(halo.overwrite(&found[0], "Removed.", &key).await.unwrap());
    assert!(!w.sim.notes(n)[0].to_string().contains("canary"));
    halo.take_back(&found[0]).await.unwrap();
    w.advance(310);
    assert!(halo.read(&id, Urgency::Ordinary).await.is_ok());
}

/// F175: throttled, everything waits as long as the vendor asks for, but what takes a secret out.
#[tokio::test]
async fn throttling_by_the_vendor_holds_back_everything_but_removals() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let posted = w.halo.post(&id, &NoteText::plain("x"), &NoteKey("k".into())).await.unwrap();
    // One that has asked nothing yet: what it must know first goes first, too.
    let halo = w.restarted();
    w.sim.faults().add(Fault::on("GET /Tickets/{id}", Act::throttled(120)).once());
    assert!(halo.read(&id, Urgency::Ordinary).await.is_err());
    let calls = w.sim.faults().calls().len();
    let held = halo.read(&id, Urgency::Ordinary).await.unwrap_err();
    assert!(held.retry_after().is_some_and(|wait| wait.as_secs() <= 120));
    assert_eq!(w.sim.faults().calls().len(), calls, "not even asked");
    assert_eq!(halo.find(&id, &NoteKey("k".into())).await.unwrap(), posted.notes);
    assert!(halo.overwrite(&posted.notes[0], "Removed.", &NoteKey("k".into())).await.unwrap());
    assert!(halo.read(&id, Urgency::Removal).await.unwrap().is_some(), "a look whether access must end");
    halo.take_back(&posted.notes[0]).await.unwrap();
    assert!(w.sim.notes(n).is_empty());
    w.advance(121);
    assert!(halo.read(&id, Urgency::Ordinary).await.is_ok());
}

#[tokio::test]
async fn a_refusal_without_a_wait_and_a_gateway_that_gives_up_are_tried_later() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    w.sim.behave(|b| (b.budget, b.says_retry_after) = (1, false));
    assert!(w.halo.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient());
    w.sim.behave(|b| b.budget = 700);
    w.advance(3);
    let gateway = Act::Answer { status: 504, retry_after: None, body: serde_json::Value::Null };
    w.sim.faults().add(Fault::on("GET /Tickets/{id}", gateway).once());
    assert!(w.halo.read(&id, Urgency::Ordinary).await.unwrap_err().is_transient());
    assert!(w.halo.read(&id, Urgency::Ordinary).await.is_ok());
}
