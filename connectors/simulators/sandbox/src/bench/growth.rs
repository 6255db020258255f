//! The same measurements with ever more stored grants: what grows, and what does not.

use latchkey_contract::Clock as _;
use latchkey_simulators::fault::{Act, Fault};

use super::{
    BenchOptions,
    fill::Sample,
    intake,
    load::{self, Proof, ms},
    place::Place,
    rest, restart,
    table::Table,
};
use crate::child::Between;

/// Tenfold each time, as far as was asked for.
const STORED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

const CONNECTIONS: usize = 64;

/// How long the PSA sits on every question while the door is measured.
const SITS_ON_IT: u64 = 30_000;

pub(super) async fn measure(options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(options.engine).await?;
    let like = intake::a_delivery(&place).await?;
    let sample = Sample::make(&place).await?;
    let (mut stored, mut sent) = (0, 1);
    for many in STORED.into_iter().filter(|many| *many <= options.grants) {
        place.sandbox.service.stop().await?;
        let opened = place.open().await?;
        sample.wait(opened.store().as_ref(), place.sandbox.clock.now(), stored, many - stored).await?;
        opened.close().await;
        stored = many;
        let removal = restart::first_removal(&place, &sample).await?;
        place.sandbox.service.kill().await?;
        let start = restart::started(&place).await?;
        let memory = rest::idle_memory(&place).await?;
        place.sandbox.service.kill().await?;
        place.start(Between::Nothing).await?;
        intake::a_delivery(&place).await?;
        let faults = place.sandbox.vendors.psa.sim.faults();
        faults.add(Fault::always(Act::Delay(SITS_ON_IT)));
        let requests = load::make(&place.sandbox.vendors.psa, &like, sent, options.deliveries, Proof::Signed)?;
        sent += options.deliveries;
        let door = load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?.only(202)?;
        faults.clear();
        place.sandbox.service.kill().await?;
        let figure = format!(
            "start {}, first removal {}, {memory:.1} MiB, intake {:.0}/s",
            ms(start),
            ms(removal),
            door.per_second()
        );
        table
            .fact(&format!("{many} stored grants"), &format!("{figure}, {} MiB stored", place.stored() / 1_048_576))?;
    }
    Ok(())
}
