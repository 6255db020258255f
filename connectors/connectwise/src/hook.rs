//! Proof and event: a delivery is believed only after its signature was checked over the raw bytes.
//!
//! Before the proof, one thing is asked of the body: which key signed it. It is walked once, and says the rest only to who
//! holds a proof. The query of the callback's URL is not covered by the signature and is never read. No time is signed
//! either, so the caller drops repeats by message id.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_contract::{
    Delivery, Knock, Rejected, SenderProof, StatusId, TicketId, Verified,
    json::{self, Picked},
    ticket::TicketEvent,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    key::{HmacKey, Keys},
    key_url::Home,
    settings::Plan,
};

const HEADER: &str = "x-content-signature";
const SIGNATURE_CHARS: usize = 44;
const LARGEST: usize = 256 * 1024;

const ENTITY: &[&str] = &["status/id"];
const PAYLOAD: &[&str] =
    &["Metadata/key_url", "MessageId", "FromUrl", "CompanyId", "MemberId", "Action", "Type", "ID", "Entity"];

/// Nothing is read of what shows no signature.
pub(crate) fn admit(knock: Knock<'_>) -> Result<usize, Rejected> {
    signature(knock).map(|_| LARGEST)
}

/// Checks deliveries of one connection.
#[derive(Debug)]
pub(crate) struct Hook {
    home: Home,
    keys: Keys,
}

impl Hook {
    pub(crate) fn new(plan: &Plan, keys: Keys) -> Self {
        Self { home: Home::new(plan.site.clone(), plan.api.clone(), plan.company.clone()), keys }
    }

    pub(crate) async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        let claimed = signature(delivery.knock())?;
        let said = Said::of(&delivery.body)?;
        let proof = self.prove(said.key_id(&self.home)?, &delivery.body, &claimed).await?;
        said.proven(&self.home, proof)
    }

    /// A cached key that does not fit may have been rotated under its id: it is fetched once more before the refusal.
    async fn prove(&self, id: Uuid, body: &[u8], claimed: &[u8]) -> Result<SenderProof, Rejected> {
        let held = self.keys.get(id).await?;
        match check(&held.key, body, claimed) {
            Err(refused) if !held.is_fresh => match self.keys.again(id).await? {
                Some(newer) if !newer.key.matches(held.key.expose()) => check(&newer.key, body, claimed),
                _ => Err(refused),
            },
            verdict => verdict,
        }
    }
}

fn check(key: &HmacKey, body: &[u8], claimed: &[u8]) -> Result<SenderProof, Rejected> {
    SenderProof::hmac_sha256(key.expose(), body, claimed)
}

/// The 32 bytes of the header: standard base64 with padding, 44 characters, sent once.
fn signature(knock: Knock<'_>) -> Result<Vec<u8>, Rejected> {
    let header = knock.header(HEADER).ok_or(Rejected::NoSignature)?.trim_ascii();
    if header.len() != SIGNATURE_CHARS {
        return Err(Rejected::NoSignature);
    }
    STANDARD.decode(header).ok().filter(|bytes| bytes.len() == 32).ok_or(Rejected::NoSignature)
}

/// What a body says. Until it is proven, it is asked for nothing but its key.
struct Said(Picked);

impl Said {
    fn of(body: &[u8]) -> Result<Self, Rejected> {
        if body.len() > LARGEST {
            return Err(Rejected::ForeignKey("the body is larger than 256 KiB"));
        }
        json::pick(body, PAYLOAD).map(Self).map_err(Rejected::ForeignKey)
    }

    fn key_id(&self, home: &Home) -> Result<Uuid, Rejected> {
        let reference = text(&self.0, "Metadata/key_url").ok_or(Rejected::ForeignKey("the body names no key"))?;
        home.key_id(reference).map_err(Rejected::ForeignKey)
    }

    /// Of a body that comes from the holder of our company's key.
    fn proven(self, home: &Home, proof: SenderProof) -> Result<Verified<TicketEvent>, Rejected> {
        event(&self.0, home).map(|event| Verified::new(event, proof))
    }
}

