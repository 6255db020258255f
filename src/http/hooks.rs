//! `POST /hooks/{connection}/{path secret}`: what a PSA sends. Prove, record, say 202.
//!
//! The path secret comes first and costs nothing; it is no proof, but it keeps strangers away from everything that
//! follows. It is never logged: no line, span or metric here is given the path. Whatever is not proven gets one and
//! the same answer; the log says why.

use std::{error::Error, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use latchkey_contract::{ConnectionId, Delivery, Rejected, Verified, ticket::TicketEvent};
use sha2::{Digest, Sha256};

use super::{
    Web, body,
    problem::Problem,
    unproven::{Shown, Source, Unproven},
};
use crate::{
    random,
    registry::{InForce, NoConnector},
    store::{NewDelivery, Recorded},
};

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/hooks/{connection}/{secret}")
            .route(web::post().to(receive))
            .default_service(web::to(async || Problem::Method.answer())),
    );
}

async fn receive(request: HttpRequest, payload: web::Payload, web: web::Data<Web>) -> HttpResponse {
    let started = web.clock.monotonic();
    let taken = take(&request, payload, &web).await;
    let outcome = match &taken {
        Ok(Recorded::New) => "recorded",
        Ok(Recorded::Repeat) => "repeat",
        Ok(Recorded::OtherBody) => Problem::OtherBody.code(),
        Err(problem) => problem.code(),
    };
    metrics::counter!("webhook_deliveries_total", "outcome" => outcome).increment(1);
    metrics::histogram!("webhook_seconds").record((web.clock.monotonic().saturating_sub(started)).as_secs_f64());
    match taken {
        Ok(Recorded::New | Recorded::Repeat) => HttpResponse::Accepted().finish(),
        Ok(Recorded::OtherBody) => Problem::OtherBody.answer(),
        Err(problem) => problem.answer(),
    }
}

async fn take(request: &HttpRequest, payload: web::Payload, web: &Web) -> Result<Recorded, Problem> {
    let (address, now) = (web.proxies.source(request), web.clock.monotonic());
    let path = request.match_info();
    let connection = ConnectionId::parse(path.query("connection")).ok();
    let fits = |live: &InForce| live.registry.hook_fits(connection.as_ref(), path.query("secret"), web.clock.now());
    let mut knows_path = fits(&web.live.known());
    // The path may be new. A stranger who keeps failing no longer costs a look at the database.
    let (stranger, caller) = (Source::new(address, Shown::Nothing), Source::new(address, Shown::Path));
    if !knows_path && !web.unproven.is_spent(stranger, now) {
        let live = web.live.current().await;
        knows_path = fits(&live);
    }
    let Some(connection) = connection.clone().filter(|_| knows_path) else {
        let is_spent = web.unproven.is_spent(stranger, now);
        web.unproven.fail(stranger, now);
        if !is_spent {
            rejected(web, None, "unknown-path", &"no connection has this path");
        }
        return Err(Problem::Unproven);
    };
    let prover = Source::new(address, Shown::Proof);
    if web.unproven.is_spent(prover, now) {
        return Err(Problem::TooMany(Unproven::wait()));
    }
    let largest = largest(web, &connection).await?;
    let body = body::read(request, payload, largest).await?;
    let delivery = Delivery { headers: headers(request), body, received_at: web.clock.now(), connection };
    // Proven by the rules as they are now, the path's secret among them.
    let live = web.live.current().await;
    if !fits(&live) {
        web.unproven.fail(caller, now);
        rejected(web, None, "unknown-path", &"the connection no longer has this path");
        return Err(Problem::Unproven);
    }
    let mut event = match prove(web, &live, &delivery).await {
        Ok(event) => event.into_inner(),
        Err(NotProven::Later) => return Err(Problem::Busy(LATER)),
        Err(NotProven::By(shown)) => {
            let source = if shown == Shown::Proof { prover } else { caller };
            let is_spent = web.unproven.is_spent(source, now);
            web.unproven.fail(source, now);
            return Err(if is_spent { Problem::TooMany(Unproven::wait()) } else { Problem::Unproven });
        }
    };
    let also = std::mem::take(&mut event.also);
    // Others that the same message tells of: each is a delivery of its own, told apart by its ticket.
    for ticket in also {
        let message = format!("{}/{ticket}", event.message_id);
        record(web, &delivery, TicketEvent::ring(message, ticket)).await?;
    }
    record(web, &delivery, event).await
}

/// The largest delivery that is read for a connection that is no PSA.
const LARGEST_FOR_NOBODY: usize = 256 * 1024;

