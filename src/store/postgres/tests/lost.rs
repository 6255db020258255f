//! Connections that are lost, COMMITs whose answer is lost, a server that is locked, stopped, or gone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use latchkey_simulators::postgres::{Server as Started, binaries};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
};

use super::*;

/// What stands between the store and its server does with the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fate {
    /// Breaks the connection before the server hears of it.
    LostOnTheWay = 1,
    /// Lets the server commit, and breaks the connection before its answer arrives.
    AnswerLost = 2,
}

/// A way to the server that can be broken at a COMMIT.
#[derive(Debug)]
pub(super) struct Between {
    pub(super) at: SocketAddr,
    fate: Arc<AtomicU8>,
    broken: Arc<AtomicU32>,
}

impl Between {
    pub(super) async fn start(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (fate, broken) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU32::new(0)));
        let host = database.url.trim_start_matches("postgres://postgres@").split('/').next().unwrap();
        let socket = format!("{}/.s.PGSQL.5432", host.replace("%2F", "/"));
        let (fates, count) = (Arc::clone(&fate), Arc::clone(&broken));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&fates), Arc::clone(&count)));
            }
        });
        Self { at, fate, broken }
    }

    fn server(&self, database: &Database) -> Server {
        let name = database.url.rsplit('/').next().unwrap();
        Server::parse(&format!("postgres://postgres@{}/{name}", self.at).parse().unwrap(), None, None).unwrap()
    }

    fn next(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, mut server: UnixStream, fate: Arc<AtomicU8>, broken: Arc<AtomicU32>) {
    let (mut there, mut back) = ([0; 65536], [0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut there) => {
                let Ok(n @ 1..) = read else { return };
                let is_commit = there[..n].windows(7).any(|bytes| bytes == b"COMMIT\0");
                let fate = if is_commit { fate.swap(0, Ordering::SeqCst) } else { 0 };
                if fate != 0 {
                    broken.fetch_add(1, Ordering::SeqCst);
                }
                if fate == Fate::LostOnTheWay as u8 {
                    return;
                }
                server.write_all(&there[..n]).await.unwrap();
                if fate == Fate::AnswerLost as u8 {
                    let answered = server.read(&mut back).await.unwrap();
                    assert!(answered > 0);
                    return;
                }
            }
            read = server.read(&mut back) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&back[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether it was written is looked up, whichever way the answer was lost: nothing is lost, and nothing is doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let Some(database) = database(SUITE) else { return };
    let between = Between::start(&database).await;
    let store = Postgres::open(&between.server(&database)).await.unwrap();
    for (n, fate) in [Fate::AnswerLost, Fate::LostOnTheWay, Fate::AnswerLost].into_iter().enumerate() {
        between.next(fate);
        let id = format!("g{n}");
        let t =
            Transition { grants: vec![grant(&id, "a1", "4711", granting())], audit: vec![entry(&id)], ..transition() };
        store.commit(t).await.unwrap();
        assert_eq!(store.grant(&id.parse().unwrap()).await.unwrap().unwrap().version, 1, "{fate:?}");
        between.next(fate);
        let (id, message) = (format!("d{n}"), format!("m{n}"));
        assert_eq!(store.record_delivery(delivery(&id, &message, None)).await.unwrap(), Recorded::New, "{fate:?}");
        between.next(fate);
        let leased = claim(&store, START).await;
        assert_eq!(leased.iter().map(|task| task.attempt).collect::<Vec<_>>(), [1], "{fate:?}");
        assert!(store.finish(&leased[0].lease, crate::store::Finish::Done).await.unwrap());
    }
    assert_eq!(between.broken.load(Ordering::SeqCst), 9, "each was met");
    let all = store.audit(0, 100).await.unwrap();
    assert_eq!(all.iter().map(|e| e.detail["step"].as_str().unwrap()).collect::<Vec<_>>(), ["g0", "g1", "g2"]);
    assert!(crate::store::verify_chain((0, ""), &all).is_ok());
}

/// Every connection is ended by an administrator: what is asked next is answered as if nothing had been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_comes_back_by_itself() {
    let Some((database, store)) = fresh().await else { return };
    before_the_end(&store).await;
    let mut conn = stranger(&database).await;
    for n in 0..3 {
        execute(
            &mut conn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        store.commit(Transition { audit: vec![entry("x")], ..transition() }).await.unwrap();
        let (id, message) = (format!("x{n}"), format!("x{n}"));
        assert_eq!(store.record_delivery(delivery(&id, &message, None)).await.unwrap(), Recorded::New);
        // A read says so if it meets a connection that has just gone, and the next one does not.
        let began = Instant::now();
        while store.grant(&"g1".parse().unwrap()).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    }
    assert_eq!(store.audit(0, 100).await.unwrap().len(), 4);
}

/// F171: the server stops as it stands, and is started again: what was answered is there, and everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashed_is_waited_for() {
    let Some(bin) = binaries() else { return };
    let mut started = Started::start(&bin);
    let database = started.database("crashed");
    let store = open(&database).await;
    before_the_end(&store).await;
    let restarted = tokio::task::spawn_blocking(move || {
        started.restart();
        started
    });
    let mut errors = Vec::new();
    let began = Instant::now();
    while let Err(error) = store.heartbeat(after(5)).await {
        errors.push(error);
        assert!(began.elapsed() < Duration::from_secs(20), "{errors:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _server = restarted.await.unwrap();
    after_the_end(&store).await;
}

/// The server is gone: each verb says so within bounds, and nothing waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_a_clear_error() {
    let Some(bin) = binaries() else { return };
    let started = Started::start(&bin);
    let database = started.database("gone");
    let store = open(&database).await;
    tokio::task::spawn_blocking(move || drop(started)).await.unwrap();
    let began = Instant::now();
    let error = store.commit(transition()).await.unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("cannot be reached"), "{error:?}");
    assert!(matches!(
        store.record_delivery(delivery("d", "m", None)).await,
        Err(StoreError::Busy | StoreError::Unknown)
    ));
    assert!(store.revision().await.is_err());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

/// Another program holds the tables: writes say within bounds that they are busy, and everything goes on when it lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_busy_and_then_goes_on() {
    let Some((database, store)) = fresh().await else { return };
    let mut holder = stranger(&database).await;
    execute(&mut holder, "BEGIN; LOCK TABLE meta, deliveries, audit IN ACCESS EXCLUSIVE MODE").await;
    let started = Instant::now();
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Busy)));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let started = Instant::now();
    assert!(store.record_delivery(delivery("d", "m", None)).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    execute(&mut holder, "ROLLBACK").await;
    store.heartbeat(after(1)).await.unwrap();
    assert_eq!(store.last_seen().await.unwrap(), Some(after(1)));
    // It may be there from the try that was given up: it is in either case there once.
    assert!(store.record_delivery(delivery("d2", "m", None)).await.is_ok());
    assert_eq!(store.deliveries(false, 10).await.unwrap().len(), 1);
}

