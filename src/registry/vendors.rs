//! The one file that names vendors: a connection's record and secrets → its connector.
//!
//! A connector whose record, secrets and CA file are as before is kept when the rules change: it holds tokens, keys and
//! budgets that are dear.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use latchkey_autotask::{Autotask, Secrets};
use latchkey_connectwise::ConnectWise;
use latchkey_contract::{Clock, ConnectionId, Secret, SecretId};
use latchkey_entra::{Credential, CredentialKind, Entra};
use latchkey_halopsa::HaloPsa;
use tokio::sync::Mutex;

use super::{Assemble, Connector, HookPath, HookSecret, Registry, SecretKind, SecretName, former};
use crate::{
    rulebook::{Connection, ConnectionKind, Rules},
    seal::Seal,
    store::{Store, StoreError},
};

/// The label that the note marker's key is derived under.
const MARKER_LABEL: &str = "note marker";

/// Builds the connectors of every vendor there is.
#[derive(Debug)]
pub struct Vendors {
    store: Arc<dyn Store>,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<ConnectionId, (Ingredients, Connector)>>,
}

/// Everything a connector is made of. Secrets by their rows: a new value is a new row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ingredients {
    pub(super) record: Connection,
    pub(super) rows: Vec<SecretId>,
    pub(super) ca_pem: Option<String>,
}

/// What stops one connection.
pub(super) enum Stop {
    /// A sentence for the operator.
    Fault(String),
    /// The database failed: nobody's fault here.
    Store(StoreError),
}

impl Vendors {
    /// Builds with secrets from `store`, opened by `seal`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, seal: Arc<Seal>, clock: Arc<dyn Clock>) -> Self {
        Self { store, seal, clock, kept: Mutex::new(BTreeMap::new()) }
    }

    async fn connector(&self, record: &Connection) -> Result<Connector, Stop> {
        let (rows, secrets) = self.secrets(record, BTreeMap::new()).await?;
        let ca_pem = ca(ca_file(record)).await?;
        let made_of = Ingredients { record: record.clone(), rows, ca_pem };
        let mut kept = self.kept.lock().await;
        if let Some((before, connector)) = kept.get(&record.id)
            && *before == made_of
        {
            return Ok(connector.clone());
        }
        let connector = self.build(&made_of, secrets)?;
        kept.insert(record.id.clone(), (made_of, connector.clone()));
        Ok(connector)
    }

    /// The connection's secrets, those of `instead` in place of the stored ones, and the rows of the stored ones.
    pub(super) async fn secrets(
        &self,
        record: &Connection,
        instead: BTreeMap<SecretKind, Secret<String>>,
    ) -> Result<(Vec<SecretId>, BTreeMap<SecretKind, Secret<String>>), Stop> {
        let (mut rows, mut secrets) = (Vec::new(), instead);
        for (kind, is_needed) in needed(record).iter().map(|kind| (*kind, true)).chain(optional(record)) {
            if secrets.contains_key(&kind) {
                continue;
            }
            match self.secret(record, kind).await {
                Ok((row, value)) => {
                    rows.push(row);
                    secrets.insert(kind, value);
                }
                Err(Stop::Fault(_)) if !is_needed => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok((rows, secrets))
    }

    pub(super) fn build(
        &self,
        of: &Ingredients,
        mut secrets: BTreeMap<SecretKind, Secret<String>>,
    ) -> Result<Connector, Stop> {
        let mut take = |kind| secrets.remove(&kind).ok_or_else(|| Stop::Fault(missing(&of.record, kind)));
        let (id, ca_pem, clock) = (of.record.id.clone(), of.ca_pem.clone(), Arc::clone(&self.clock));
        match &of.record.kind {
            ConnectionKind::ConnectWise(settings) => {
                let key = take(SecretKind::PrivateKey)?;
                let marker = self.seal.derive(MARKER_LABEL);
                let system = ConnectWise::new(id, settings.clone(), key, ca_pem, marker, clock);
                system.map(|s| Connector::TicketSystem(Arc::new(s))).map_err(|e| Stop::Fault(e.to_string()))
            }
            ConnectionKind::Autotask(settings) => {
                let secrets = Secrets {
                    api: take(SecretKind::ApiSecret)?,
                    webhook_key: take(SecretKind::WebhookKey)?,
                    former_webhook_keys: take(SecretKind::FormerWebhookKey)
                        .map(|text| former::read(&text))
                        .unwrap_or_default(),
                    callout_password: take(SecretKind::CalloutPassword).ok(),
                    marker_key: self.seal.derive(MARKER_LABEL),
                };
                let system = Autotask::new(id, settings.clone(), secrets, ca_pem, clock);
                system.map(|s| Connector::TicketSystem(Arc::new(s))).map_err(|e| Stop::Fault(e.to_string()))
            }
            ConnectionKind::HaloPsa(settings) => {
                let (secret, password) = (take(SecretKind::ClientSecret)?, take(SecretKind::HookPassword)?);
                let marker = self.seal.derive(MARKER_LABEL);
                let formers = take(SecretKind::FormerHookPassword).map(|text| former::read(&text)).unwrap_or_default();
                let system = HaloPsa::new(id, settings.clone(), secret, password, ca_pem, marker, clock);
                let system = system.map(|s| formers.into_iter().fold(s, HaloPsa::believing));
                system.map(|s| Connector::TicketSystem(Arc::new(s))).map_err(|e| Stop::Fault(e.to_string()))
            }
            ConnectionKind::Entra(settings) => {
                let credential = match settings.credential {
                    CredentialKind::Secret => Credential::Secret(take(SecretKind::ClientSecret)?),
                    CredentialKind::Certificate => Credential::Certificate {
                        key_pem: take(SecretKind::CertificateKey)?,
                        cert_pem: take(SecretKind::Certificate)?.expose().clone(),
                    },
                };
                let directory = Entra::new(id, settings.clone(), credential, ca_pem, clock);
                directory.map(|d| Connector::Directory(Arc::new(d))).map_err(|e| Stop::Fault(e.to_string()))
            }
        }
    }

    pub(super) async fn secret(
        &self,
        record: &Connection,
        kind: SecretKind,
    ) -> Result<(SecretId, Secret<String>), Stop> {
        let name = SecretName::new(record.id.clone(), kind).to_string();
        let row = self.store.sealed_named(&name).await.map_err(Stop::Store)?;
        let row = row.ok_or_else(|| Stop::Fault(missing(record, kind)))?;
        let value = self.seal.open_text(&row).map_err(|e| Stop::Fault(e.to_string()))?;
        Ok((row.id, value))
    }
}

#[async_trait::async_trait]
impl Assemble for Vendors {
    async fn assemble(&self, rules: &Rules) -> Result<Registry, StoreError> {
        let mut registry = Registry::default();
        for record in &rules.records.connections {
            registry = match self.connector(record).await {
                Ok(connector) => registry.with(record.id.clone(), connector),
                Err(Stop::Fault(why)) => registry.with_broken(record.id.clone(), why),
                Err(Stop::Store(error)) => return Err(error),
            };
            if takes_hooks(record) {
                registry = match self.secret(record, SecretKind::HookSecret).await {
                    Ok((_, secret)) => registry.with_hook(record.id.clone(), HookSecret::of(secret.expose())),
                    Err(Stop::Fault(_)) => registry,
                    Err(Stop::Store(error)) => return Err(error),
                };
                if let Some(former) = HookPath::new(&*self.store, &self.seal, &record.id).former().await? {
                    registry = registry.with_former_hook(&record.id, former);
                }
            }
        }
        self.kept.lock().await.retain(|id, _| rules.records.connection(id).is_some());
        Ok(registry)
    }
}

pub(super) const fn needed(record: &Connection) -> &'static [SecretKind] {
    match &record.kind {
        ConnectionKind::ConnectWise(_) => &[SecretKind::PrivateKey],
        ConnectionKind::Autotask(_) => &[SecretKind::ApiSecret, SecretKind::WebhookKey],
        ConnectionKind::HaloPsa(_) => &[SecretKind::ClientSecret, SecretKind::HookPassword],
        ConnectionKind::Entra(settings) => match settings.credential {
            CredentialKind::Secret => &[SecretKind::ClientSecret],
            CredentialKind::Certificate => &[SecretKind::CertificateKey, SecretKind::Certificate],
        },
    }
}

