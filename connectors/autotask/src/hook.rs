//! Proof and event: a callout is believed only after its signature was checked over the raw bytes, which hold escapes that
//! no re-encoding gives back. [facts 1.5]
//!
//! Two things come without a signature. A deactivation may (the vendor does not say), and an extension callout does: both
//! ring and tell nothing, and only under the right path. A signature that is there and wrong is never overlooked.

mod bell;
mod event;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_contract::{
    Clock, Delivery, Former, Knock, Rejected, Secret, SenderProof, Verified, outside::Urgency, ticket::TicketEvent,
};
use sha2::{Digest, Sha256};

use crate::{
    Tenant,
    settings::{Callouts, Plan},
};

const HEADER: &str = "x-hook-signature";
const PREFIX: &[u8] = b"sha1=";
/// Standard Base64 with padding of 20 bytes. [facts 1.5]
const SIGNATURE_CHARS: usize = 28;
const LARGEST: usize = 256 * 1024;
/// What only rings is a form of a few fields, or tells of a deactivation. [facts 1.4, 2.2]
const LARGEST_UNSIGNED: usize = 16 * 1024;

/// How much is read: little where nothing is signed.
pub(crate) fn admit(knock: Knock<'_>) -> Result<usize, Rejected> {
    match knock.has(HEADER) {
        true => signature(knock).map(|_| LARGEST),
        false => Ok(LARGEST_UNSIGNED),
    }
}

/// Checks deliveries of one connection.
#[derive(Debug)]
pub(crate) struct Hook {
    key: Secret<String>,
    formers: Vec<Former>,
    callouts: Callouts,
    password: Option<Secret<String>>,
    bell: bell::Bell,
}

impl Hook {
    pub(crate) fn new(plan: &Plan, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: plan.webhook_key.clone(),
            formers: plan.former_webhook_keys.clone(),
            callouts: plan.settings.callouts.clone(),
            password: plan.callout_password.clone(),
            bell: bell::Bell::new(clock),
        }
    }

    pub(crate) async fn verify(&self, delivery: &Delivery, tenant: &Tenant) -> Result<Verified<TicketEvent>, Rejected> {
        if delivery.body.len() > LARGEST {
            return Err(Rejected::ForeignBody("the body is larger than 256 KiB"));
        }
        if delivery.knock().has(HEADER) {
            let proof = self.prove(delivery, &signature(delivery.knock())?)?;
            return Ok(Verified::new(event::signed(delivery)?, proof));
        }
        if event::is_deactivation(&delivery.body) {
            self.bell.ring()?;
            let event = TicketEvent { is_about_webhooks: true, ..TicketEvent::of(message_id(&delivery.body)) };
            return Ok(Verified::new(event, SenderProof::path(delivery)));
        }
        self.callout(delivery, tenant).await
    }

    /// The registered key, or for a time one before it: what was queued may still carry a former signature. [facts 1.2]
    fn prove(&self, delivery: &Delivery, claimed: &[u8]) -> Result<SenderProof, Rejected> {
        let check = |key: &Secret<String>| SenderProof::hmac_sha1(key.expose().as_bytes(), &delivery.body, claimed);
        let mut formers = self.formers.iter().filter_map(|former| former.at(delivery.received_at));
        check(&self.key).or_else(|wrong| formers.find_map(|key| check(key).ok()).ok_or(wrong))
    }

    /// What a workflow rule sends: a form, without signature or actor. [facts 2.2]
    async fn callout(&self, delivery: &Delivery, tenant: &Tenant) -> Result<Verified<TicketEvent>, Rejected> {
        let proof = match (&self.callouts, &self.password) {
            (Callouts::Ring, _) => SenderProof::path(delivery),
            (Callouts::Basic(user), Some(password)) => basic(delivery, user, password)?,
            (Callouts::Off | Callouts::Basic(_), _) => return Err(Rejected::NoSignature),
        };
        let named = event::form(&delivery.body).ok_or(Rejected::NoSignature)?;
        self.bell.ring()?;
        let ticket = match named {
            event::Named::Id(id) => Some(id),
            // Some callouts carry the number that people read. [facts 2.2]
            event::Named::Number(number) => crate::tickets::with_number(&tenant.api, &number, Urgency::Ordinary)
                .await
                .map_err(Rejected::KeyUnreachable)?,
        };
        let message = message_id(&delivery.body);
        let event = ticket.map_or_else(|| TicketEvent::of(&message), |ticket| TicketEvent::ring(&message, ticket));
        Ok(Verified::new(event, proof))
    }
}

