use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;
use crate::telemetry::{LogFormat, LogLevel, subscriber};

#[derive(Debug)]
struct Hands(Mutex<Timestamp>);

#[async_trait::async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep_until(&self, _: Timestamp) {}
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Place {
    dir: TempDir,
    clock: Arc<Hands>,
}

/// Certificate and key that end with this year.
fn made(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Place {
    fn new() -> Self {
        let now = Timestamp::parse("2026-06-09T12:00:00Z").unwrap();
        let place = Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(Hands(Mutex::new(now))) };
        place.put(&made(2030));
        place
    }

    fn put(&self, (certificate, key): &(String, String)) {
        let files = self.files();
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(files.key.path(), key).unwrap();
        fs::set_permissions(files.key.path(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn files(&self) -> TlsFiles {
        let at = |name| self.dir.path().join(name);
        TlsFiles { certificate: at("chain.pem"), key: KeyFile::Own(at("key.pem")) }
    }

    fn open(&self) -> Arc<Tls> {
        Tls::open(self.files(), Arc::<Hands>::clone(&self.clock)).unwrap()
    }

    fn refused(&self) -> String {
        Pair::load(&self.files()).unwrap_err().to_string()
    }

    fn at(&self, time: &str) {
        *self.clock.0.lock().unwrap() = Timestamp::parse(time).unwrap();
    }
}

/// What a look logs.
fn look(tls: &Tls, is_asked: bool) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = subscriber(LogFormat::Json, LogLevel::Info, move || writer.clone());
    tracing::subscriber::with_default(log, || tls.look(is_asked));
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_pair_that_does_not_fit_is_refused_with_what_is_wrong() {
    let place = Place::new();
    let (good, other) = (made(2030), made(2030));
    assert!(Pair::load(&place.files()).is_ok());
    for ((certificate, key), wrong) in [
        ((&good.0, &other.1), "was not made for the key"),
        ((&good.1, &good.1), "there is none in it"),
        ((&"-----BEGIN CERTIFICATE-----\n*\n".to_owned(), &good.1), "chain of certificates in PEM"),
        ((&good.0, &good.0), "not a private key in PEM"),
        ((&good.0, &String::new()), "not a private key in PEM"),
        ((&good.0, &good.1.replace("MIG", "MIH")), "key that TLS can use"),
    ] {
        place.put(&(certificate.clone(), key.clone()));
        let refused = place.refused();
        assert!(refused.contains(wrong), "{wrong}: {refused}");
        assert!(!refused.contains(&good.1[40..60]), "the key is not told");
    }
    place.put(&good);
    for mode in [0o640, 0o604] {
        fs::set_permissions(place.files().key.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(place.refused().contains("chmod 600"));
    }
    fs::remove_file(place.files().certificate).unwrap();
    assert!(place.refused().contains("chain.pem cannot be read"));
    fs::create_dir(place.files().certificate).unwrap();
    assert!(place.refused().contains("chain.pem is not a file"));
}

/// F176: files that change are taken up, and a pair that does not fit leaves the one before in force.
#[test]
fn a_new_pair_is_taken_if_it_fits_and_told_once_if_not() {
    let place = Place::new();
    let tls = place.open();
    let first = tls.current().digest;
    assert_eq!(look(&tls, false), "");
    assert!(look(&tls, true).contains("in force already"), "whoever asks is answered");

    let next = made(2031);
    place.put(&(next.0.clone(), made(2031).1));
    let refused = look(&tls, false);
    assert!(refused.contains("\"ERROR\"") && refused.contains("was not made for the key"), "{refused}");
    assert_eq!(look(&tls, false), "", "once is enough");
    assert!(look(&tls, true).contains("\"ERROR\""), "but whoever asks is answered");
    assert_eq!(tls.current().digest, first);

    place.put(&next);
    assert!(look(&tls, false).contains("a new certificate is in force"));
    assert_ne!(tls.current().digest, first);
    place.put(&made(2025));
    assert!(look(&tls, false).contains("expired at 2025-12-31"));
    assert_eq!(tls.current().not_after, Timestamp::parse("2031-12-31T00:00:00Z").unwrap());
}

#[test]
fn the_end_of_a_certificate_is_told_daily_from_two_weeks_before() {
    let place = Place::new();
    let tls = place.open();
    for (time, told) in [
        ("2030-12-16T23:59:00Z", ""),
        ("2030-12-17T00:00:00Z", "WARN"),
        ("2030-12-17T23:59:00Z", ""),
        ("2030-12-18T00:00:00Z", "WARN"),
        ("2030-12-31T00:00:00Z", "ERROR"),
        ("2031-01-01T00:00:00Z", "ERROR"),
    ] {
        place.at(time);
        let log = look(&tls, false);
        assert!(log.contains(told) && log.is_empty() == told.is_empty(), "{time}: {log}");
    }
    place.put(&made(2035));
    assert!(look(&tls, false).contains("a new certificate is in force"));
    assert_eq!(look(&tls, false), "");
}
