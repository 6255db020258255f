//! Emergency access accounts: how many are recognised, and whether those an admin listed are what they were.

use latchkey_contract::Check;

use crate::{Entra, emergency::Units};

const PATH: &str = "Entra ID > Roles & admins > Admin units > Add, Restricted management administrative unit: Yes";

impl Entra {
    pub(super) async fn emergency_lines(&self, may_read_accounts: bool) -> Vec<Check> {
        const WHAT: &str = "protected units";
        let units = match self.restricted_units().await {
            Ok(units) => units,
            Err(error) => return vec![Check::failed(WHAT, &error)],
        };
        let mut lines = vec![match &units {
            Units::Unread => Check::note(
                WHAT,
                "not listed, for want of AdministrativeUnit.Read.All; each account's own protection is seen all the same",
            ),
            Units::Read(units) if units.is_empty() && self.settings.protected.is_empty() => {
                let know = format!(
                    "no emergency access account is recognised: put them into a unit ({PATH}), or list \
                                    their object ids under protected"
                );
                Check::note(WHAT, know)
            }
            Units::Read(units) => {
                let accounts: usize = units.iter().map(|(_, users)| users.len()).sum();
                Check::ok(WHAT, format!("{} with {accounts} accounts, never touched", units.len()))
            }
        }];
        for listed in self.settings.protected.iter().filter(|_| may_read_accounts) {
            let what = format!("protected account {}", listed.as_str().to_ascii_lowercase());
            lines.push(match self.name_of(listed).await {
                Err(error) => Check::failed(what, &error),
                Ok(None) => {
                    let to_do = "there is no such account: correct protected in the connection (Entra ID > Users > the \
                                 account > Object ID)";
                    Check::red(what, to_do)
                }
                Ok(Some(name)) if units.hold(listed) == Some(false) => {
                    let know =
                        format!("{name}: never touched by Latchkey, but in no restricted unit, so others can ({PATH})");
                    Check::note(what, know)
                }
                Ok(Some(name)) => Check::ok(what, format!("{name}, never touched")),
            });
        }
        lines
    }
}
