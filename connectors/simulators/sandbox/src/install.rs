//! What an operator does once: writes the documents, sets the secrets, enrols people, registers the
//! webhooks. All of it through the service's own library, none of it around a check.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use latchkey::{
    app::database,
    config::Config,
    people::{Enrolment, OneTime},
    random,
    registry::{Assemble as _, SecretKind, SecretName, Vendors as Connectors, set_secrets},
    rulebook::{Records, Rulebook, Rules},
    seal::{self, Seal},
    store::{
        Store,
        sqlite::{Options, Sqlite},
    },
};
use latchkey_contract::{Clock as _, ConnectionId, PersonId, Secret};
use rand::distr::{Alphanumeric, SampleString as _};

use crate::{
    clock::MovableClock,
    documents::{self, DIRECTORY, PSA},
    psa::Member,
    sandbox::DemoPerson,
    vendors::Vendors,
};

const BY: &str = "sandbox";

/// Enrolment uses up a code. It is given the one before the present one, which is still good.
const ONE_CODE: Duration = Duration::from_secs(30);

/// Installs the service into `data`, for the pages and hooks to be at `listen`. Answers who can sign in.
pub(crate) async fn install(
    data: &Path,
    listen: SocketAddr,
    vendors: &Vendors,
    clock: &MovableClock,
) -> anyhow::Result<[DemoPerson; 2]> {
    let ca = data.join("ca.pem");
    vendors.write_ca(&ca)?;
    let (records, rulebook) = (documents::records(vendors, &ca), documents::rulebook(vendors));
    let config = data.join("latchkey.toml");
    for (path, text) in [
        (&config, documents::config(listen)),
        (&data.join("records.toml"), records.clone()),
        (&data.join("rulebook.toml"), rulebook.clone()),
    ] {
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let config = Config::load(&config)?;
    std::fs::create_dir_all(&config.data_dir)?;

    let now = clock.now();
    let store = Arc::new(Sqlite::open(&database(&config), Options::default()).await?);
    let seal = Arc::new(seal::unlock(&config.key_file, store.as_ref(), now).await?);
    let rulebook = Rulebook::parse(&rulebook)?.in_force_since(&Rulebook::default(), now);
    let rules = Rules { revision: 0, rulebook, records: Records::parse(&records)? };
    store.save_rules(&rules, BY, "the sandbox's own rules", now).await?;

    let hook = random::token();
    let secret = |connection: &str, kind, value: Secret<String>| {
        anyhow::Ok((SecretName::new(ConnectionId::parse(connection)?, kind), value))
    };
    let secrets = [
        secret(PSA, SecretKind::PrivateKey, Secret::new(vendors.psa.api.private_key.clone()))?,
        secret(PSA, SecretKind::HookSecret, Secret::new(hook.expose().clone()))?,
        secret(DIRECTORY, SecretKind::ClientSecret, Secret::new(vendors.directory.client_secret.clone()))?,
    ];
    set_secrets(store.as_ref(), &seal, BY, &secrets, now).await?;

    let jane = enroll(vendors.psa.jane, store.as_ref(), &seal, clock).await?;
    let max = enroll(vendors.psa.max, store.as_ref(), &seal, clock).await?;
    register_hooks(&config, &hook, Arc::<Sqlite>::clone(&store), seal, clock).await?;
    store.close().await;
    Ok([jane, max])
}

async fn enroll(member: Member, store: &dyn Store, seal: &Seal, clock: &MovableClock) -> anyhow::Result<DemoPerson> {
    let person = PersonId::parse(member.identifier)?;
    let password = Alphanumeric.sample_string(&mut rand::rng(), 20);
    let enrolment = Enrolment::begin(person.clone(), Secret::new(password.clone()))?;
    let app = OneTime::new(&enrolment.one_time().bytes(), &person).context("the secret was made by the service")?;
    let now = clock.now();
    enrolment.finish(&app.code(now - ONE_CODE), store, seal, now).await?;
    Ok(DemoPerson { member, password, app })
}

/// As `latchkey webhook sync` does: one callback for each mapped board.
async fn register_hooks(
    config: &Config,
    hook: &Secret<String>,
    store: Arc<dyn Store>,
    seal: Arc<Seal>,
    clock: &MovableClock,
) -> anyhow::Result<()> {
    let rules = store.rules().await?;
    let connection = ConnectionId::parse(PSA)?;
    let boards: Vec<_> = rules.rulebook.mappings.iter().flat_map(|m| m.boards.clone()).collect();
    let connectors = Connectors::new(store, seal, Arc::new(clock.clone()));
    let psa = connectors.assemble(&rules).await?.ticket_system(&connection)?;
    let url = config.public(&format!("/hooks/{connection}/{}", hook.expose()));
    psa.sync_webhooks(&url, &boards).await.context("the webhooks could not be registered at the pretend PSA")?;
    Ok(())
}
