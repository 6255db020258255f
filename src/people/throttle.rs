//! How often one may fail. Counts are kept by the store, so that a restart or a second process forgets nothing.
//!
//! Three counts, so that a stranger who keeps failing with somebody's name locks out himself first: the person from
//! this address, the address, and the person from everywhere. The last one bounds how many codes can be guessed.

use std::{net::IpAddr, time::Duration};

use latchkey_contract::Timestamp;

use crate::store::{Store, StoreError};

/// Failures older than this no longer count.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

const PERSON_FROM_ADDRESS: u32 = 5;
const PERSON: u32 = 20;
const ADDRESS: u32 = 30;

/// Too many failures; try again after [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled;

/// Whose failures are counted together. Unknown names count like known ones.
#[derive(Debug, Clone)]
pub(super) struct Counted(Vec<(String, u32)>);

impl Counted {
    pub(super) fn new(person: &str, address: IpAddr) -> Self {
        Self(vec![
            (format!("person-address:{person}@{address}"), PERSON_FROM_ADDRESS),
            (format!("person:{person}"), PERSON),
            (format!("address:{address}"), ADDRESS),
        ])
    }

    /// Somebody who names nobody: a link that is not good.
    pub(super) fn stranger(address: IpAddr) -> Self {
        Self(vec![(format!("address:{address}"), ADDRESS)])
    }

    pub(super) async fn check(&self, store: &dyn Store, now: Timestamp) -> Result<Result<(), Throttled>, StoreError> {
        for (key, most) in &self.0 {
            if store.failures(key, now - WINDOW).await? >= *most {
                return Ok(Err(Throttled));
            }
        }
        Ok(Ok(()))
    }

    pub(super) async fn fail(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for (key, _) in &self.0 {
            store.count_failure(key, now, now - WINDOW).await?;
        }
        Ok(())
    }
}
