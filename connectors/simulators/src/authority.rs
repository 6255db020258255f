//! A throw-away certificate authority, so that the simulators speak real TLS.
//!
//! The private keys exist in memory only and die with the process.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority made at start. Its certificates are valid for centuries, because the
/// tests move their clocks.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    #[allow(clippy::new_without_default, reason = "making keys is not a default value")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Simulators' throw-away CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, new_key())
            .expect("parameters without names from outside can be signed");
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    /// What a client must trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// TLS for a server reached as `localhost`, `127.0.0.1` or one of `extra_names` (DNS names or
    /// IP addresses).
    ///
    /// # Panics
    /// When an extra name is not ASCII.
    pub fn server_config(&self, extra_names: &[&str]) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(extra_names);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring serves TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the certificate was made for this key");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// The same certificate as PEM texts (certificate, private key), for servers that are not ours.
    ///
    /// # Panics
    /// When an extra name is not ASCII.
    pub fn server_pem(&self, extra_names: &[&str]) -> (String, String) {
        let (certificate, key) = self.issue(extra_names);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, extra_names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> =
            ["localhost", "127.0.0.1"].iter().chain(extra_names).map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("host names are ASCII");
        params.distinguished_name.push(DnType::CommonName, "simulator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = new_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("our own issuer signs our own parameters");
        (certificate, key)
    }
}

/// Makes ring the process's TLS provider, which clients built without one of their own need.
/// Calling it again does no harm.
pub fn use_ring() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("ring makes P-256 keys")
}
