//! The way over a network: TLS with an authority of one's own, or no way at all.

use latchkey_simulators::{
    authority::Authority,
    postgres::{Server as Started, binaries},
};

use super::{lost::Between, *};

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn ca_file(dir: &tempfile::TempDir, authority: &Authority, name: &str) -> std::path::PathBuf {
    let file = dir.path().join(name);
    std::fs::write(&file, authority.ca_pem()).unwrap();
    file
}

/// A server is believed by a certificate of a known authority alone, and never without TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_shows_who_it_is() {
    let Some(bin) = binaries() else { return };
    let (dir, authority, stranger) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    let (port, (certificate, key)) = (free_port(), authority.server_pem(&[]));
    let started = Started::start_tls(&bin, port, &certificate, &key);
    let _database = started.database("secure");
    let ours = ca_file(&dir, &authority, "ours.pem");
    let at = |host: &str, ca: &std::path::Path| {
        let url = format!("postgres://postgres@{host}:{port}/secure").parse().unwrap();
        Server::parse(&url, None, Some(ca)).unwrap()
    };
    for host in ["127.0.0.1", "localhost"] {
        let store = Postgres::open(&at(host, &ours)).await.unwrap();
        before_the_end(&store).await;
        let is_secure: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            .fetch_one(&store.readers)
            .await
            .unwrap();
        assert!(is_secure);
        store.close().await;
        started.ask("secure", "DELETE FROM grants; DELETE FROM deliveries");
    }
    let error = Postgres::open(&at("localhost", &ca_file(&dir, &stranger, "theirs.pem"))).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");

    let Some(plain) = database(SUITE) else { return };
    let between = Between::start(&plain).await;
    let url = format!("postgres://postgres@{}/{}", between.at, plain.url.rsplit('/').next().unwrap());
    let error = Postgres::open(&Server::parse(&url.parse().unwrap(), None, Some(&ours)).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("does not support TLS"), "{error}");
}
