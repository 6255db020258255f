//! The doorbell. The vendor does not sign its webhooks: what proves a delivery is a credential that both sides know, beside
//! the path secret that was compared before. So a delivery says which ticket to look at, and nothing else is taken from it:
//! not the actor (`agent_id` is not proven to be one), not the status, not a deletion.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_contract::{
    ConnectionId, Delivery, Former, Knock, Rejected, Secret, SenderProof, TicketId, Timestamp, Verified,
    json::{self, Picked},
    ticket::TicketEvent,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

use crate::{
    moment,
    settings::{HookAuth, Settings, SetupError},
    wire,
};

/// A ticket in full has over 700 columns, and a batch holds several.
const LARGEST: usize = 2 * 1024 * 1024;
/// The most envelopes of one batch that are read.
const MAX_BATCH: usize = 1_000;
/// A delivery that is older than this was sent again by a person, or was long under way.
const OLD: Duration = Duration::from_secs(15 * 60);

const ENVELOPE: &[&str] =
    &["id", "webhook_id", "escmsg_id", "object_id", "timestamp", "ticket/id", "ticket_id", "TicketId"];

/// What is shown at the door, and what fits.
#[derive(Debug)]
pub(crate) struct Door {
    key: Key,
    /// What fitted before, and until when it still does.
    formers: Vec<(Key, Option<Timestamp>)>,
    webhook: Option<Uuid>,
}

#[derive(Debug, Clone)]
enum Key {
    Basic { user: String, password: Secret<String> },
    Bearer(Secret<String>),
    Header { name: String, value: Secret<String> },
    Hmac { name: String, key: Secret<String> },
}

impl Key {
    /// The same with another password.
    fn with(&self, password: Secret<String>) -> Self {
        match self {
            Self::Basic { user, .. } => Self::Basic { user: user.clone(), password },
            Self::Bearer(_) => Self::Bearer(password),
            Self::Header { name, .. } => Self::Header { name: name.clone(), value: password },
            Self::Hmac { name, .. } => Self::Hmac { name: name.clone(), key: password },
        }
    }

    /// What the headers show, judged as far as that goes without the body.
    fn shown(&self, knock: Knock<'_>) -> Result<Shown<'_>, Rejected> {
        let header = |name: &str| knock.header(name).map(<[u8]>::trim_ascii).ok_or(Rejected::NoSignature);
        match self {
            Self::Basic { user, password } => {
                let (offered, secret) = basic(header("authorization")?).ok_or(Rejected::NoSignature)?;
                SenderProof::shared(&[(user.as_bytes(), &offered), (password.expose().as_bytes(), &secret)])
                    .map(Shown::Proof)
            }
            Self::Bearer(secret) => {
                let offered = after_scheme(header("authorization")?, "bearer").ok_or(Rejected::NoSignature)?;
                SenderProof::shared(&[(secret.expose().as_bytes(), offered)]).map(Shown::Proof)
            }
            Self::Header { name, value } => {
                SenderProof::shared(&[(value.expose().as_bytes(), header(name)?)]).map(Shown::Proof)
            }
            Self::Hmac { name, key } => {
                let claimed = tag(header(name)?).ok_or(Rejected::NoSignature)?;
                Ok(Shown::Hash { claimed, key })
            }
        }
    }

    fn prove(&self, delivery: &Delivery) -> Result<SenderProof, Rejected> {
        match self.shown(delivery.knock())? {
            Shown::Proof(proof) => Ok(proof),
            Shown::Hash { claimed, key } => SenderProof::hmac_sha256(key.expose().as_bytes(), &delivery.body, &claimed),
        }
    }
}

/// What the headers show.
enum Shown<'k> {
    /// Credentials that fit.
    Proof(SenderProof),
    /// A keyed hash of the right shape; whether it fits takes the body.
    Hash { claimed: Vec<u8>, key: &'k Secret<String> },
}

impl Door {
    pub(crate) fn of(settings: &Settings, password: Secret<String>, id: &ConnectionId) -> Result<Self, SetupError> {
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if !(32..=200).contains(&password.expose().len()) || !is_plain(password.expose()) {
            return Err(SetupError::WeakHook(id.clone()));
        }
        if settings.hook_user.is_empty() || !is_plain(&settings.hook_user) || settings.hook_user.contains(':') {
            return Err(SetupError::BadHookUser(id.clone()));
        }
        let wants_header = matches!(settings.hook_auth, HookAuth::Header | HookAuth::Hmac);
        let name = settings.hook_header.as_deref().map(str::to_ascii_lowercase);
        let is_name = |name: &String| {
            let is_known = name.parse::<reqwest::header::HeaderName>().is_ok();
            is_known && name != "authorization"
        };
        let name = match name {
            Some(name) if wants_header && is_name(&name) => name,
            None if !wants_header => String::new(),
            _ => return Err(SetupError::BadHookHeader(id.clone())),
        };
        let webhook = settings.hook_id.as_deref().map(Uuid::try_parse).transpose();
        Ok(Self {
            key: match settings.hook_auth {
                HookAuth::Basic => Key::Basic { user: settings.hook_user.clone(), password },
                HookAuth::Bearer => Key::Bearer(password),
                HookAuth::Header => Key::Header { name, value: password },
                HookAuth::Hmac => Key::Hmac { name, key: password },
            },
            formers: Vec::new(),
            webhook: webhook.map_err(|_| SetupError::NotAGuid(id.clone(), "hook_id"))?,
        })
    }