/// Those that a connection does without.
fn optional(record: &Connection) -> impl Iterator<Item = (SecretKind, bool)> {
    let kinds: &[SecretKind] = match &record.kind {
        ConnectionKind::Autotask(_) => &[SecretKind::FormerWebhookKey, SecretKind::CalloutPassword],
        ConnectionKind::HaloPsa(_) => &[SecretKind::FormerHookPassword],
        ConnectionKind::ConnectWise(_) | ConnectionKind::Entra(_) => &[],
    };
    kinds.iter().map(|kind| (*kind, false))
}

const fn takes_hooks(record: &Connection) -> bool {
    record.kind.is_psa()
}

fn missing(record: &Connection, kind: SecretKind) -> String {
    let name = SecretName::new(record.id.clone(), kind);
    match kind {
        SecretKind::CertificateKey | SecretKind::Certificate => {
            format!("{name} is not set; run: latchkey certificate make {}", record.id)
        }
        _ => format!("{name} is not set; run: latchkey secret set {name}"),
    }
}

pub(super) fn ca_file(record: &Connection) -> Option<&PathBuf> {
    match &record.kind {
        ConnectionKind::ConnectWise(settings) => settings.ca_file.as_ref(),
        ConnectionKind::Autotask(settings) => settings.ca_file.as_ref(),
        ConnectionKind::HaloPsa(settings) => settings.ca_file.as_ref(),
        ConnectionKind::Entra(settings) => settings.ca_file.as_ref(),
    }
}

pub(super) async fn ca(path: Option<&PathBuf>) -> Result<Option<String>, Stop> {
    let Some(path) = path else { return Ok(None) };
    let unreadable = |e: std::io::Error, path: &Path| Stop::Fault(format!("ca_file {}: {e}", path.display()));
    tokio::fs::read_to_string(path).await.map(Some).map_err(|e| unreadable(e, path))
}

