//! The pretend Entra tenant of ACME Ltd: the app registration, a few ordinary accounts, a group.

use latchkey_simulators::graph::{AppSpec, Graph, GroupSeed, Licence, Options, UserSeed};
use latchkey_simulators::{Authority, SimClock};
use rand::distr::{Alphanumeric, SampleString as _};

pub(crate) const TENANT: &str = "5f2c1e8a-3b6d-4c7e-9f10-2a4b6c8d0e1f";
pub(crate) const DOMAIN: &str = "contoso.onmicrosoft.com";
pub(crate) const CLIENT: &str = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d";

pub(crate) const EXCHANGE_ADMINISTRATOR: &str = "29232cdf-9323-42fd-ade2-1d097af3e4de";
pub(crate) const USER_ADMINISTRATOR: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
/// The one directory role that may disable, rotate and delete accounts that hold any role.
const PRIVILEGED_AUTHENTICATION_ADMINISTRATOR: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";

/// What the customer consented to.
const PERMISSIONS: [&str; 9] = [
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "GroupMember.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "Policy.Read.AuthenticationMethod",
    "Domain.Read.All",
    "Organization.Read.All",
    "AuditLog.Read.All",
];

/// The running directory, with what the service and the pages need to know of it.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) sim: Graph,
    pub(crate) client_secret: String,
    /// Plain security group, given by the second policy.
    pub(crate) group: String,
    /// Never to be touched.
    pub(crate) break_glass: String,
}

impl Directory {
    /// Starts it and fills it.
    pub(crate) async fn start(authority: &Authority, clock: SimClock, licence: Licence) -> anyhow::Result<Self> {
        let options =
            Options { tls: Some(authority.server_config(&[])), host: "localhost".to_owned(), ..Options::new(clock) };
        let sim = Graph::start(options).await?;
        sim.add_tenant(TENANT, &[DOMAIN], licence);
        let client_secret = Alphanumeric.sample_string(&mut rand::rng(), 40);
        sim.register_app(
            TENANT,
            AppSpec {
                client_id: CLIENT.to_owned(),
                secrets: vec![client_secret.clone()],
                permissions: PERMISSIONS.map(str::to_owned).to_vec(),
                directory_roles: vec![PRIVILEGED_AUTHENTICATION_ADMINISTRATOR.to_owned()],
                ..AppSpec::default()
            },
        );
        let group =
            sim.add_group(TENANT, GroupSeed { display_name: "Migration Tools".to_owned(), ..GroupSeed::default() });
        let [break_glass, ..] = [("break-glass", "Break Glass"), ("avery", "Avery Stone"), ("robin", "Robin Vale")]
            .map(|(name, display_name)| {
                let seed = UserSeed::new(&format!("{name}@{DOMAIN}"));
                sim.add_user(TENANT, UserSeed { display_name: display_name.to_owned(), ..seed })
            });
        sim.by_hand(TENANT).assign_role(&break_glass, GLOBAL_ADMINISTRATOR, "/");
        Ok(Self { sim, client_secret, group, break_glass })
    }
}
