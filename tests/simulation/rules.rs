//! The rules that a world begins under: three customers with a directory each, six technicians, three policies.

use latchkey_contract::EntitlementId;

use crate::{
    rulebook::{Records, Rulebook, Rules},
    world::World,
};

pub(crate) const TENANTS: [&str; 3] = ["entra-a", "entra-b", "entra-c"];
pub(crate) const CUSTOMERS: [&str; 3] = ["cust-a", "cust-b", "cust-c"];
/// The PSA's companies of these customers; the last one is nobody's.
pub(crate) const COMPANIES: [&str; 4] = ["201", "202", "203", "299"];
pub(crate) const BOARDS: [&str; 3] = ["61", "62", "63"];
pub(crate) const TECHNICIANS: usize = 6;
pub(crate) const APPROVERS: [&str; 2] = ["boss-a", "boss-b"];

/// What the first policy gives, and a directory may lose.
pub(crate) fn role() -> EntitlementId {
    EntitlementId::try_from("role:r1".to_owned()).unwrap_or_else(|bad| panic!("{bad}"))
}

/// What is in force at the beginning.
pub(crate) fn first(world: &World) -> Rules {
    let records = Records::parse(&records()).unwrap_or_else(|faults| panic!("{faults}"));
    let book = Rulebook::parse(&rulebook()).unwrap_or_else(|faults| panic!("{faults}"));
    Rules::default().next(book, records, world.at(world.now())).unwrap_or_else(|why| panic!("{why}"))
}

fn records() -> String {
    let mut text = String::from(
        "[[connection]]\nid = \"cw\"\nkind = \"connectwise\"\nsite = \"https://na.myconnectwise.net\"\n\
         company = \"examplemsp\"\nclient_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = \"p\"\n",
    );
    for (n, (tenant, customer)) in TENANTS.iter().zip(CUSTOMERS).enumerate() {
        text.push_str(&format!(
            "[[connection]]\nid = \"{tenant}\"\nkind = \"entra\"\ncredential = \"secret\"\n\
             tenant = \"6b1f0c3e-0000-4000-8000-00000000010{n}\"\nclient_id = \"6b1f0c3e-0000-4000-8000-00000000020{n}\"\n\
             [[customer]]\nid = \"{customer}\"\nname = \"{customer}\"\njit = true\ndirectory = \"{tenant}\"\n\
             domain = \"{customer}.example\"\ncompanies = [{{ connection = \"cw\", ids = [\"{}\"] }}]\n",
            COMPANIES[n]
        ));
    }
    for n in 0..TECHNICIANS {
        text.push_str(&format!(
            "[[person]]\nid = \"tech{n}\"\nname = \"Technician {n}\"\ncustomers = \"all\"\n\
             members = [{{ connection = \"cw\", ids = [\"{}\"] }}]\n",
            100 + n
        ));
    }
    for boss in APPROVERS {
        text.push_str(&format!(
            "[[person]]\nid = \"{boss}\"\nname = \"{boss}\"\nrole = \"owner\"\ncustomers = \"all\"\n"
        ));
    }
    text
}

fn rulebook() -> String {
    let mut text = String::from(
        "[settings]\nwaiting_lapses_after = \"1h\"\n\
         [alerts]\nfailed_to_disable = { on = true, to = [\"noc@msp.example\"] }\n\
         [[technician_group]]\nid = \"all\"\nname = \"All\"\nmembers = \"all\"\n\
         [[brake]]\nid = \"many\"\nper = \"technician\"\ngrants = 14\nwithin = \"1h\"\n",
    );
    let ticket = "delivery = \"ticket\"\nticket_readers_may_use_it = true";
    let link = "delivery = \"claim-link\"";
    for (id, mode, entitlements, delivery) in [
        ("standing", "standard", "\"role:r1\", \"group:g1\"", link),
        ("burning", "burner", "\"role:r2\"", link),
        ("telling", "standard", "\"role:r3\"", ticket),
    ] {
        text.push_str(&format!(
            "[[policy]]\nid = \"{id}\"\nname = \"{id}\"\nsource = \"entra\"\nmode = \"{mode}\"\ntechnicians = [\"all\"]\n\
             entitlements = [{entitlements}]\nlengths = [\"5m\", \"15m\", \"30m\", \"1h\", \"4h\", \"1d\"]\n\
             default_length = \"30m\"\nmax_length = \"1d\"\n{delivery}\n"
        ));
    }
    for (board, policy) in BOARDS.iter().zip(["standing", "burning", "telling"]) {
        text.push_str(&format!(
            "[[mapping]]\nid = \"on-{board}\"\nconnection = \"cw\"\nboards = [\"{board}\"]\ntrigger_statuses = [\"5\"]\n\
             policy = \"{policy}\"\nlength_field = \"9\"\nstatuses = {{ granted = \"6\", refused = \"7\", ended = \"8\" }}\n"
        ));
    }
    text
}