/// When a delivery without a verdict may come again.
const LATER: Duration = Duration::from_secs(30);

/// How much of a delivery is read. While the connection cannot be used nobody knows how large its PSA's may be: it is put off
/// unread, since "too large" is the last word to most senders.
async fn largest(web: &Web, connection: &ConnectionId) -> Result<usize, Problem> {
    let system = match web.live.known().registry.ticket_system(connection) {
        // It may have been mended since.
        Err(NoConnector::Broken { .. }) => web.live.current().await.registry.ticket_system(connection),
        known => known,
    };
    match system {
        Ok(system) => Ok(system.largest_delivery()),
        Err(NoConnector::Unknown(_)) => Ok(LARGEST_FOR_NOBODY),
        Err(error @ NoConnector::Broken { .. }) => {
            put_off(connection, &error);
            Err(Problem::Busy(LATER))
        }
    }
}

fn put_off(connection: &ConnectionId, error: &NoConnector) {
    tracing::error!(%connection, %error, "delivery put off: the connection cannot be used");
}

/// Why a delivery is not let in.
enum NotProven {
    /// There is no verdict now.
    Later,
    /// What was shown does not do.
    By(Shown),
}

async fn prove(web: &Web, live: &InForce, delivery: &Delivery) -> Result<Verified<TicketEvent>, NotProven> {
    let system = match live.registry.ticket_system(&delivery.connection) {
        Ok(system) => system,
        Err(error @ NoConnector::Unknown(_)) => {
            rejected(web, Some(&delivery.connection), "no-ticket-system", &error);
            return Err(NotProven::By(Shown::Path));
        }
        Err(error @ NoConnector::Broken { .. }) => {
            put_off(&delivery.connection, &error);
            return Err(NotProven::Later);
        }
    };
    system.verify(delivery).await.map_err(|why| {
        rejected(web, Some(&delivery.connection), reason(&why), &Chain(&why));
        match why {
            _ if why.is_for_later() => NotProven::Later,
            // Whoever proves themselves and speaks of something else guesses at no proof.
            Rejected::NoSignature | Rejected::ForeignBody(_) => NotProven::By(Shown::Path),
            _ => NotProven::By(Shown::Proof),
        }
    })
}

async fn record(web: &Web, delivery: &Delivery, event: TicketEvent) -> Result<Recorded, Problem> {
    let new = NewDelivery {
        id: random::ulid(&random::SystemRandom, delivery.received_at),
        connection: delivery.connection.clone(),
        message_id: event.message_id.clone(),
        body_hash: hex(&Sha256::digest(&delivery.body)),
        received_at: delivery.received_at,
        event,
    };
    let (id, ticket) = (new.id.clone(), new.event.ticket.clone());
    let recorded = web.store.record_delivery(new).await?;
    let ticket = ticket.map(|t| format!("{}/{t}", delivery.connection));
    let connection = &delivery.connection;
    match recorded {
        Recorded::New => tracing::info!(%connection, delivery.id = id, ticket.ref = ticket, "delivery recorded"),
        Recorded::Repeat => {
            metrics::counter!("webhook_duplicates_total").increment(1);
            tracing::info!(%connection, ticket.ref = ticket, "delivery received again");
        }
        Recorded::OtherBody => tracing::error!(
            %connection, ticket.ref = ticket,
            "a proven delivery repeats a message id with another body: look at who else has the PSA's key"
        ),
    }
    Ok(recorded)
}

fn rejected(web: &Web, connection: Option<&ConnectionId>, reason: &'static str, why: &dyn std::fmt::Display) {
    metrics::counter!("webhook_rejected_total", "reason" => reason).increment(1);
    if let Some(left_out) = web.told.say(reason, web.clock.monotonic()) {
        let connection = connection.map(ConnectionId::as_str);
        tracing::warn!(connection, reason, left_out, %why, "delivery rejected");
    }
}

const fn reason(why: &Rejected) -> &'static str {
    match why {
        Rejected::NoSignature => "no-signature",
        Rejected::BadSignature => "bad-signature",
        Rejected::ForeignKey(_) => "foreign-key",
        Rejected::ForeignBody(_) => "foreign-body",
        Rejected::OverBudget => "over-budget",
        Rejected::KeyUnreachable(_) => "key-unreachable",
    }
}

/// An error with its causes, on one line.
struct Chain<'a>(&'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn headers(request: &HttpRequest) -> Vec<(String, Vec<u8>)> {
    request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
