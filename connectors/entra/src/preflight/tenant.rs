//! The tenant itself: its domains, what it is licensed for, and whether it ends roles by its own clock.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, Check, directory, outside::Urgency, text::one_line};

use super::refused;
use crate::{
    Entra,
    api::{Call, Reply},
    need::{DOMAINS, ORGANIZATION, ROLES},
    settings::TimeBound,
    wire::{Domain, Organization, Page, ScheduleInstance},
};

const PATH: &str = "Entra ID > Domain names";

impl Entra {
    /// Verified domains whose passwords the tenant keeps itself, the initial one first.
    pub(crate) async fn list_domains(&self) -> Result<Vec<directory::Domain>, CallError> {
        let all = self.all_domains().await?.map_err(|refusal| refusal.into_error(DOMAINS))?;
        let usable = all.into_iter().filter(Domain::is_usable);
        let mut domains: Vec<directory::Domain> = usable
            .map(|d| directory::Domain {
                name: one_line(&d.id, 253),
                is_default: d.is_default == Some(true),
                is_initial: d.is_initial == Some(true),
            })
            .collect();
        domains.sort_by(|a, b| (b.is_initial, &a.name).cmp(&(a.is_initial, &b.name)));
        Ok(domains)
    }

    async fn all_domains(&self) -> Reply<Vec<Domain>> {
        const SELECTED: &str = "id,isVerified,isDefault,isInitial,authenticationType";
        let call = Call::new("GET /domains", &["domains"]).query("$select", SELECTED);
        self.graph.list(&call, Urgency::Ordinary).await
    }

    /// One line for the tenant's domains, and one for each that a customer's names are to end in.
    pub(super) async fn domain_lines(&self, wanted: &BTreeSet<String>) -> Vec<Check> {
        const WHAT: &str = "domains";
        let all = match self.all_domains().await {
            Ok(Ok(all)) => all,
            Ok(Err(refusal)) => return refused(WHAT, &refusal, DOMAINS).into_iter().collect(),
            Err(error) => return vec![Check::failed(WHAT, &error)],
        };
        let usable: Vec<String> = all.iter().filter(|d| d.is_usable()).map(|d| one_line(&d.id, 80)).collect();
        let found = format!("sign-in names may end in {}", usable.join(", "));
        let none =
            format!("none is verified with managed sign-in: see {PATH}; the tenant's onmicrosoft.com name always is");
        let tenant = if usable.is_empty() { Check::red(WHAT, none) } else { Check::ok(WHAT, found) };
        let mut lines = vec![tenant];
        // While there is none at all, each wanted one would say the same again.
        if !usable.is_empty() {
            lines.extend(wanted.iter().map(|name| wanted_domain(name, &all, &usable)));
        }
        lines
    }

    /// What the tenant has paid for. Nothing is red: every licence works, with less or more behind it.
    pub(super) async fn licence_line(&self) -> Option<Check> {
        const WHAT: &str = "licence";
        let call = Call::new("GET /organization", &["organization"]).query("$select", "id,assignedPlans");
        let tenant = match self.graph.list::<Organization>(&call, Urgency::Ordinary).await {
            Ok(Ok(tenants)) => tenants.into_iter().next(),
            Ok(Err(refusal)) => return refused(WHAT, &refusal, ORGANIZATION),
            Err(error) => return Some(Check::failed(WHAT, &error)),
        };
        Some(match tenant.as_ref().and_then(Organization::premium) {
            Some("P2") => Check::ok(WHAT, "Entra ID P2"),
            Some(_) => {
                Check::note(WHAT, "Entra ID P1: no Privileged Identity Management, so no end that the tenant keeps")
            }
            None => Check::note(
                WHAT,
                "neither Entra ID P1 nor P2: restricted management units, which protect emergency access accounts, need \
                 P1; an end that the tenant keeps needs P2 (Microsoft 365 admin center > Billing > Licenses)",
            ),
        })
    }

    /// Whether roles also get an end in the tenant: tried, since a licence that was just bought takes its time.
    pub(super) async fn pim_line(&self) -> Option<Check> {
        const OP: &str = "GET /roleManagement/directory/roleAssignmentScheduleInstances";
        const WHAT: &str = "role end in the tenant";
        if self.settings.time_bound == TimeBound::Never {
            return Some(Check::note(WHAT, "switched off by time_bound = \"never\""));
        }
        let call =
            Call::new(OP, &["roleManagement", "directory", "roleAssignmentScheduleInstances"]).query("$top", "1");
        match self.graph.get::<Page<ScheduleInstance>>(&call, Urgency::Ordinary).await {
            Ok(Ok(_)) => Some(Check::ok(WHAT, "each role also gets an end that the tenant keeps")),
            Ok(Err(refusal)) if refusal.has_code("AadPremiumLicenseRequired") => {
                self.note_no_pim();
                Some(Check::note(WHAT, "not licensed (Entra ID P2): roles are ended by Latchkey's clock alone"))
            }
            Ok(Err(refusal)) => refused(WHAT, &refusal, ROLES),
            Err(error) => Some(Check::failed(WHAT, &error)),
        }
    }
}

fn wanted_domain(name: &str, all: &[Domain], usable: &[String]) -> Check {
    let what = format!("domain {}", one_line(name, 253));
    let known = all.iter().find(|domain| domain.id.eq_ignore_ascii_case(name));
    let instead = usable.first().map_or("", String::as_str);
    let to_do = match known {
        Some(domain) if domain.is_usable() => return Check::ok(what, "verified, with managed sign-in"),
        Some(domain) if domain.is_verified != Some(true) => "is not verified: finish it",
        Some(_) => "is federated, so its passwords are not the tenant's: take another one, or convert it",
        None => "is not a domain of this tenant: add it",
    };
    Check::red(what, format!("{to_do} ({PATH}), or let the customer's names end in {instead}"))
}
