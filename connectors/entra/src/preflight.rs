//! What must be true before a grant can work, each with what to do when it is not.

use latchkey_contract::{
    CallError, Check,
    directory::{self, DirectoryWants},
    outside::Urgency,
    text::one_line,
};

use crate::{
    Entra,
    api::Call,
    need::{DOMAINS, NEEDED, ROLES},
    settings::TimeBound,
    token::{self, Rights},
    wire::{Domain, ScheduleInstance},
};

impl Entra {
    /// Backs [`latchkey_contract::Directory::preflight`]. Without a token there is only that one line.
    pub(crate) async fn check(&self, _: &DirectoryWants) -> Vec<Check> {
        self.lines().await.unwrap_or_else(|error| vec![Check::failed("tenant", &error)])
    }

    /// Verified domains whose passwords the tenant keeps itself, the initial one first.
    pub(crate) async fn list_domains(&self) -> Result<Vec<directory::Domain>, CallError> {
        const SELECTED: &str = "id,isVerified,isDefault,isInitial,authenticationType";
        let call = Call::new("GET /domains", &["domains"]).query("$select", SELECTED);
        let all: Vec<Domain> =
            self.graph.list(&call, Urgency::Ordinary).await?.map_err(|refusal| refusal.into_error(DOMAINS))?;
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

    async fn lines(&self) -> Result<Vec<Check>, CallError> {
        let token = match self.graph.tokens.get(Urgency::Ordinary, None).await {
            Ok(token) => token,
            Err(CallError::Unauthorized { code, .. }) => {
                let advice = token::advice(&code).unwrap_or("check tenant id, client id and credential");
                return Ok(vec![check("token", Err(format!("{code}: {advice}")))]);
            }
            Err(other) => return Err(other),
        };
        let mut checks = vec![check("token", Ok("the tenant issues tokens to the app".to_owned()))];
        match &token.rights {
            Some(rights) => checks.extend(permissions(rights)),
            None => {
                checks.push(check("permissions", Ok("the token does not show them; the calls will tell".to_owned())))
            }
        }
        checks.push(self.domain_line().await?);
        checks.push(self.pim().await?);
        Ok(checks)
    }

    async fn domain_line(&self) -> Result<Check, CallError> {
        let call = Call::new("GET /domains", &["domains"]).query("$select", "id,isVerified,authenticationType");
        let all: Vec<Domain> = match self.graph.list(&call, Urgency::Ordinary).await? {
            Ok(all) => all,
            Err(refusal) => return Ok(check("domains", Err(format!("cannot be read: {}", refusal.explain(DOMAINS))))),
        };
        let usable: Vec<String> = all.iter().filter(|d| d.is_usable()).map(|d| one_line(&d.id, 80)).collect();
        Ok(check(
            "domains",
            if usable.is_empty() {
                Err("no verified domain with managed sign-in: use the tenant's onmicrosoft.com domain".to_owned())
            } else {
                Ok(format!("sign-in names may end in {}", usable.join(", ")))
            },
        ))
    }

    async fn pim(&self) -> Result<Check, CallError> {
        const OP: &str = "GET /roleManagement/directory/roleAssignmentScheduleInstances";
        if self.settings.time_bound == TimeBound::Never {
            return Ok(check("role end in the tenant", Ok("switched off by time_bound = \"never\"".to_owned())));
        }
        let call =
            Call::new(OP, &["roleManagement", "directory", "roleAssignmentScheduleInstances"]).query("$top", "1");
        let result = match self.graph.get::<crate::wire::Page<ScheduleInstance>>(&call, Urgency::Ordinary).await? {
            Ok(_) => Ok("licensed: each role also gets an end that the tenant keeps".to_owned()),
            Err(refusal) if refusal.has_code("AadPremiumLicenseRequired") => {
                self.note_no_pim();
                Ok("no Entra ID P2: roles are ended by Latchkey's clock alone".to_owned())
            }
            Err(refusal) => Err(format!("cannot be read: {}", refusal.explain(ROLES))),
        };
        Ok(check("role end in the tenant", result))
    }
}

fn permissions(rights: &Rights) -> Vec<Check> {
    let mut checks: Vec<Check> = NEEDED
        .iter()
        .map(|need| {
            let name = need.any_of[0];
            let result = if need.is_met(rights) {
                Ok("granted".to_owned())
            } else {
                Err(format!("without it {}: add the application permission {name} and give admin consent", need.why))
            };
            check(&format!("permission {name}"), result)
        })
        .collect();
    let role = if rights.may_act_on_admins() {
        Ok("assigned".to_owned())
    } else {
        Err("without it passwords cannot be rotated, and an account that holds a role cannot be disabled before the \
             role is taken: assign the role to the app under Entra ID > Roles and administrators"
            .to_owned())
    };
    checks.push(check("directory role Privileged Authentication Administrator", role));
    checks
}

fn check(what: &str, result: Result<String, String>) -> Check {
    match result {
        Ok(found) => Check::ok(what, found),
        Err(to_do) => Check::red(what, to_do),
    }
}