fn event(picked: &Picked, home: &Home) -> Result<TicketEvent, Rejected> {
    let foreign = Rejected::ForeignBody;
    let message_id = text(picked, "MessageId")
        .and_then(|id| Uuid::try_parse(id).ok())
        .ok_or(foreign("no MessageId: register the callback with payloadVersion 3.0.0"))?;
    if !text(picked, "CompanyId").is_some_and(|company| home.is_company(company)) {
        return Err(foreign("CompanyId is another company"));
    }
    if !text(picked, "FromUrl").is_some_and(|host| home.is_host(host)) {
        return Err(foreign("FromUrl is another host"));
    }
    let action = text(picked, "Action").ok_or(foreign("no Action"))?;
    let kind = text(picked, "Type").ok_or(foreign("no Type"))?;
    let id = picked.get("ID").and_then(Value::as_u64).filter(|id| (1..=0x7fff_ffff).contains(id));
    let ticket = match kind.eq_ignore_ascii_case("ticket") {
        true => Some(id.and_then(|id| TicketId::parse(id.to_string()).ok()).ok_or(foreign("no ticket number"))?),
        false => None,
    };
    Ok(TicketEvent {
        is_deletion: ticket.is_some() && action.eq_ignore_ascii_case("deleted"),
        ticket,
        status: text(picked, "Entity").and_then(status_of),
        actor: text(picked, "MemberId").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
        ..TicketEvent::of(message_id.to_string())
    })
}

/// The status in the record that stands in the message as JSON text. A summary of unknown completeness: what is not there is `None`.
fn status_of(entity: &str) -> Option<StatusId> {
    let picked = json::pick(entity.as_bytes(), ENTITY).ok()?;
    StatusId::parse(picked.get("status/id")?.as_u64()?.to_string()).ok()
}

