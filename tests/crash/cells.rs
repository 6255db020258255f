//! The cells.
use crate::{bench::Bench, point::*, story::Story, view::View};

#[tokio::test(flavor = "multi_thread")]
async fn record() {
    let at = std::time::Instant::now();
    let mut bench = Bench::start(&[], None).await;
    println!("{:?}", at.elapsed());
    Story::ClaimLink.play(&mut bench).await;
    println!("{:?}", at.elapsed());
    bench.stop().await;
    let view = View::of(&bench.app).await;
    println!("{view:#?}");
    for c in bench.app.psa.sim.faults().calls() { println!("{}", of_call("psa", c.op, c.body_json.as_ref())); }
    for c in bench.app.entra.sim.faults().calls() { println!("{}", of_call("entra", c.op, c.body_json.as_ref())); }
    println!("{:#?}", bench.app.psa.tenant.audit(1));
    println!("{:?}", at.elapsed());
}