#[cfg(test)]
mod tests {
    use latchkey_contract::Timestamp;

    use super::*;
    use crate::{
        clock::SystemClock,
        registry::{Live, set_secrets},
        rulebook::Records,
        seal::{KeyFile, unlock},
        store::sqlite::{Options, Sqlite},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
    const RECORDS: &str = r#"
[[connection]]
id = "cw"
kind = "connectwise"
site = "https://na.myconnectwise.net"
company = "examplemsp"
client_id = "6b1f0c3e-0000-4000-8000-000000000001"
public_key = "public"

[[connection]]
id = "entra"
kind = "entra"
tenant = "8f0c2c1e-0000-4000-8000-000000000000"
client_id = "8f0c2c1e-0000-4000-8000-000000000001"
credential = "secret"
"#;

    struct Place {
        store: Arc<Sqlite>,
        seal: Arc<Seal>,
        live: Live,
        _dir: tempfile::TempDir,
    }

    impl Place {
        async fn new(records: &str) -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap());
            let seal = Arc::new(unlock(&KeyFile::Own(dir.path().join("key")), &*store, NOW).await.unwrap());
            let shared: Arc<dyn Store> = Arc::<Sqlite>::clone(&store);
            let vendors = Vendors::new(Arc::clone(&shared), Arc::clone(&seal), Arc::new(SystemClock::new()));
            let live = Live::start(shared, Arc::new(vendors)).await.unwrap();
            let place = Self { store, seal, live, _dir: dir };
            place.save(records).await;
            place
        }

        async fn save(&self, records: &str) {
            let rules = self.store.rules().await.unwrap();
            let rules = Rules { records: Records::parse(records).unwrap(), ..rules };
            self.store.save_rules(&rules, "test", "test", NOW).await.unwrap();
        }

        async fn set(&self, name: &str, value: &str) {
            let secret = (name.parse().unwrap(), Secret::new(value.to_owned()));
            set_secrets(&*self.store, &self.seal, &crate::audit::By::Service, &[secret], NOW).await.unwrap();
        }

        async fn broken(&self) -> Vec<String> {
            self.live.current().await.registry.broken().map(|(_, why)| why.to_owned()).collect()
        }
    }

    #[tokio::test]
    async fn a_connection_without_its_secret_is_named_and_does_not_stop_the_others() {
        let place = Place::new(RECORDS).await;
        assert_eq!(place.broken().await.len(), 2);
        place.set("entra/client-secret", "s").await;
        let why = place.broken().await;
        assert_eq!(why, ["cw/private-key is not set; run: latchkey secret set cw/private-key"]);
        let live = place.live.current().await;
        assert!(live.registry.directory(&"entra".parse().unwrap()).is_ok());
        assert!(live.registry.ticket_system(&"entra".parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_connector_is_kept_until_what_it_is_made_of_changes() {
        let place = Place::new(RECORDS).await;
        let directory = async || place.live.current().await.registry.directory(&"entra".parse().unwrap()).unwrap();
        place.set("entra/client-secret", "s").await;
        let first = directory().await;
        place.set("cw/private-key", "p").await;
        assert!(Arc::ptr_eq(&first, &directory().await), "another connection's secret");
        place.set("entra/client-secret", "t").await;
        let second = directory().await;
        assert!(!Arc::ptr_eq(&first, &second), "its own secret");
        place.save(&RECORDS.replace("credential = \"secret\"", "credential = \"secret\"\ntimeout_s = 9")).await;
        assert!(!Arc::ptr_eq(&second, &directory().await), "its own record");
    }

    #[tokio::test]
    async fn what_a_vendor_or_a_file_refuses_is_said_for_its_connection() {
        let missing = "public_key = \"public\"\nca_file = \"/nowhere/ca.pem\"";
        let place = Place::new(&RECORDS.replace("public_key = \"public\"", missing)).await;
        place.set("cw/private-key", "p").await;
        place.set("entra/client-secret", "s").await;
        let why = place.broken().await;
        assert!(why.len() == 1 && why[0].contains("ca_file /nowhere/ca.pem"), "{why:?}");
        place.save(&RECORDS.replace("company = \"examplemsp\"", "company = \"not a company\"")).await;
        let why = place.broken().await;
        assert!(why.len() == 1 && why[0].contains("company"), "{why:?}");
    }

    #[tokio::test]
    async fn a_path_secret_is_known_as_soon_as_it_is_set() {
        let place = Place::new(RECORDS).await;
        let id: ConnectionId = "cw".parse().unwrap();
        assert!(!place.live.current().await.registry.hook_fits(Some(&id), "a-path-secret", NOW));
        place.set("cw/hook-secret", "a-path-secret").await;
        assert!(place.live.current().await.registry.hook_fits(Some(&id), "a-path-secret", NOW));
        place.set("cw/hook-secret", "another-one").await;
        assert!(!place.live.current().await.registry.hook_fits(Some(&id), "a-path-secret", NOW));
    }
}
