//! Sessions: a random token in the browser, its hash in the database.

use std::time::Duration;

use latchkey_contract::{PersonId, Secret, Timestamp};
use sha2::{Digest, Sha256};

use crate::{random, store::Session};

/// A session ends when it was not seen for this long,
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// and after this long in any case.
pub const ABSOLUTE: Duration = Duration::from_secs(8 * 3600);

/// A new session with the token that the browser is given.
#[derive(Debug)]
pub struct SignedIn {
    /// 256 random bits; not kept here.
    pub token: Secret<String>,
    /// What is kept.
    pub session: Session,
}

pub(super) fn begin(person: PersonId, now: Timestamp) -> SignedIn {
    let token = random::token();
    let session = Session {
        token_hash: token_hash(token.expose()),
        person,
        form_token: random::token().expose().clone(),
        until: now + ABSOLUTE,
        idle_until: now + IDLE,
    };
    SignedIn { token, session }
}

pub(super) fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}
