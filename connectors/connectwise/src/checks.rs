//! The doctor's lines about one instance.

use latchkey_contract::{CallError, Check, Clock};

use crate::{
    api::{Api, Ask},
    errors::accepted,
};

const INFO: &str = "GET /system/info";

/// Whether the keys are taken, and how far the clocks are apart.
pub(crate) async fn sign_in(api: &Api, clock: &dyn Clock) -> Vec<Check> {
    const WHAT: &str = "sign-in";
    let answer = match api.send(&Ask::new(INFO, ["system", "info"])).await {
        Ok(answer) => answer,
        Err(error) => return vec![Check::failed(WHAT, &error)],
    };
    let clocks = Check::clock(answer.date(), clock.now());
    let taken = match accepted(answer) {
        Ok(_) => Check::ok(WHAT, "the PSA accepts the keys"),
        Err(CallError::Unauthorized { code, .. }) => Check::red(
            WHAT,
            format!("{code}: check the key pair (System > Members > API Members > API Keys), company and client_id"),
        ),
        Err(error) => Check::failed(WHAT, &error),
    };
    vec![taken, clocks]
}
