//! A field that asks stands as it did when Latchkey sets its own status: whoever corrects it then asks for nothing.

use latchkey::rulebook::FieldTrigger;

use crate::harness::*;

fn refusals(desk: &dyn Desk, ticket: i64) -> usize {
    desk.notes(ticket).iter().filter(|note| note.text.starts_with("Latchkey: access was not granted.")).count()
}

/// Tickets ask by a field alone, with either of these texts; and the member who was nobody is Mark.
async fn asks_by_field(app: &TestApp, desk: &dyn Desk) -> [Way; 2] {
    let mapping = desk.mapping();
    let first = desk.other_ways().into_iter().find(|way| matches!(way, Way::Field(..))).unwrap();
    let ways = [first, desk.another_text()];
    let [Way::Field(field, text), Way::Field(_, other)] = ways else { panic!("no field asks") };
    app.change_rules(|rules| {
        let mapping = rules.rulebook.mappings.iter_mut().find(|m| m.id.as_str() == mapping).unwrap();
        mapping.trigger_statuses.clear();
        let values = vec![text.to_owned(), other.to_owned()];
        mapping.trigger_field = Some(FieldTrigger { field: field.to_string().parse().unwrap(), values });
        let (connection, member) = (desk.connection().parse().unwrap(), desk.unbound().to_string().parse().unwrap());
        rules.records.bind(&"mark".parse().unwrap(), &connection, &member);
    })
    .await;
    app.type_in(&["webhook", "sync", desk.connection()], "").await.unwrap();
    ways
}

/// F4, F12: after a grant and after a refusal alike. Emptied, as somebody saw, and set again it asks, for whoever set it.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_corrects_a_field_asks_for_nothing() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let [first, other] = asks_by_field(&app, desk).await;
        let (hers, strangers) = (desk.ticket(Whose::Acme), desk.ticket(Whose::Stranger));
        app.minutes(1).await;
        // By the poll alone: what Latchkey sets and what is corrected after it are seen in one look.
        desk.goes_wrong(Wrong::Lost);
        desk.click_by(&first, Who::Jane, hers);
        desk.click_by(&first, Who::Jane, strangers);
        for _ in 0..13 {
            if desk.stands(hers) != Standing::Active || desk.stands(strangers) != Standing::Refused {
                app.minutes(1).await;
            }
        }
        let heard = async || (app.grants_at(desk, hers).await.len(), refusals(desk, strangers));
        assert_eq!(heard().await, (1, 1), "{at}: {:?}", desk.notes(hers));
        assert_eq!((desk.stands(hers), desk.stands(strangers)), (Standing::Active, Standing::Refused), "{at}");
        desk.click_by(&other, Who::Unbound, hers);
        desk.click_by(&other, Who::Unbound, strangers);
        app.minutes(13).await;
        let told = (desk.notes(hers), desk.notes(strangers));
        assert_eq!(heard().await, (1, 1), "{at}: nobody asked: {told:?}");
        assert_eq!((told.0.len(), told.1.len()), (2, 1), "{at}: nobody is told anything: {told:?}");
        desk.is_honest();
        desk.clears(Who::Unbound, hers);
        desk.clears(Who::Unbound, strangers);
        app.minutes(1).await;
        desk.click_by(&first, Who::Unbound, hers);
        desk.click_by(&first, Who::Unbound, strangers);
        app.run().await;
        assert_eq!(heard().await, (2, 2), "{at}: {:?}", desk.notes(hers));
        let grants = app.grants_at(desk, hers).await;
        assert_eq!((grants[0].person.as_str(), grants[0].state.name()), ("mark", "active"), "{at}");
        app.minutes(62).await;
        let states = app.grants_at(desk, hers).await.iter().map(|grant| grant.state.name()).collect::<Vec<_>>();
        assert_eq!(states, ["ended", "ended"], "{at}");
    }
    app.end().await;
}