    /// Lets in by a password before this one as well, in its time.
    pub(crate) fn believing(mut self, former: Former) -> Self {
        self.formers.push((self.key.with(former.value), former.until));
        self
    }

    /// User and password, where the vendor's own setting for them is used.
    pub(crate) fn basic(&self) -> Option<(&str, &Secret<String>)> {
        match &self.key {
            Key::Basic { user, password } => Some((user, password)),
            Key::Bearer(_) | Key::Header { .. } | Key::Hmac { .. } => None,
        }
    }

    /// Nothing is read of what shows the wrong credentials, or none.
    pub(crate) fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected> {
        self.by_any(knock.at, |key| key.shown(knock).map(|_| LARGEST))
    }

    pub(crate) fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        let proof = self.by_any(delivery.received_at, |key| key.prove(delivery))?;
        Ok(Verified::new(self.event(delivery)?, proof))
    }

    /// By what is shown at the door now, or by what fitted before, in its time.
    fn by_any<T>(&self, at: Timestamp, fits: impl Fn(&Key) -> Result<T, Rejected>) -> Result<T, Rejected> {
        let is_in_time = |until: Option<Timestamp>| until.is_none_or(|until| at < until);
        let mut formers = self.formers.iter().filter(|(_, until)| is_in_time(*until));
        fits(&self.key).or_else(|wrong| formers.find_map(|(key, _)| fits(key).ok()).ok_or(wrong))
    }

    fn event(&self, delivery: &Delivery) -> Result<TicketEvent, Rejected> {
        if delivery.body.len() > LARGEST {
            return Err(Rejected::ForeignBody("the body is larger than 2 MiB"));
        }
        let envelopes = json::pick_each(&delivery.body, ENVELOPE, MAX_BATCH).map_err(Rejected::ForeignBody)?;
        for envelope in &envelopes {
            if self.webhook.is_some_and(|own| guid(envelope, "webhook_id").is_some_and(|other| other != own)) {
                return Err(Rejected::ForeignBody("webhook_id is another webhook than hook_id"));
            }
            note_age(envelope, delivery.received_at);
        }
        let mut tickets: Vec<TicketId> = Vec::new();
        for ticket in envelopes.iter().filter_map(ticket) {
            if !tickets.contains(&ticket) {
                tickets.push(ticket);
            }
        }
        let message = message_id(&envelopes, &delivery.body);
        let mut tickets = tickets.into_iter();
        Ok(match tickets.next() {
            Some(first) => TicketEvent { also: tickets.collect(), ..TicketEvent::ring(message, first) },
            None => TicketEvent::of(message),
        })
    }
}

/// User and password; the password may hold colons.
fn basic(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let pair = STANDARD.decode(after_scheme(header, "basic")?).ok()?;
    let colon = pair.iter().position(|b| *b == b':')?;
    Some((pair[..colon].to_vec(), pair[colon + 1..].to_vec()))
}

fn after_scheme<'h>(header: &'h [u8], scheme: &str) -> Option<&'h [u8]> {
    let (found, rest) = header.split_at_checked(scheme.len())?;
    let is_scheme = found.eq_ignore_ascii_case(scheme.as_bytes()) && rest.first() == Some(&b' ');
    is_scheme.then(|| rest.trim_ascii())
}

