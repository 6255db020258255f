//! `POST /hooks/{connection}/{path secret}`: what a PSA sends. Prove, record, say 202.
//!
//! The path secret comes first and costs nothing; it is no proof, but it keeps strangers away from everything that
//! follows. It is never logged: no line, span or metric here is given the path. Then the headers: where they show no
//! proof, or credentials that do not fit, the body is not read. Whatever is not proven gets one and the same answer; the
//! log says why.

use std::{error::Error, net::IpAddr, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use latchkey_contract::{ConnectionId, Delivery, Knock, Rejected, Verified, ticket::TicketEvent};
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
            .default_service(web::to(async |payload: web::Payload| body::left(Problem::Method.answer(), payload))),
    );
}

async fn receive(request: HttpRequest, mut payload: web::Payload, web: web::Data<Web>) -> HttpResponse {
    let started = web.clock.monotonic();
    let taken = take(&request, &mut payload, &web).await;
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
        Err(problem) => body::left(problem.answer(), payload),
    }
}

async fn take(request: &HttpRequest, payload: &mut web::Payload, web: &Web) -> Result<Recorded, Problem> {
    let (address, now) = (web.proxies.source(request), web.clock.monotonic());
    let path = request.match_info();
    let connection = ConnectionId::parse(path.query("connection")).ok();
    let fits = |live: &InForce| live.registry.hook_fits(connection.as_ref(), path.query("secret"), web.clock.now());
    let mut knows_path = fits(&web.live.known());
    // The path may be new. A stranger who keeps failing no longer costs a look at the database.
    if !knows_path && !web.unproven.is_spent(&Source::stranger(address), now) {
        let live = web.live.current().await;
        knows_path = fits(&live);
    }
    let Some(connection) = connection.clone().filter(|_| knows_path) else {
        return Err(unknown(web, &Source::stranger(address), now));
    };
    let caller = Caller { web, address, now, connection };
    if caller.is_spent(Shown::Proof) {
        return Err(Problem::TooMany(Unproven::wait()));
    }
    let headers = headers(request);
    let knock = Knock { headers: &headers, at: web.clock.now() };
    let most = caller.admitted(knock).await.map_err(|why| caller.refuse(&why))?;
    let body = body::read(request, payload, most).await?;
    let delivery = Delivery { headers, body, received_at: web.clock.now(), connection: caller.connection.clone() };
    // Proven by the rules as they are now, the path's secret among them.
    let live = web.live.current().await;
    if !fits(&live) {
        web.unproven.fail(&caller.source(Shown::Path), now);
        rejected(web, None, "unknown-path", &"the connection no longer has this path");
        return Err(Problem::Unproven);
    }
    let mut event = prove(&live, &delivery).await.map_err(|why| caller.refuse(&why))?.into_inner();
    let also = std::mem::take(&mut event.also);
    // Others that the same message tells of: each is a delivery of its own, told apart by its ticket.
    for ticket in also {
        let message = format!("{}/{ticket}", event.message_id);
        record(web, &delivery, TicketEvent::ring(message, ticket)).await?;
    }
    record(web, &delivery, event).await
}

fn unknown(web: &Web, stranger: &Source, now: Duration) -> Problem {
    let is_spent = web.unproven.is_spent(stranger, now);
    web.unproven.fail(stranger, now);
    if !is_spent {
        rejected(web, None, "unknown-path", &"no connection has this path");
    }
    Problem::Unproven
}

async fn prove(live: &InForce, delivery: &Delivery) -> Result<Verified<TicketEvent>, Refused> {
    Ok(live.registry.ticket_system(&delivery.connection)?.verify(delivery).await?)
}

/// When a delivery without a verdict may come again.
const LATER: Duration = Duration::from_secs(30);

/// Somebody who knows a connection's path, with one request.
struct Caller<'w> {
    web: &'w Web,
    address: IpAddr,
    now: Duration,
    connection: ConnectionId,
}

impl Caller<'_> {
    fn source(&self, shown: Shown) -> Source {
        Source::caller(self.address, &self.connection, shown)
    }

    fn is_spent(&self, shown: Shown) -> bool {
        self.web.unproven.is_spent(&self.source(shown), self.now)
    }

    /// How much of the body is read. While the connection cannot be used nobody knows how large its PSA's may be: it is
    /// put off unread, since "too large" is the last word to most senders.
    async fn admitted(&self, knock: Knock<'_>) -> Result<usize, Refused> {
        let admit = |live: &InForce| -> Result<usize, Refused> {
            Ok(live.registry.ticket_system(&self.connection)?.admit(knock)?)
        };
        let known = self.web.live.known();
        let refused = match admit(&known) {
            Err(refused) if !refused.shown().is_some_and(|shown| self.is_spent(shown)) => refused,
            // Who keeps failing costs no look at the database.
            verdict => return verdict,
        };
        // The rules may have been changed since, or the connection mended.
        let live = self.web.live.current().await;
        if Arc::ptr_eq(&known, &live) { Err(refused) } else { admit(&live) }
    }

    /// Says why, and counts it where something was shown that does not do.
    fn refuse(&self, why: &Refused) -> Problem {
        let connection = &self.connection;
        match why {
            Refused::Connector(error @ NoConnector::Broken { .. }) => {
                tracing::error!(%connection, %error, "delivery put off: the connection cannot be used");
            }
            _ => rejected(self.web, Some(connection), why.reason(), &Chain(why)),
        }
        let Some(shown) = why.shown() else { return Problem::Busy(LATER) };
        let is_spent = self.is_spent(shown);
        self.web.unproven.fail(&self.source(shown), self.now);
        if is_spent { Problem::TooMany(Unproven::wait()) } else { Problem::Unproven }
    }
}

/// Why a delivery is not let in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Connector(#[from] NoConnector),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Refused {
    /// What it was that does not do; `None` where there is no verdict now.
    const fn shown(&self) -> Option<Shown> {
        match self {
            Self::Connector(NoConnector::Broken { .. }) => None,
            Self::Rejected(why) if why.is_for_later() => None,
            // Whoever proves themselves and speaks of something else guesses at no proof.
            Self::Connector(NoConnector::Unknown(_))
            | Self::Rejected(Rejected::NoSignature | Rejected::ForeignBody(_)) => Some(Shown::Path),
            Self::Rejected(_) => Some(Shown::Proof),
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Connector(_) => "no-ticket-system",
            Self::Rejected(Rejected::NoSignature) => "no-signature",
            Self::Rejected(Rejected::BadSignature) => "bad-signature",
            Self::Rejected(Rejected::ForeignKey(_)) => "foreign-key",
            Self::Rejected(Rejected::ForeignBody(_)) => "foreign-body",
            Self::Rejected(Rejected::OverBudget) => "over-budget",
            Self::Rejected(Rejected::KeyUnreachable(_)) => "key-unreachable",
        }
    }
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
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}
