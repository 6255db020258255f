//! TLS of the service's own: a certificate and its key from two files, which are looked at again while it runs.
//!
//! A new pair is in force for the next connection; one that does not fit is refused, and the one before goes on.

use std::{
    fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use latchkey_contract::{Clock, Timestamp};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::seal::KeyFile;

/// Chains and keys are far shorter.
const LARGEST: u64 = 1024 * 1024;

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// From when on the end of a certificate is told.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Where certificate and key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its key in PEM.
    pub key: KeyFile,
}

/// Why a pair cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system refused.
    #[error("{0} cannot be read; it must be a file that the user of the service may read")]
    Unreadable(PathBuf, #[source] io::Error),
    /// Others may read the key.
    #[error("the key {path} may be read by others (mode {mode:04o}); run: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not what it should be.
    #[error("{0} is not {1}")]
    Bad(PathBuf, &'static str),
    /// Two files that do not belong together.
    #[error(
        "the first certificate in {certificate} was not made for the key in {key}; the server's own comes first in it"
    )]
    Mismatch {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A new pair that would end what still works.
    #[error("the certificate in {0} expired at {1}")]
    Expired(PathBuf, Timestamp),
}

/// A chain and the key that it was made for.
#[derive(Debug, Clone)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// Until when the server's own certificate is good.
    pub not_after: Timestamp,
    digest: [u8; 32],
}

impl Pair {
    /// Reads and checks both files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let (certificate, key) = (&files.certificate, files.key.path());
        let chain = read(certificate)?;
        refuse_open(&files.key)?;
        let secret = read(key)?;
        let digest = Sha256::new().chain_update(&*chain).chain_update(b"|").chain_update(&*secret).finalize().into();
        let bad = |what| move |_| TlsError::Bad(certificate.clone(), what);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(bad("a chain of certificates in PEM"))?;
        let [own, ..] = chain.as_slice() else {
            return Err(TlsError::Bad(certificate.clone(), "a chain of certificates in PEM: there is none in it"));
        };
        let not_after =
            not_after(own).ok_or_else(|| TlsError::Bad(certificate.clone(), "a certificate of a server"))?;
        let secret = PrivateKeyDer::from_pem_slice(&secret)
            .map_err(|_| TlsError::Bad(key.to_owned(), "a private key in PEM"))?;
        let fitted = CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: certificate.clone(), key: key.to_owned() }
            }
            _ => TlsError::Bad(
                key.to_owned(),
                "a key that TLS can use: RSA, P-256, P-384 or Ed25519, without a password",
            ),
        })?;
        Ok(Self { key: Arc::new(fitted), not_after, digest })
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        // A chain without one was refused as it was loaded.
        self.key.cert.first().expect("a pair has a certificate")
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable(path.to_owned(), error);
    // Asked before it is opened: opening a pipe waits for whoever writes into it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TlsError::Bad(path.to_owned(), "a file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn refuse_open(key: &KeyFile) -> Result<(), TlsError> {
    let path = key.path();
    let mode = fs::metadata(path).map_err(|error| TlsError::Unreadable(path.to_owned(), error))?.mode() & 0o7777;
    if key.is_open(mode) { Err(TlsError::Open { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// Until when a certificate is good; `None` where it is none.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    parsed.validity().not_after.timestamp().checked_mul(1000).map(Timestamp::from_millis)
}

/// The pair in force, and what is done to keep it so.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    current: RwLock<Pair>,
    told: Mutex<Told>,
}

/// What was logged already.
#[derive(Debug, Default)]
struct Told {
    refused: Option<String>,
    end: Option<Timestamp>,
}

impl Tls {
    /// Loads the first pair. One that has expired is taken: nothing would be gained by not starting.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Pair::load(&files)?);
        Ok(Arc::new(Self { files, clock, current, told: Mutex::default() }))
    }

    /// TLS 1.2 and 1.3, with whichever pair is in force when somebody comes.
    ///
    /// # Errors
    /// When the provider does not know these versions.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Looks at the files once a minute, and when it is told to.
    pub async fn watch(self: Arc<Self>, reload: Arc<Notify>) {
        let mut is_asked = false;
        loop {
            let looking = Arc::clone(&self);
            // It can only fail by a panic, and looks again all the same.
            let _ = tokio::task::spawn_blocking(move || looking.look(is_asked)).await;
            is_asked = tokio::select! {
                () = reload.notified() => true,
                () = self.sleep() => false,
            };
        }
    }

    async fn sleep(&self) {
        let until = self.clock.now() + LOOK_AGAIN;
        while self.clock.now() < until {
            self.clock.sleep_until(until).await;
        }
    }

    /// Takes a new pair if it fits, and says what an operator should know.
    fn look(&self, is_asked: bool) {
        let now = self.clock.now();
        match self.newer(now) {
            Ok(Some(pair)) => {
                tracing::info!(not_after = %pair.not_after, "a new certificate is in force");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = pair;
                *self.told() = Told::default();
            }
            Ok(None) => {
                if is_asked {
                    tracing::info!("the certificate is the one that is in force already");
                }
                self.told().refused = None;
            }
            Err(error) => self.refuse(error, is_asked),
        }
        self.tell_the_end(now);
    }

    fn newer(&self, now: Timestamp) -> Result<Option<Pair>, TlsError> {
        let (pair, current) = (Pair::load(&self.files)?, self.current());
        if pair.digest == current.digest {
            return Ok(None);
        }
        if pair.not_after <= now && now < current.not_after {
            return Err(TlsError::Expired(self.files.certificate.clone(), pair.not_after));
        }
        Ok(Some(pair))
    }

    /// Once for each reason, and whenever somebody asked.
    fn refuse(&self, error: TlsError, is_asked: bool) {
        let why = format!("{:#}", anyhow::Error::new(error));
        if is_asked || self.told().refused.as_ref() != Some(&why) {
            tracing::error!(why, "the certificate on disk cannot be used; the one before goes on");
        }
        self.told().refused = Some(why);
    }

    /// Once a day, from two weeks before.
    fn tell_the_end(&self, now: Timestamp) {
        let not_after = self.current().not_after;
        let mut told = self.told();
        if not_after.since(now) > SOON || told.end.is_some_and(|last| now.since(last) < DAY) {
            return;
        }
        told.end = Some(now);
        if not_after <= now {
            tracing::error!(%not_after, "the certificate has expired, so browsers and PSAs turn away; put a new one in its place");
        } else {
            tracing::warn!(%not_after, "the certificate expires within two weeks; put a new one in its place");
        }
    }

    fn current(&self) -> Pair {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key)
    }
}

#[cfg(test)]
mod tests;