fn text<'p>(picked: &'p Picked, name: &str) -> Option<&'p str> {
    picked.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::derive, key_url::tests::home};
    use latchkey_contract::{ConnectionId, Timestamp};
    use sha2::{Digest, Sha256};

    const BODY_A: &str = include_str!("../tests/golden/vector_a.json");
    const KEY_A: &str = "kR7m2Qv9-sample-signing-key-0001";
    const SIGNATURE_A: &str = "l/xrd16izAX7g7ZVSSsQoMLDx+FqIDVmTxf8F2PKyDo=";
    const BODY_B: &str = r#"{"ID":1,"Action":"added","Type":"ticket","Entity":null,"Metadata":{"key_url":"https://na.myconnectwise.net/k"}}"#;

    fn fits(key: &HmacKey, body: &str, signature: &str) -> bool {
        check(key, body.as_bytes(), &STANDARD.decode(signature).unwrap()).is_ok()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_golden_vectors_are_proven() {
        assert_eq!(BODY_A.len(), 870);
        assert_eq!(hex(&Sha256::digest(BODY_A)), "3de071cc78644a04229e27723f27fba0707a7330131aa04f08c70f351d831241");
        let key = derive(KEY_A);
        assert_eq!(hex(key.expose()), "1ed55b895f5cb066c1c10af1f82d917fb725f8a5da81b5b6b18bba7f95f0fb12");
        assert!(fits(&key, BODY_A, SIGNATURE_A));

        let key = derive("test-signing-key");
        assert_eq!(BODY_B.len(), 111);
        assert_eq!(hex(key.expose()), "2eae0511df4e58ec738ec1f8661a46876269c0b5534fbf993af0cdc23b54949c");
        assert!(fits(&key, BODY_B, "5RwmG3KEzdD5UsDR4wRidG14bbzhwfBH4JnsrjmiaIE="));
    }

    /// F8
    #[test]
    fn every_wrong_way_to_sign_is_refused() {
        let key = derive(KEY_A);
        let with_newline = format!("{BODY_A}\n");
        assert!(!fits(&key, &with_newline, SIGNATURE_A));
        assert!(fits(&key, &with_newline, "nd0B//BCpCvFrrntdt+V9aJyYff+oX13vJgYcD48PwY="));
        for wrong in [
            "nd0B//BCpCvFrrntdt+V9aJyYff+oX13vJgYcD48PwY=",
            "zTgG8xJTtiC36pdCMKUuUSKoK8jc9lThWw+RxDLX4yI=",
            "bD9zxA/o5rCKQhbWQMGrm8A8/h/+bte1LJEdGKVg1x0=",
        ] {
            assert!(!fits(&key, BODY_A, wrong), "{wrong}");
        }
        assert!(!fits(&derive("another key"), BODY_A, SIGNATURE_A));
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(BODY_A).unwrap()).unwrap();
        assert!(!fits(&key, &pretty, SIGNATURE_A));
        assert!(!fits(&key, &BODY_A.replace("4711", "4712"), SIGNATURE_A));
    }

    fn delivery(headers: &[(&str, &str)]) -> Delivery {
        Delivery {
            connection: ConnectionId::parse("cw").unwrap(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
            body: BODY_A.into(),
            received_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn a_header_that_is_not_one_signature_is_none() {
        let read = |headers: &[(&str, &str)]| signature(delivery(headers).knock());
        assert_eq!(read(&[(HEADER, SIGNATURE_A)]).unwrap().len(), 32);
        assert_eq!(read(&[(HEADER, &format!(" {SIGNATURE_A} "))]).unwrap().len(), 32);
        let url_safe = SIGNATURE_A.replace('/', "_").replace('+', "-");
        for bad in
            ["", "x", &SIGNATURE_A[..43], &url_safe, &format!("sha256={SIGNATURE_A}"), &"!".repeat(44), &"A".repeat(44)]
        {
            assert!(read(&[(HEADER, bad)]).is_err(), "{bad}");
        }
        assert!(read(&[]).is_err());
        assert!(read(&[(HEADER, SIGNATURE_A), (HEADER, SIGNATURE_A)]).is_err());
        assert_eq!(admit(delivery(&[(HEADER, SIGNATURE_A)]).knock()).unwrap(), LARGEST);
        assert!(admit(delivery(&[]).knock()).is_err(), "and its body is not read");
    }

    /// What is read of a body once it is proven.
    fn event(body: &str) -> Result<TicketEvent, Rejected> {
        let proof = SenderProof::path(&delivery(&[]));
        Said::of(body.as_bytes())?.proven(&home(), proof).map(Verified::into_inner)
    }

    #[test]
    fn the_event_is_read_from_the_proven_body() {
        let read = event(BODY_A).unwrap();
        assert_eq!(read.message_id, "6dd82302-5e46-47c0-8c84-702868125b76");
        assert_eq!(read.ticket.unwrap().as_str(), "4711");
        assert_eq!(read.actor.as_deref(), Some("jdoe"));
        assert!(!read.is_deletion);

        let deleted = BODY_A.replace("\"updated\"", "\"deleted\"");
        assert!(event(&deleted).unwrap().is_deletion);
        let other = BODY_A.replace("\"Type\":\"ticket\"", "\"Type\":\"company\"");
        assert_eq!(event(&other).unwrap().ticket, None);
    }

    #[test]
    fn a_signed_body_that_speaks_of_somebody_else_is_refused() {
        for (from, to) in [
            ("\"CompanyId\":\"examplemsp\"", "\"CompanyId\":\"othermsp\""),
            ("\"CompanyId\":\"examplemsp\",", ""),
            ("\"FromUrl\":\"na.myconnectwise.net\"", "\"FromUrl\":\"eu.myconnectwise.net\""),
            ("\"FromUrl\":\"na.myconnectwise.net\",", ""),
            ("\"MessageId\":\"6dd82302-5e46-47c0-8c84-702868125b76\",", ""),
            ("\"MessageId\":\"6dd82302", "\"MessageId\":\"x"),
            ("\"ID\":4711", "\"ID\":\"4711\""),
            ("\"ID\":4711", "\"ID\":-1"),
            ("\"Action\":\"updated\",", ""),
            ("\"Type\":\"ticket\",", ""),
        ] {
            let body = BODY_A.replacen(from, to, 1);
            assert_ne!(body, BODY_A);
            assert!(matches!(event(&body), Err(Rejected::ForeignBody(_))), "{from} → {to}");
        }
        let doubled = BODY_A.replacen("\"ID\":4711", "\"ID\":4711,\"id\":4712", 1);
        assert!(matches!(Said::of(doubled.as_bytes()), Err(Rejected::ForeignKey(_))), "not even its key is read");
    }

    #[test]
    fn a_payload_of_the_old_kind_is_refused() {
        let old = r#"{"Action":"updated","CompanyId":"examplemsp","Entity":"{}","FromUrl":"na.myconnectwise.net","ID":4711,"MemberId":"jdoe","Metadata":{},"Type":"ticket"}"#;
        assert!(matches!(event(old), Err(Rejected::ForeignBody(why)) if why.contains("3.0.0")));
    }
}