/// A keyed hash as hexadecimal or base64, with or without `sha256=` before it.
fn tag(header: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(header).ok()?;
    let text = text.strip_prefix("sha256=").unwrap_or(text);
    let hex = |text: &str| -> Option<Vec<u8>> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
    };
    let bytes = if text.len() == 64 { hex(text) } else { STANDARD.decode(text).ok() };
    bytes.filter(|bytes| bytes.len() == 32)
}

/// The ticket's number: `object_id`, else the ticket's own id, else what a custom payload or a runbook calls it. The id at
/// the top is the delivery's, unless it is a number.
fn ticket(envelope: &Picked) -> Option<TicketId> {
    let number = |name: &str| envelope.get(name).and_then(wire::whole).filter(|n| (1..=0x7fff_ffff).contains(n));
    let names = ["object_id", "ticket/id", "ticket_id", "TicketId", "id"];
    TicketId::parse(names.into_iter().find_map(number)?.to_string()).ok()
}

/// The delivery's id; else the occurrence for this webhook; else, and for a batch, the hash of the bytes.
fn message_id(envelopes: &[Picked], body: &[u8]) -> String {
    if let [envelope] = envelopes {
        if let Some(id) = guid(envelope, "id") {
            return id.to_string();
        }
        if let (Some(occurrence), Some(webhook)) = (guid(envelope, "escmsg_id"), guid(envelope, "webhook_id")) {
            return format!("{occurrence}/{webhook}");
        }
    }
    let hash: String = Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256-{hash}")
}

fn guid(envelope: &Picked, name: &str) -> Option<Uuid> {
    Uuid::try_parse(envelope.get(name)?.as_str()?).ok()
}

