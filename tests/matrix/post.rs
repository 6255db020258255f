//! A mail server for one run, and what it took.

use std::{path::Path, sync::Mutex};

use latchkey::mail::Security;
use serde_json::Value;

use crate::{
    harness::stranger::MORE,
    mail_server::{self, Plan, Server, header},
};

/// A server on this machine that mails are handed to.
pub(crate) struct Post {
    server: Mutex<Server>,
    /// Message ids and subjects, oldest first.
    taken: Mutex<Vec<(String, String)>>,
}

/// Whether there is one.
pub(crate) fn is_there() -> bool {
    mail_server::is_installed()
}

impl Post {
    /// Starts it, and says in the installation's configuration where it is.
    pub(crate) async fn open(dir: &Path) -> Self {
        let plan = Plan { asks_for_login: false, ..Plan::new(Security::None) };
        let server = mail_server::start(&plan).await.expect("the mail server is installed");
        let port = server.settings.port;
        let table = format!(
            "[mail]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"Latchkey <latchkey@msp.example>\"\n"
        );
        std::fs::write(dir.join(MORE), table).unwrap();
        Self { server: Mutex::new(server), taken: Mutex::default() }
    }

    /// Message ids and subjects of all that it took, oldest first.
    pub(crate) fn taken(&self) -> Vec<(String, String)> {
        let mut taken = self.taken.lock().unwrap();
        for mail in self.server.lock().unwrap().taken() {
            taken.push((header(&mail, "message-id").to_owned(), subject(&mail)));
        }
        taken.clone()
    }
}

fn subject(mail: &Value) -> String {
    header(mail, "subject").to_owned()
}
