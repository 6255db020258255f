//! The sandbox as a whole: one clock, the vendors, the service, the people who sign in to it.

use std::path::PathBuf;

use latchkey_contract::Timestamp;
use rand::distr::{Alphanumeric, SampleString as _};
use totp_rs::{Algorithm, Builder, Totp};

use crate::{clock::MovableClock, psa::Member, service::Service, vendors::Vendors};

#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) clock: MovableClock,
    pub(crate) vendors: Vendors,
    pub(crate) service: Service,
    /// Jane Doe first.
    pub(crate) people: Vec<DemoPerson>,
    /// Where everything that was written lies.
    pub(crate) data: PathBuf,
}

/// Somebody who can sign in to the service: everything that is a secret elsewhere, on show.
#[derive(Debug)]
pub(crate) struct DemoPerson {
    pub(crate) member: Member,
    pub(crate) password: String,
    totp: Totp,
}

impl DemoPerson {
    /// With a new password and a new one-time-code secret.
    pub(crate) fn new(member: Member) -> Self {
        let secret: [u8; 20] = rand::random();
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(30)
            .with_secret(secret.to_vec())
            .with_account_name(member.identifier)
            .with_issuer(Some("Latchkey sandbox"))
            .build()
            .expect("160 bits, six digits and a plain name are what the standard asks for");
        Self { member, password: Alphanumeric.sample_string(&mut rand::rng(), 16), totp }
    }

    /// The id that the sign-in form asks for.
    pub(crate) const fn id(&self) -> &'static str {
        self.member.identifier
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.member.first, self.member.last)
    }

    /// The one-time code at this time.
    pub(crate) fn code(&self, now: Timestamp) -> String {
        self.totp.generate(u64::try_from(now.seconds()).unwrap_or_default()).to_string()
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.totp.secret().as_bytes()
    }

    /// For an authenticator app.
    pub(crate) fn secret_text(&self) -> String {
        self.totp.secret().to_base32()
    }
}
