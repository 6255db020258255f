//! What must not be written down is looked for in everything that is.

use std::{
    io,
    sync::{Arc, Mutex},
};

use latchkey_contract::{
    Secret, TicketSystem,
    ticket::{NoteKey, NoteText},
};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use crate::world::{World, board_id, delivery, hook_url, wanted};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// I5
#[tokio::test]
async fn no_secret_gets_into_a_log_or_an_error() {
    let w = World::start().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let mut told = Vec::new();
    let echo = json!({"code": "InvalidObject", "message": "text canary-note is bad, url canary-path is bad"});
    let refused = Act::Answer { status: 400, retry_after: None, body: echo };
    w.sim.faults().add(Fault::on("POST /system/callbacks", refused.clone()).once());
    let url = hook_url("canary-path");
    told.push(format!("{:?}", w.cw.sync_webhooks(&wanted(&url, &[board_id(w.board)])).await.unwrap_err()));
    w.cw.sync_webhooks(&wanted(&url, &[board_id(w.board)])).await.unwrap();
    told.push(format!("{:?}", w.cw.webhooks().await.unwrap()));

    let (id, sent) = w.request().await;
    told.push(format!("{:?} {:?}", w.cw.verify(&sent).await.unwrap(), sent));
    told.push(format!("{:?}", w.cw.verify(&delivery(&sent.body, Some(&w.neighbour.sign(&sent.body)))).await));
    told.push(format!("{:?}", w.restarted().verify(&delivery(b"{}", Some(&w.msp.sign(b"{}")))).await));

    let (text, key) = (NoteText(Secret::new("canary-note".into())), NoteKey("k".into()));
    for act in [refused, Act::ResetAfter] {
        w.sim.faults().add(Fault::on("POST /service/tickets/{id}/notes", act).once());
        told.push(format!("{:?}", w.cw.post(&id, &text, &key).await.unwrap_err()));
    }
    let posted = w.cw.post(&id, &text, &key).await.unwrap();
    told.push(format!("{posted:?} {text:?}"));
    w.cw.overwrite(&posted.notes[0], "Removed.", &key).await.unwrap();
    w.cw.remove_webhooks(&url).await.unwrap();
    told.push(format!("{:?}", w.cw));

    told.push(String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned());
    let told = told.join("\n");
    assert!(told.contains("POST /service/tickets/{id}/notes"), "the log was listened to");
    let (guid, secret) = (w.msp.key().id.to_string(), w.msp.key().secret);
    // The simulator lives in this process and may say what it likes.
    for canary in ["canary-note", "canary-path", &*guid, &*secret, &*w.api.private_key] {
        if let Some(line) = told.lines().find(|line| line.contains(canary) && !line.contains("latchkey_simulators")) {
            panic!("{canary} was written down: {line}");
        }
    }
}
