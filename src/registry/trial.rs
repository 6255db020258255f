//! A connector with other secrets than those in force, to be tried before anything is changed.

use std::collections::BTreeMap;

use latchkey_contract::{CallError, Check, Secret, TicketId, Verdict, directory::DirectoryWants, outside::Urgency};

use super::{
    Connector, SecretKind, Vendors,
    vendors::{Ingredients, Stop, ca, ca_file, needed},
};
use crate::{rulebook::Connection, store::StoreError};

/// Why a secret was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The connection does not use a secret of this kind.
    #[error("connection {0} does not sign in by that, as its record stands")]
    Unused(latchkey_contract::ConnectionId),
    /// The connector cannot be built with it.
    #[error("{0}")]
    Unfit(String),
    /// The vendor was asked and did not accept it, or could not be asked.
    #[error("the vendor was asked and did not accept it")]
    Call(#[source] CallError),
    /// A directory's own words about it.
    #[error("the vendor said: {0}")]
    Said(String),
    /// The database.
    #[error("the other secrets could not be read")]
    Store(#[source] StoreError),
}

impl Vendors {
    /// Signs in at the vendor with `instead` in place of the stored secrets of those kinds. Nothing is stored, and no
    /// connector in force is touched.
    ///
    /// # Errors
    /// [`NotAccepted`].
    pub async fn try_out(
        &self,
        record: &Connection,
        instead: BTreeMap<SecretKind, Secret<String>>,
    ) -> Result<(), NotAccepted> {
        if !instead.keys().all(|kind| needed(record).contains(kind)) {
            return Err(NotAccepted::Unused(record.id.clone()));
        }
        let stopped = |stop| match stop {
            Stop::Fault(why) => NotAccepted::Unfit(why),
            Stop::Store(error) => NotAccepted::Store(error),
        };
        let (_, secrets) = self.secrets(record, instead).await.map_err(stopped)?;
        let ca_pem = ca(ca_file(record)).await.map_err(stopped)?;
        let of = Ingredients { record: record.clone(), rows: Vec::new(), ca_pem };
        sign_in(&self.build(&of, secrets).map_err(stopped)?).await
    }
}

/// The least that shows that the vendor accepts us.
async fn sign_in(connector: &Connector) -> Result<(), NotAccepted> {
    match connector {
        Connector::TicketSystem(system) => {
            // Reading a ticket is what no connection can do without; that there is none of this number is as good.
            let any = TicketId::parse("1").expect("a digit is a word");
            system.read(&any, Urgency::Ordinary).await.map(drop).map_err(NotAccepted::Call)
        }
        Connector::Directory(directory) => {
            let checks = directory.preflight(&DirectoryWants::default()).await;
            // Where nobody is signed in, that is the one line there is; a missing permission is no matter of the secret.
            match checks.as_slice() {
                [Check { verdict: Verdict::Red(why), .. }] => Err(NotAccepted::Said(why.clone())),
                _ => Ok(()),
            }
        }
    }
}
