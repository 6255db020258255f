//! Stories of a start on an older copy of the database, and of a call that lasts longer than a lease may.

use std::time::{Duration, Instant};

use latchkey_contract::Clock as _;
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::{
    bench::Bench,
    commands::Command,
    people::answered,
    story::{Fate, MINUTE, claim_link, used_and_ended},
};

/// By how much the clock is behind, in seconds: little enough that nobody takes it for set back once it is past the time that
/// was seen before.
pub(crate) const BEHIND_S: i64 = 20;

/// Long enough that a lease is renewed, and not so long that anything else falls due.
const SLOW: Duration = Duration::from_secs(21);

/// In real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// As often as one look at a directory is tried.
const TRIES: usize = 3;

/// The file beside the key says that there was a later generation, and the clock is below a time that was seen before.
pub(crate) async fn put_back(bench: &mut Bench) {
    bench.app.clock.pass(MINUTE);
    bench.operate(&Command::Prune).await;
    bench.app.open_store().await;
    bench.app.store().heartbeat(bench.app.clock.now()).await.unwrap();
    bench.app.close_store().await;
    std::fs::write(&bench.app.config().generation_file, "1000\n").unwrap();
    bench.app.clock.set_wall(-BEHIND_S);
    let body = json!({"error": {"code": "serviceUnavailable", "message": ""}});
    let down = Act::Answer { status: 503, retry_after: None, body };
    bench.app.entra.sim.faults().add(Fault::on("GET /users", down).times(TRIES));
}

/// It is compared until it was compared, and works from then on.
pub(crate) async fn restored(bench: &mut Bench) -> Fate {
    let begun = Instant::now();
    loop {
        // Nobody waits for who compares.
        tokio::time::sleep(Duration::from_secs(2)).await;
        // After a start that was broken off, the clock has to be past what was seen before it once more.
        bench.pass(MINUTE).await;
        if !bench.view().await.meta.contains_key("comparing") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it is compared for ever; {}", bench.log_tail());
    }
    bench.pass(MINUTE).await;
    claim_link(bench).await
}

/// The first look at the account is under way when time passes.
pub(crate) async fn slow(bench: &mut Bench) -> Fate {
    let ticket = bench.app.psa.ticket();
    bench.rest().await;
    let look = bench.app.entra.sim.faults().add(Fault::on("GET /users/{id}", Act::Delay(2000)).once());
    bench.app.psa.ask_as("jdoe", ticket);
    let begun = Instant::now();
    while look.count() == 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody looks at the account; {}", bench.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.shift(SLOW).await;
    let fate = answered(bench, ticket).await;
    if fate == Fate::Given {
        used_and_ended(bench, ticket).await;
    }
    fate
}
