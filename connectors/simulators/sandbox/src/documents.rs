//! What an operator writes: the service's configuration, the records, the rulebook. They are kept as
//! files in the data directory, so that a newcomer can read what the sandbox runs on.

use std::{net::SocketAddr, path::Path};

use crate::{
    psa::{Board, LOGIN_COMPANY, Member},
    tenant::{CLIENT, DOMAIN, EXCHANGE_ADMINISTRATOR, TENANT, USER_ADMINISTRATOR},
    vendors::Vendors,
};

/// Ids of the two connections.
pub(crate) const PSA: &str = "cw";
pub(crate) const DIRECTORY: &str = "acme-entra";

/// Where the database lies, seen from the configuration.
pub(crate) const DATA_DIR: &str = "data";

/// `latchkey.toml`: the database and the key lie apart, everything listens on loopback.
pub(crate) fn config(listen: SocketAddr) -> String {
    format!(
        "data_dir = \"{DATA_DIR}\"\n\
         key_file = \"master.key\"\n\
         listen = \"{listen}\"\n\
         public_url = \"http://{listen}\"\n\
         log_format = \"json\"\n"
    )
}

/// `records.toml`: the two connections, one customer, its technicians.
pub(crate) fn records(vendors: &Vendors, ca: &Path) -> String {
    let (psa, directory) = (&vendors.psa, &vendors.directory);
    let person = |id: &str, name: &str, member: i64, customers: &str| {
        format!(
            r#"
[[person]]
id = "{id}"
name = "{name}"
members = [{{ connection = "{PSA}", ids = ["{member}"] }}]
customers = {customers}
"#
        )
    };
    let demo = |m: &Member, customers| person(m.identifier, &format!("{} {}", m.first, m.last), m.id, customers);
    let crowd: String = psa.crowd.iter().map(|t| person(&t.identifier, &t.identifier, t.id, "[\"acme\"]")).collect();
    let ca = toml::Value::String(ca.display().to_string());
    format!(
        r#"# Who and what exists. Secrets are not here: they lie sealed in the database.

[[connection]]
id = "{PSA}"
kind = "connectwise"
site = "{site}"
company = "{LOGIN_COMPANY}"
client_id = "{client_id}"
public_key = "{public_key}"
network = "private"
ca_file = {ca}

[[connection]]
id = "{DIRECTORY}"
kind = "entra"
tenant = "{TENANT}"
client_id = "{CLIENT}"
credential = "secret"
authority = "{graph}"
graph = "{graph}"
protected = ["{break_glass}"]
network = "private"
ca_file = {ca}

[[customer]]
id = "acme"
name = "ACME Ltd"
jit = true
companies = [{{ connection = "{PSA}", ids = ["{acme}"] }}]
directory = "{DIRECTORY}"
domain = "{DOMAIN}"
{people}"#,
        site = psa.sim.base_url(),
        client_id = psa.api.client_id,
        public_key = psa.api.public_key,
        graph = directory.sim.base_url(),
        break_glass = directory.break_glass,
        acme = psa.acme,
        people = demo(&psa.jane, "\"all\"") + &demo(&psa.max, "[\"acme\"]") + &crowd,
    )
}

/// `rulebook.toml`: two policies that allow minutes, one board mapped to each; what the second one makes is chosen.
pub(crate) fn rulebook(vendors: &Vendors, second_mode: &str) -> String {
    let psa = &vendors.psa;
    let policy = |id: &str, name: &str, mode: &str, rest: &str| {
        format!(
            r#"
[[policy]]
id = "{id}"
name = "{name}"
source = "entra"
mode = "{mode}"
technicians = ["technicians"]
lengths = ["2m", "5m", "15m", "1h", "8h"]
default_length = "5m"
max_length = "8h"
{rest}
"#
        )
    };
    let mapping = |id: &str, policy: &str, board: &Board| {
        format!(
            r#"
[[mapping]]
id = "{id}"
connection = "{PSA}"
boards = ["{}"]
trigger_statuses = ["{}"]
policy = "{policy}"
length_field = "{}"
statuses = {{ granted = "{}", refused = "{}", ended = "{}" }}
"#,
            board.id, board.requested, psa.length_field, board.active, board.refused, board.done
        )
    };
    let link = format!("entitlements = [\"role:{EXCHANGE_ADMINISTRATOR}\"]\ndelivery = \"claim-link\"");
    let ticket = format!(
        "entitlements = [\"role:{USER_ADMINISTRATOR}\", \"group:{}\"]\n\
         delivery = \"ticket\"\nticket_readers_may_use_it = true",
        vendors.directory.group
    );
    [
        "# What may be given, and which tickets ask for it.\n\n\
         [[technician_group]]\nid = \"technicians\"\nname = \"Technicians\"\nmembers = \"all\"\n"
            .to_owned(),
        policy("exchange", "Exchange administrator", "standard", &link),
        policy("migration", "User administrator with migration tools", second_mode, &ticket),
        mapping("help-desk", "exchange", &psa.help_desk),
        mapping("projects", "migration", &psa.projects),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latchkey::{
        config::Config,
        rulebook::{Records, Rulebook},
    };

    use super::*;
    use crate::{clock::MovableClock, sandbox::Plan};

    #[tokio::test]
    async fn the_seeded_documents_are_accepted() {
        let vendors =
            Vendors::start(&MovableClock::new(Duration::ZERO), &Plan { crowd: 2, ..Plan::default() }).await.unwrap();
        Records::parse(&records(&vendors, Path::new("/a \"quoted\" place/ca.pem"))).unwrap();
        for mode in ["standard", "burner"] {
            Rulebook::parse(&rulebook(&vendors, mode)).unwrap();
        }
        let listen = "127.0.0.1:8080".parse().unwrap();
        Config::parse(&config(listen), Path::new("/somewhere/latchkey.toml"), None).unwrap();
    }
}
