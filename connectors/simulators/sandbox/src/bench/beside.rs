//! The three PSAs beside each other: deliveries proven at the door, and the service's own share of a request.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use url::Url;

use super::{
    BenchOptions, arrive,
    engine::Engine,
    forged::storm,
    load::{count, percentile},
    place::Place,
    rest,
    table::{Figure, Table},
};
use crate::{
    child::Between,
    psas::{Psa, Sent},
    sandbox::Psas,
};

/// What none may cost more than, in times the cheapest.
const GOAL: f64 = 1.3;

/// In each round each has its turn: what else the machine does meets all of them.
const ROUNDS: usize = 4;

/// So many requests a PSA and round: HaloPSA is asked no more in five minutes than the connection's own limit lets it be, and
/// each request at any of the three costs some of that.
const A_TURN: usize = 8;

/// More than the span of that limit, and than the access that was given lasts.
const SPAN: Duration = Duration::from_secs(310);

pub(super) async fn measure(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::connected(engine, Psas::All).await?;
    proofs(&place, options.deliveries, table).await?;
    place.sandbox.service.kill().await?;
    place.start(Between::Counting).await?;
    // The PSAs' trails count whole seconds: nothing is asked in the second in which the mappings came into force.
    place.sandbox.service.advance(Duration::from_secs(2)).await?;
    let mut own = vec![Vec::new(); place.sandbox.psas().len()];
    let turn = options.clicks.div_ceil(ROUNDS).min(A_TURN);
    for _ in 0..ROUNDS {
        if turn * ROUNDS > A_TURN {
            within_limits(&place).await?;
        }
        for (psa, own) in place.sandbox.psas().into_iter().zip(&mut own) {
            own.extend(arrive::clicks(&place, psa, turn).await?.own);
        }
    }
    own.iter_mut().for_each(|of| of.sort());
    table.fact("requests at each of them", &own[0].len().to_string())?;
    let middle: Vec<f64> = own.iter().map(|of| percentile(of, 50).as_secs_f64() * 1000.0).collect();
    compare(&place, "own share of a request, p50", &middle, "ms", table)?;
    place.sandbox.service.kill().await
}

/// Until what was given has ended, and then until no call of that counts any more.
async fn within_limits(place: &Place) -> anyhow::Result<()> {
    for _ in 0..2 {
        place.sandbox.service.advance(SPAN).await?;
        rest::until_nothing_happens(place).await?;
    }
    Ok(())
}

/// Deliveries that are proven and not recorded: what else one costs is the same for all.
async fn proofs(place: &Place, many: usize, table: &mut Table) -> anyhow::Result<()> {
    place.start(Between::Forgetting).await?;
    let psas = place.sandbox.psas();
    let (mut costs, mut speeds) = (vec![0.0; psas.len()], vec![0.0; psas.len()]);
    for _ in 0..ROUNDS {
        for ((psa, cost), speed) in psas.iter().zip(&mut costs).zip(&mut speeds) {
            // One of the PSA's own first: the service may have to ask for a key.
            let like = a_delivery(*psa).await?;
            let (each, sent) = storm(place, vec![request(&like)?; many.div_ceil(ROUNDS)]).await?;
            *cost += each / count(ROUNDS);
            *speed += sent.only(202)?.per_second() / count(ROUNDS);
        }
    }
    for (psa, speed) in psas.iter().zip(&speeds) {
        table.fact(&format!("{}: deliveries proven", psa.names().product), &format!("{speed:.0}/s"))?;
    }
    compare(place, "a proven delivery", &costs, "µs of CPU", table)
}

/// Each of them beside the cheapest.
fn compare(place: &Place, what: &str, figures: &[f64], unit: &str, table: &mut Table) -> anyhow::Result<()> {
    let cheapest = figures.iter().copied().fold(f64::INFINITY, f64::min);
    ensure!(cheapest > 0.0, "nothing was measured of {what}");
    for (psa, figure) in place.sandbox.psas().iter().zip(figures) {
        let name = format!("{}: {what}", psa.names().product);
        table.fact(&name, &format!("{figure:.1} {unit}"))?;
        table.at_most(&format!("{name}: of the cheapest"), Figure::new(figure / cheapest, "times", 2), GOAL)?;
    }
    Ok(())
}

/// A delivery of the PSA's own that the service has taken.
async fn a_delivery(psa: &dyn Psa) -> anyhow::Result<Sent> {
    let ticket = psa.open_for_acme("Something to talk about")?;
    // Not each tells of a ticket that is only opened.
    psa.ask(ticket, 0)?;
    psa.settled().await;
    let answered = psa.answered(ticket).with_context(|| format!("{} sent nothing", psa.names().product))?;
    ensure!(answered.status == 202, "the service answered the PSA {}", answered.status);
    psa.last_sent().context("the PSA sent nothing")
}

fn request(like: &Sent) -> anyhow::Result<Vec<u8>> {
    let url = Url::parse(&like.url)?;
    let (name, value) = &like.header;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{name}: {value}\r\nContent-Length: {}\r\n\r\n",
        &url[url::Position::BeforePath..],
        url.host_str().context("a hook has a host")?,
        like.body.len()
    );
    Ok([head.as_bytes(), &like.body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::MovableClock, psas::Standing, sandbox::Plan, vendors::Vendors};

    #[tokio::test]
    async fn everybody_of_the_crowd_asks_at_each_psa() {
        let plan = Plan { crowd: 2, ..Plan::default() };
        let vendors = Vendors::start(&MovableClock::new(Duration::ZERO), &plan).await.unwrap();
        for psa in vendors.psas(Psas::All) {
            for n in 0..3 {
                let ticket = psa.open_for_acme("A mailbox has vanished").unwrap();
                psa.ask(ticket, n).unwrap();
                // At Autotask it is the field that asks.
                let asks = psa.standing(ticket) == Some(Standing::Requested);
                let field = vendors.autotask.sim.ticket(ticket).is_some_and(|t| t["userDefinedFields"].is_array());
                assert!(asks || field, "{}", psa.names().product);
            }
            assert!(psa.last_sent().is_none(), "nobody has registered a webhook");
        }
    }

    #[test]
    fn a_request_is_the_delivery_as_it_was_sent() {
        let like = Sent {
            url: "http://127.0.0.1:8080/hooks/halo/secret?x=1".to_owned(),
            body: b"{\"id\":1}".to_vec(),
            header: ("Authorization", "Basic eDp5".to_owned()),
        };
        let request = String::from_utf8(request(&like).unwrap()).unwrap();
        assert!(request.starts_with("POST /hooks/halo/secret?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "{request}");
        assert!(request.contains("\r\nAuthorization: Basic eDp5\r\nContent-Length: 8\r\n\r\n"), "{request}");
        assert!(request.ends_with("{\"id\":1}"), "{request}");
    }
}