/// The 20 bytes of the header: `sha1=` and standard Base64, sent once.
fn signature(knock: Knock<'_>) -> Result<Vec<u8>, Rejected> {
    let header = knock.header(HEADER).ok_or(Rejected::NoSignature)?.trim_ascii();
    let (prefix, text) = header.split_at_checked(PREFIX.len()).ok_or(Rejected::NoSignature)?;
    if !prefix.eq_ignore_ascii_case(PREFIX) || text.len() != SIGNATURE_CHARS {
        return Err(Rejected::NoSignature);
    }
    STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 20).ok_or(Rejected::NoSignature)
}

/// Wrong credentials are none: a rule that was not told of a new password must not count as somebody who forges signatures,
/// and keep out what the PSA signs.
fn basic(delivery: &Delivery, user: &str, password: &Secret<String>) -> Result<SenderProof, Rejected> {
    let header = delivery.header("authorization").ok_or(Rejected::NoSignature)?;
    let text = header.strip_prefix(b"Basic ").ok_or(Rejected::NoSignature)?;
    let offered = Secret::new(STANDARD.decode(text.trim_ascii()).map_err(|_| Rejected::NoSignature)?);
    let ours = Secret::new(format!("{user}:{}", password.expose()));
    SenderProof::shared(&[(ours.expose().as_bytes(), offered.expose())]).map_err(|_| Rejected::NoSignature)
}

