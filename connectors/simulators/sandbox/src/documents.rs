//! What an operator writes: the service's configuration, the records, the rulebook. They are kept as
//! files in the data directory, so that a newcomer can read what the sandbox runs on.

use std::{net::SocketAddr, path::Path};

use crate::{
    psas::{BY_LINK, Connected, IN_TICKET, Mapping, Psa, Trigger},
    tenant::{CLIENT, DOMAIN, EXCHANGE_ADMINISTRATOR, TENANT, USER_ADMINISTRATOR},
    vendors::Vendors,
};

/// Id of the tenant's connection.
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

/// `records.toml`: these PSAs and the tenant, one customer, its technicians.
pub(crate) fn records(vendors: &Vendors, psas: &[&dyn Psa], ca: &Path) -> String {
    let connected: Vec<_> = psas.iter().map(|psa| (psa.names().connection, psa.connected())).collect();
    let ca = quoted(&ca.display().to_string());
    let network = format!("network = \"private\"\nca_file = {ca}\n");
    let mut text = "# Who and what exists. Secrets are not here: they lie sealed in the database.\n".to_owned();
    for (psa, (id, own)) in psas.iter().zip(&connected) {
        text += &format!("\n[[connection]]\nid = \"{id}\"\nkind = \"{}\"\n", psa.names().kind);
        own.settings.iter().for_each(|(key, value)| text += &format!("{key} = {}\n", quoted(value)));
        text += &network;
    }
    let directory = &vendors.directory;
    text += &format!(
        r#"
[[connection]]
id = "{DIRECTORY}"
kind = "entra"
tenant = "{TENANT}"
client_id = "{CLIENT}"
credential = "secret"
authority = "{graph}"
graph = "{graph}"
protected = ["{break_glass}"]
{network}
[[customer]]
id = "acme"
name = "ACME Ltd"
jit = true
companies = [{companies}]
directory = "{DIRECTORY}"
domain = "{DOMAIN}"
"#,
        graph = directory.sim.base_url(),
        break_glass = directory.break_glass,
        companies = bound(&connected, |own| own.acme),
    );
    let demo = [vendors.connectwise.jane, vendors.connectwise.max];
    let jane = bound(&connected, |own| own.jane);
    let max = bound(&connected, |own| own.max);
    for (member, bound, customers) in [(demo[0], jane, "\"all\""), (demo[1], max, "[\"acme\"]")] {
        text += &person(member.identifier, &format!("{} {}", member.first, member.last), &bound, customers);
    }
    for (n, technician) in vendors.connectwise.crowd.iter().enumerate() {
        let name = &technician.identifier;
        text += &person(name, name, &bound(&connected, |own| own.crowd[n]), "[\"acme\"]");
    }
    text
}

fn person(id: &str, name: &str, bound: &str, customers: &str) -> String {
    format!("\n[[person]]\nid = \"{id}\"\nname = \"{name}\"\nmembers = [{bound}]\ncustomers = {customers}\n")
}

/// The same company or person at each PSA.
fn bound(connected: &[(&str, Connected)], id: impl Fn(&Connected) -> i64) -> String {
    let at =
        |(connection, own): &(&str, Connected)| format!("{{ connection = \"{connection}\", ids = [\"{}\"] }}", id(own));
    connected.iter().map(at).collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `rulebook.toml`: two policies that allow minutes, and who asks for them; what the second one makes is chosen.
pub(crate) fn rulebook(vendors: &Vendors, psas: &[&dyn Psa], second_mode: &str) -> String {
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
    let link = format!("entitlements = [\"role:{EXCHANGE_ADMINISTRATOR}\"]\ndelivery = \"claim-link\"");
    let ticket = format!(
        "entitlements = [\"role:{USER_ADMINISTRATOR}\", \"group:{}\"]\n\
         delivery = \"ticket\"\nticket_readers_may_use_it = true",
        vendors.directory.group
    );
    let head = "# What may be given, and which tickets ask for it.\n\n\
                [[technician_group]]\nid = \"technicians\"\nname = \"Technicians\"\nmembers = \"all\"\n";
    let mut text = head.to_owned()
        + &policy(BY_LINK, "Exchange administrator", "standard", &link)
        + &policy(IN_TICKET, "User administrator with migration tools", second_mode, &ticket);
    for psa in psas {
        for mapping in psa.connected().mappings {
            text += &written(psa.names().connection, &mapping);
        }
    }
    text
}

fn written(connection: &str, mapping: &Mapping) -> String {
    let Mapping { id, board, trigger, length_field, policy } = mapping;
    let trigger = match trigger {
        Trigger::Status => format!("trigger_statuses = [\"{}\"]", board.requested),
        Trigger::Field(field, value) => format!("trigger_field = {{ field = \"{field}\", values = [\"{value}\"] }}"),
        Trigger::Board => "trigger_board = true".to_owned(),
    };
    format!(
        r#"
[[mapping]]
id = "{id}"
connection = "{connection}"
boards = ["{}"]
{trigger}
policy = "{policy}"
length_field = "{length_field}"
statuses = {{ granted = "{}", refused = "{}", ended = "{}" }}
"#,
        board.id, board.active, board.refused, board.done
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latchkey::{
        config::Config,
        rulebook::{Records, Rulebook},
    };

    use super::*;
    use crate::{
        clock::MovableClock,
        sandbox::{Plan, Psas},
    };

    #[tokio::test]
    async fn the_seeded_documents_are_accepted() {
        let plan = Plan { crowd: 2, ..Plan::default() };
        let vendors = Vendors::start(&MovableClock::new(Duration::ZERO), &plan).await.unwrap();
        for psas in [Psas::All, Psas::ConnectWise] {
            let psas = vendors.psas(psas);
            let records = Records::parse(&records(&vendors, &psas, Path::new("/a \"quoted\" place/ca.pem"))).unwrap();
            assert_eq!(records.people.len(), 4);
            assert!(records.people.iter().all(|person| person.members.len() == psas.len()));
            for mode in ["standard", "burner"] {
                Rulebook::parse(&rulebook(&vendors, &psas, mode)).unwrap();
            }
        }
        let listen = "127.0.0.1:8080".parse().unwrap();
        Config::parse(&config(listen), Path::new("/somewhere/latchkey.toml"), None).unwrap();
    }
}
