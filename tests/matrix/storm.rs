//! What the weather does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use latchkey_simulators::postgres::Server;

use crate::{
    bench::Bench,
    weather::{Phase, SESSIONS_ENDED, Storm, Weather},
};

/// As many as a PSA that went mad sends.
const REPLAYS: usize = 10_000;

/// In the place of a status, where there was no answer.
const NOBODY: u16 = 0;

/// How many it sends at once.
const AT_ONCE: usize = 8;

pub(crate) fn of(weather: Weather, bench: &Bench, phase: Phase, server: Option<Arc<Mutex<Server>>>) -> Storm {
    let own = move || Arc::clone(server.as_ref().expect("a server of its own"));
    let clock = bench.app.clock.clone();
    match weather {
        Weather::ServerRestarts => {
            let server = own();
            Storm::new(&clock, move || server.lock().unwrap().restart_in_peace())
        }
        Weather::ServerStopsAtOnce => {
            let server = own();
            Storm::new(&clock, move || server.lock().unwrap().restart())
        }
        Weather::FailedOver => {
            let server = own();
            Storm::new(&clock, move || server.lock().unwrap().fail_over())
        }
        Weather::NoConnectionLeft => {
            let server = own();
            Storm::new(&clock, move || {
                let ask = |sql: &str| drop(server.lock().unwrap().ask("postgres", sql));
                ask("ALTER ROLE latchkey CONNECTION LIMIT 0");
                ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'latchkey'");
                thread::sleep(Duration::from_secs(3));
                ask("ALTER ROLE latchkey CONNECTION LIMIT -1");
            })
        }
        Weather::SessionsEnded => {
            let database = bench.app.on_server().expect("it is on a server");
            Storm::new(&clock, move || {
                for _ in 0..SESSIONS_ENDED {
                    database.end_sessions();
                    thread::sleep(Duration::from_millis(200));
                }
            })
        }
        Weather::Replays => replays(bench, phase),
    }
}

/// All deliveries that were taken, again and again.
fn replays(bench: &Bench, phase: Phase) -> Storm {
    let (sim, url, clock) = (bench.app.psa.sim.clone(), bench.app.hook(), bench.app.clock.clone());
    Storm::new(&clock, move || {
        let taken = sim.deliveries().into_iter().filter(|delivery| delivery.status == Some(202));
        let taken: Arc<Vec<(Vec<u8>, String)>> =
            Arc::new(taken.map(|delivery| (delivery.body, delivery.signature.unwrap_or_default())).collect());
        assert!(!taken.is_empty(), "something was delivered");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = url.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                let client = reqwest::Client::new();
                let mut senders = tokio::task::JoinSet::new();
                for sender in 0..AT_ONCE {
                    let (client, url, taken) = (client.clone(), url.clone(), Arc::clone(&taken));
                    senders.spawn(async move {
                        let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
                        for n in 0..REPLAYS / AT_ONCE {
                            let (body, signature) = &taken[(n * AT_ONCE + sender) % taken.len()];
                            let sent = client.post(&url).header("content-type", "application/json");
                            let sent = sent.header("x-content-signature", signature).body(body.clone()).send().await;
                            *answers.entry(sent.map_or(NOBODY, |answer| answer.status().as_u16())).or_default() += 1;
                        }
                        answers
                    });
                }
                let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
                while let Some(sent) = senders.join_next().await {
                    sent.unwrap().into_iter().for_each(|(status, n)| *answers.entry(status).or_default() += n);
                }
                assert_eq!(answers.values().sum::<usize>(), REPLAYS);
                // While the service starts nobody answers, or it asks to come again.
                let may_be: &[u16] = if phase == Phase::Restart { &[200, 202, 503, NOBODY] } else { &[200, 202] };
                assert!(answers.keys().all(|status| may_be.contains(status)), "{answers:?}");
            });
        })
        .join()
        .unwrap();
    })
}