/// Only said: what is decided is decided on the ticket as it is now.
fn note_age(envelope: &Picked, now: Timestamp) {
    let at = envelope.get("timestamp").and_then(|t| moment::parse(t.as_str()?));
    if at.is_some_and(|at| now.since(at) > OLD || at.since(now) > OLD) {
        tracing::info!(at = ?at, "a delivery is not of now: sent again from the log, long under way, or a clock is wrong");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{PASSWORD, settings};
    use latchkey_contract::Secret;

    const VECTOR: &[u8] = include_bytes!("../../simulators/golden/halopsa/webhook-vector.body.json");
    const CAPTURED: &[u8] = include_bytes!("../../simulators/golden/halopsa/webhook-captured.json");
    const VECTORS: &str = include_str!("../../simulators/golden/halopsa/vectors.json");

    fn door(password: &str, change: impl FnOnce(&mut Settings)) -> Door {
        let mut settings = settings("https://acme.halopsa.com");
        change(&mut settings);
        Door::of(&settings, Secret::new(password.into()), &ConnectionId::parse("halo").unwrap()).unwrap()
    }

    fn delivery(headers: &[(&str, &str)], body: &[u8]) -> Delivery {
        Delivery {
            connection: ConnectionId::parse("halo").unwrap(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
            body: body.to_vec(),
            received_at: Timestamp::from_millis(1_790_318_468_000),
        }
    }

    fn credentials(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }

    fn event(body: &[u8]) -> Result<TicketEvent, Rejected> {
        door(PASSWORD, |_| {}).event(&delivery(&[], body))
    }

    #[test]
    fn the_golden_credentials_are_split_at_the_first_colon() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let vector = &vectors["basic"];
        let text = |name: &str| vector[name].as_str().unwrap();
        let (user, password) = basic(text("authorization").as_bytes()).unwrap();
        assert_eq!((user, password), (text("user").as_bytes().to_vec(), text("password").as_bytes().to_vec()));
    }

    /// F8
    #[test]
    fn only_the_right_user_with_the_right_password_is_let_in() {
        let door = door(PASSWORD, |_| {});
        let shown = |header: &str| door.verify(&delivery(&[("authorization", header)], VECTOR));
        assert!(shown(&credentials("latchkey", PASSWORD)).is_ok());
        assert!(shown(&credentials("latchkey", PASSWORD).replace("Basic", "basic")).is_ok());
        for wrong in [
            credentials("latchkey", "other"),
            credentials("other", PASSWORD),
            credentials("latchkey", ""),
            credentials("", ""),
            credentials(PASSWORD, "latchkey"),
            credentials("latchkey", &format!("{PASSWORD}x")),
            format!("Bearer {PASSWORD}"),
            "Basic".to_owned(),
            "Basic !".to_owned(),
            format!("Basic {}", STANDARD.encode("no colon")),
            String::new(),
        ] {
            assert!(shown(&wrong).is_err(), "{wrong}");
        }
        let right = credentials("latchkey", PASSWORD);
        assert!(door.verify(&delivery(&[], VECTOR)).is_err());
        assert!(door.verify(&delivery(&[("authorization", &right), ("authorization", &right)], VECTOR)).is_err());
    }

    #[test]
    fn a_bearer_or_a_header_is_taken_where_the_settings_say_so_and_nothing_else_is() {
        let bearer = door(PASSWORD, |s| s.hook_auth = HookAuth::Bearer);
        let header =
            door(PASSWORD, |s| (s.hook_auth, s.hook_header) = (HookAuth::Header, Some("X-Halo-Secret".into())));
        let shown = |door: &Door, name: &str, value: &str| door.verify(&delivery(&[(name, value)], VECTOR)).is_ok();
        assert!(shown(&bearer, "authorization", &format!("Bearer {PASSWORD}")));
        assert!(!shown(&bearer, "authorization", &credentials("latchkey", PASSWORD)));
        assert!(!shown(&bearer, "authorization", &format!("Bearer {PASSWORD}x")));
        assert!(shown(&header, "x-halo-secret", PASSWORD));
        assert!(!shown(&header, "x-other", PASSWORD));
        assert!(!shown(&header, "x-halo-secret", ""));
        assert!(!shown(&header, "authorization", &credentials("latchkey", PASSWORD)));
    }

    #[test]
    fn a_body_is_read_only_of_what_shows_the_right_credentials() {
        let admitted = |door: &Door, headers: &[(&str, &str)]| door.admit(delivery(headers, b"").knock()).is_ok();
        let basic = door(PASSWORD, |_| {});
        assert!(admitted(&basic, &[("authorization", &credentials("latchkey", PASSWORD))]));
        assert!(!admitted(&basic, &[]) && !admitted(&basic, &[("authorization", &credentials("latchkey", "other"))]));
        let bearer = door(PASSWORD, |s| s.hook_auth = HookAuth::Bearer);
        assert!(admitted(&bearer, &[("authorization", &format!("Bearer {PASSWORD}"))]));
        assert!(!admitted(&bearer, &[("authorization", "Bearer x")]));
        let named =
            |auth: HookAuth| door(PASSWORD, |s| (s.hook_auth, s.hook_header) = (auth, Some("X-Halo-Secret".into())));
        let (header, hmac) = (named(HookAuth::Header), named(HookAuth::Hmac));
        assert!(admitted(&header, &[("x-halo-secret", PASSWORD)]));
        assert!(!admitted(&header, &[("x-halo-secret", "x")]));
        // Whether a hash fits, only the body tells.
        assert!(admitted(&hmac, &[("x-halo-secret", &"0".repeat(64))]));
        assert!(!admitted(&hmac, &[("x-halo-secret", "x")]) && !admitted(&hmac, &[]));
    }

    #[test]
    fn a_keyed_hash_from_a_runbook_fits_its_body_alone() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let vector = &vectors["hmac"];
        let key = Secret::new(vector["key"].as_str().unwrap().to_owned());
        // The vector's key is shorter than a password of ours may be.
        let door = Door { key: Key::Hmac { name: "x-signature".into(), key }, formers: Vec::new(), webhook: None };
        let fits = |value: &str, body: &[u8]| door.verify(&delivery(&[("x-signature", value)], body)).is_ok();
        let (hex, base64) = (vector["sha256_hex"].as_str().unwrap(), vector["sha256_base64"].as_str().unwrap());
        assert!(fits(hex, VECTOR) && fits(&format!("sha256={hex}"), VECTOR) && fits(base64, VECTOR));
        let longer = [VECTOR, b"\n"].concat();
        assert!(
            !fits(hex, &longer) && !fits(&hex[..62], VECTOR) && !fits("", VECTOR) && !fits(&"0".repeat(64), VECTOR)
        );
    }

    #[test]
    fn the_captured_delivery_names_its_ticket_and_nothing_else_is_believed() {
        let read = event(CAPTURED).unwrap();
        assert_eq!(read.message_id, "8e25bc7b-e07e-4102-9398-5d6647e1e79d");
        assert_eq!(read.ticket.unwrap().as_str(), "4242");
        assert!(read.actor.is_none() && read.actor_id.is_none() && read.status.is_none() && !read.is_deletion);
        assert_eq!(event(VECTOR).unwrap().ticket.unwrap().as_str(), "2818");
    }

    #[test]
    fn payloads_of_every_option_name_their_ticket() {
        for (body, ticket, message) in [
            (
                r#"{"id":"8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11","event":"closed","object_id":7}"#,
                Some("7"),
                "8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11",
            ),
            (
                r#"{"ID":"8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11","OBJECT_ID":"7"}"#,
                Some("7"),
                "8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11",
            ),
            (r#"{"ticket":{"id":7}}"#, Some("7"), "sha256-"),
            (r#"{"ticket_id":"7","what":"x"}"#, Some("7"), "sha256-"),
            (r#"{"TicketId":7}"#, Some("7"), "sha256-"),
            (r#"{"id":7}"#, Some("7"), "sha256-"),
            (
                r#"{"id":"8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11","event":"client updated"}"#,
                None,
                "8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11",
            ),
            (
                r#"{"escmsg_id":"0f6e2f1c-93b5-f111-8260-02725cb0e102","webhook_id":"5b7d7b9e-1c2f-4a55-8f0e-3f9f0d9a1c44","object_id":7}"#,
                Some("7"),
                "0f6e2f1c-93b5-f111-8260-02725cb0e102/5b7d7b9e-1c2f-4a55-8f0e-3f9f0d9a1c44",
            ),
            ("{}", None, "sha256-"),
            (r#"{"object_id":-7}"#, None, "sha256-"),
        ] {
            let read = event(body.as_bytes()).unwrap();
            assert_eq!(read.ticket.as_ref().map(TicketId::as_str), ticket, "{body}");
            assert!(read.message_id.starts_with(message) && read.also.is_empty(), "{body}: {}", read.message_id);
        }
        for bad in ["", "7", "x", r#"{"object_id":1,"OBJECT_ID":2}"#, "<html>"] {
            assert!(matches!(event(bad.as_bytes()), Err(Rejected::ForeignBody(_))), "{bad}");
        }
        assert!(event(&vec![b' '; LARGEST + 1]).is_err());
    }

    #[test]
    fn a_batch_names_each_of_its_tickets_once() {
        let read = event(br#"[{"object_id":7},{"object_id":"8"},{"object_id":7},{"x":1},3]"#).unwrap();
        assert_eq!(read.ticket.unwrap().as_str(), "7");
        assert_eq!(read.also.iter().map(TicketId::as_str).collect::<Vec<_>>(), ["8"]);
        assert!(read.message_id.starts_with("sha256-"));
        let one = [b"[", VECTOR, b"]"].concat();
        assert_eq!(event(&one).unwrap().message_id, "8d0f4e0a-6f5b-4c1a-9f39-2b6c1a7d5e11");
        assert_eq!(event(b"[]").unwrap().ticket, None);
    }

    #[test]
    fn a_pinned_webhook_lets_no_other_one_in() {
        let pinned = |id: &str| door(PASSWORD, |s| s.hook_id = Some(id.into())).event(&delivery(&[], VECTOR));
        assert!(pinned("5b7d7b9e-1c2f-4a55-8f0e-3f9f0d9a1c44").is_ok());
        assert!(matches!(pinned("5b7d7b9e-1c2f-4a55-8f0e-3f9f0d9a1c45"), Err(Rejected::ForeignBody(_))));
    }

    #[test]
    fn each_password_before_is_believed_until_its_end() {
        let sent = delivery(&[("authorization", &credentials("latchkey", PASSWORD))], VECTOR);
        let until = |millis: i64| Some(Timestamp::from_millis(sent.received_at.millis() + millis));
        for (until, is_believed) in [(None, true), (until(1), true), (until(0), false)] {
            let former = Former { value: Secret::new(PASSWORD.into()), until };
            let older = Former { value: Secret::new("a-password-that-nobody-shows-any-more".into()), until: None };
            let door = door("another-password-of-the-webhook-and-of-nobody", |_| {}).believing(older).believing(former);
            assert_eq!(door.verify(&sent).is_ok(), is_believed, "{until:?}");
            assert_eq!(door.admit(sent.knock()).is_ok(), is_believed, "{until:?}");
        }
    }
}