/// Somebody holds the tables while a process starts: it waits for them, and finds what was answered before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_a_locked_database() {
    let Some((database, store)) = fresh().await else { return };
    before_the_end(&store).await;
    store.close().await;
    let mut holder = stranger(&database).await;
    execute(&mut holder, "BEGIN; LOCK TABLE meta, writers IN ACCESS EXCLUSIVE MODE").await;
    let mut starting = std::pin::pin!(open(&database));
    let opened = tokio::time::timeout(Duration::from_secs(1), starting.as_mut()).await;
    assert!(opened.is_err(), "it has opened what nobody can read");
    execute(&mut holder, "ROLLBACK").await;
    after_the_end(&starting.await).await;
}

/// A process stands still in the middle of a transaction, with the lock in its hand: the server ends it, others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_still_with_the_lock_does_not_keep_others_from_writing() {
    let Some((database, store)) = fresh().await else { return };
    let mut conn = sqlx::ConnectOptions::connect(&server(&database).writing()).await.unwrap();
    execute(&mut conn, super::super::lane::Lock::Writing.begin()).await;
    let began = Instant::now();
    while store.heartbeat(START).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert!(began.elapsed() > Duration::from_secs(3), "it was held up");
    assert!(sqlx::raw_sql("COMMIT").execute(&mut conn).await.is_err(), "who wakes up late has lost it");
}

/// Another program's transaction and ours want each other's rows: ours is undone, and done again when that one is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_crossed_tries_again() {
    let Some((database, store)) = fresh().await else { return };
    let grants = vec![grant("g1", "a1", "1", granting()), grant("g2", "a2", "2", granting())];
    store.commit(Transition { grants, ..transition() }).await.unwrap();
    let mut other = stranger(&database).await;
    execute(&mut other, "SET deadlock_timeout = '30s'; BEGIN; UPDATE grants SET state = state WHERE id = 'g1'").await;
    let mut grants = Vec::new();
    for id in ["g2", "g1"] {
        grants.push(store.grant(&id.parse().unwrap()).await.unwrap().unwrap());
    }
    let ours = store.commit(Transition { grants, audit: vec![entry("once")], ..transition() });
    let theirs = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        execute(&mut other, "UPDATE grants SET state = state WHERE id = 'g2'; COMMIT").await;
    };
    let (ours, ()) = tokio::join!(ours, theirs);
    ours.unwrap();
    assert_eq!(store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap().version, 2);
    assert_eq!(store.audit(0, 10).await.unwrap().len(), 1);
}