/// What has no number of its own is known by its bytes.
fn message_id(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::{plan, secrets, settings};
    use latchkey_contract::{ConnectionId, Timestamp};

    pub(super) const V1: &str = include_str!("../tests/golden/v1.body.json");
    const V2: &str = include_str!("../tests/golden/v2.body.json");
    const V3: &str = include_str!("../tests/golden/v3-deactivated.body.json");
    const S1: &str = "sha1=b1P/K6PtqE2dxuCHIWW+YNRYiSQ=";
    const S2: &str = "sha1=ItsoSO+YBjKnw0Izg7H5xamfk9s=";
    const S3: &str = "sha1=m5mjJdsHGSCZR724mxglVB/bKJ0=";

    fn delivery(body: &str, headers: &[(&str, &str)]) -> Delivery {
        Delivery {
            connection: ConnectionId::parse("at").unwrap(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
            body: body.into(),
            received_at: Timestamp::parse("2026-09-15T15:11:00Z").unwrap(),
        }
    }

    fn fits(body: &str, header: &str) -> bool {
        let hook = hook();
        signature(delivery(body, &[(HEADER, header)]).knock())
            .and_then(|claimed| hook.prove(&delivery(body, &[]), &claimed))
            .is_ok()
    }

    fn hook() -> Hook {
        #[derive(Debug)]
        struct Still;
        #[async_trait::async_trait]
        impl Clock for Still {
            fn now(&self) -> Timestamp {
                Timestamp::from_millis(0)
            }
            fn monotonic(&self) -> std::time::Duration {
                std::time::Duration::ZERO
            }
            async fn sleep_until(&self, _: Timestamp) {}
        }
        Hook::new(&plan(settings(), secrets()).unwrap(), Arc::new(Still))
    }

    /// F8
    #[test]
    fn the_golden_vectors_are_proven() {
        assert_eq!((V1.len(), V2.len(), V3.len()), (230, 329, 125));
        assert!(fits(V1, S1) && fits(V2, S2) && fits(V3, S3));
    }

    /// F8
    #[test]
    fn every_wrong_way_to_sign_is_refused() {
        let reserialised = serde_json::from_str::<serde_json::Value>(V2).unwrap();
        let unescaped = V2
            .replace("\\u0027", "'")
            .replace("\\u0026", "&")
            .replace("\\u00F6", "ö")
            .replace("\\u003C", "<")
            .replace("\\u003E", ">")
            .replace("\\u0022", "\\\"")
            .replace("\\u002B", "+");
        assert!(fits(&unescaped, "sha1=aq4+XT0+ppgwkpQ99Sw5pisSZYQ="), "the vector of the known mistake");
        assert!(!fits(&unescaped, S2) && !fits(V2, "sha1=aq4+XT0+ppgwkpQ99Sw5pisSZYQ="));
        assert!(!fits(&reserialised.to_string(), S2));
        let with_newline = format!("{V1}\n");
        assert!(fits(&with_newline, "sha1=OMqRFkUdFD63q2eV+0UJ4qrswVg=") && !fits(&with_newline, S1));
        assert!(!fits(V1, "sha1=6f53ff2ba3eda84d9dc6e0872165be60d4588924"), "hexadecimal");
        assert!(!fits(&V1.replace("351181", "351182"), S1));
    }

    #[test]
    fn a_header_that_is_not_one_signature_is_none() {
        let read = |headers: &[(&str, &str)]| signature(delivery(V1, headers).knock());
        assert_eq!(read(&[(HEADER, S1)]).unwrap().len(), 20);
        assert_eq!(read(&[(HEADER, " SHA1=b1P/K6PtqE2dxuCHIWW+YNRYiSQ= ")]).unwrap().len(), 20);
        for bad in [
            "",
            "sha1=",
            &S1[5..],
            &S1[..32],
            "sha256=b1P/K6PtqE2dxuCHIWW+YNRYiSQ=",
            "sha1=b1P_K6PtqE2dxuCHIWW-YNRYiSQ=",
        ] {
            assert!(read(&[(HEADER, bad)]).is_err(), "{bad}");
        }
        assert!(read(&[]).is_err() && read(&[(HEADER, S1), (HEADER, S1)]).is_err());
    }

    #[test]
    fn what_nobody_signed_is_read_only_as_far_as_a_bell_goes() {
        let admitted = |headers: &[(&str, &str)]| admit(delivery(V1, headers).knock()).ok();
        assert_eq!(admitted(&[(HEADER, S1)]), Some(LARGEST));
        assert_eq!(admitted(&[]), Some(LARGEST_UNSIGNED), "a form, or a deactivation");
        for bad in [&[(HEADER, "")][..], &[(HEADER, "sha1=x")], &[(HEADER, S1), (HEADER, S1)]] {
            assert_eq!(admitted(bad), None, "{bad:?}: no body makes a signature of it");
        }
    }

    #[test]
    fn each_key_before_is_believed_until_its_end() {
        let sent = delivery(V1, &[(HEADER, S1)]);
        let until = |millis: i64| Some(Timestamp::from_millis(sent.received_at.millis() + millis));
        for (until, is_believed) in [(None, true), (until(1), true), (until(0), false), (until(-1), false)] {
            let older = Former { value: Secret::new("the-key-that-nobody-signed-with".into()), until: None };
            let formers = vec![older, Former { value: secrets().webhook_key, until }];
            let hook = Hook { key: Secret::new("the-key-that-is-registered-now".into()), formers, ..hook() };
            assert_eq!(hook.prove(&sent, &signature(sent.knock()).unwrap()).is_ok(), is_believed, "{until:?}");
        }
    }

    #[test]
    fn callouts_with_credentials_are_compared_whole() {
        let password = Secret::new("pass:word".to_owned());
        let with = |text: &str| basic(&delivery("", &[("authorization", text)]), "rule", &password);
        let right = format!("Basic {}", STANDARD.encode("rule:pass:word"));
        assert!(with(&right).is_ok());
        for wrong in ["rule:pass", "other:pass:word", ":", ""] {
            let verdict = with(&format!("Basic {}", STANDARD.encode(wrong)));
            assert!(matches!(verdict, Err(Rejected::NoSignature)), "{wrong}: no signature was forged");
        }
        assert!(with("Bearer x").is_err());
    }
}
