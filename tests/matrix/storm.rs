//! What the weather does.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use latchkey_simulators::postgres::Server;

use crate::{
    bench::Bench,
    weather::{Storm, Weather},
};

/// As many as a PSA that went mad sends.
const REPLAYS: usize = 10_000;

/// How many it sends at once.
const AT_ONCE: usize = 8;

pub(crate) fn of(weather: Weather, bench: &Bench, server: Option<Arc<Mutex<Server>>>) -> Storm {
    let own = move || Arc::clone(server.as_ref().expect("a server of its own"));
    match weather {
        Weather::ServerRestarts => {
            let server = own();
            Storm::new(move || server.lock().unwrap().restart_in_peace())
        }
        Weather::ServerStopsAtOnce => {
            let server = own();
            Storm::new(move || server.lock().unwrap().restart())
        }
        Weather::FailedOver => {
            let server = own();
            Storm::new(move || server.lock().unwrap().fail_over())
        }
        Weather::NoConnectionLeft => {
            let server = own();
            Storm::new(move || {
                let ask = |sql: &str| drop(server.lock().unwrap().ask("postgres", sql));
                ask("ALTER ROLE latchkey CONNECTION LIMIT 0");
                ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'latchkey'");
                thread::sleep(Duration::from_secs(3));
                ask("ALTER ROLE latchkey CONNECTION LIMIT -1");
            })
        }
        Weather::SessionsEnded => {
            let database = bench.app.on_server().expect("it is on a server");
            Storm::new(move || {
                for _ in 0..3 {
                    database.end_sessions();
                    thread::sleep(Duration::from_millis(200));
                }
            })
        }
        Weather::Replays => replays(bench),
    }
}

/// The newest delivery that was taken, again and again.
fn replays(bench: &Bench) -> Storm {
    let (sim, url) = (bench.app.psa.sim.clone(), bench.app.hook());
    Storm::new(move || {
        let newest = sim.deliveries().into_iter().rev().find(|delivery| delivery.status == Some(202));
        let delivery = newest.expect("something was delivered");
        let (body, signature) = (delivery.body, delivery.signature.unwrap_or_default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = url.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                let client = reqwest::Client::new();
                let mut senders = tokio::task::JoinSet::new();
                for _ in 0..AT_ONCE {
                    let (client, url, body, signature) = (client.clone(), url.clone(), body.clone(), signature.clone());
                    senders.spawn(async move {
                        for _ in 0..REPLAYS / AT_ONCE {
                            let sent = client.post(&url).header("content-type", "application/json");
                            let sent = sent.header("x-content-signature", &signature).body(body.clone()).send().await;
                            // While the service starts nobody answers.
                            let Ok(status) = sent.map(|answer| answer.status().as_u16()) else { continue };
                            assert!([200, 202, 409, 429, 503].contains(&status), "{status}");
                        }
                    });
                }
                while let Some(sent) = senders.join_next().await {
                    sent.unwrap();
                }
            });
        })
        .join()
        .unwrap();
    })
}
