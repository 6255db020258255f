//! What other processes did: told by NOTIFY, and looked for once a second, since a notification can be lost with its
//! connection.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgListener};
use tokio::{task::JoinHandle, time};

use super::{
    Pool,
    history::History,
    lane::{CHANNEL, Voice},
};

/// How often it is looked whether something has changed.
const EVERY: Duration = Duration::from_secs(1);

/// Wakes whoever waits on `voice` when another process has committed something that may be due, or other rules.
pub(super) fn begin(
    readers: &Pool,
    voice: &Voice,
    history: Arc<History>,
    writing: PgConnectOptions,
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(listen(readers.clone(), voice.clone(), history, writing)),
        tokio::spawn(look(readers.clone(), voice.clone())),
    ]
}

/// What ended the connection may have put another history in the database's place: that is looked at before it is listened
/// again, as nobody may have anything to write meanwhile.
async fn listen(readers: Pool, voice: Voice, history: Arc<History>, writing: PgConnectOptions) {
    loop {
        match hear(&readers, &voice).await {
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => {
                tracing::warn!(%error, "notifications do not arrive; changes are found within a second");
                time::sleep(EVERY).await;
            }
            Ok(()) => {}
        }
        while let Err(error) = history.look(&writing).await {
            tracing::warn!(%error, "whether the database is the same as before cannot be seen yet");
            if readers.is_closed() {
                return;
            }
            time::sleep(EVERY).await;
        }
    }
}

/// Until the connection is lost.
async fn hear(readers: &Pool, voice: &Voice) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(readers).await?;
    listener.listen(CHANNEL).await?;
    // Whatever was said before.
    voice.changed.notify_one();
    while let Some(notification) = listener.try_recv().await? {
        if notification.payload() != voice.me {
            voice.changed.notify_one();
        }
    }
    Ok(())
}

/// What differs when somebody has changed the rules or has asked for something.
type Seen = (i64, i64, Option<i64>);

async fn look(readers: Pool, voice: Voice) {
    let mut before: Option<Seen> = None;
    let mut ticks = time::interval(EVERY);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen: Result<Seen, _> = sqlx::query_as(
            "SELECT (SELECT coalesce(max(revision), 0) FROM revisions),
                    (SELECT coalesce(max(id), 0) FROM tasks),
                    (SELECT min(run_at) FROM tasks WHERE state = 'pending')",
        )
        .fetch_one(&readers)
        .await;
        match seen {
            Ok(seen) if before != Some(seen) => {
                before = Some(seen);
                voice.changed.notify_one();
            }
            Err(sqlx::Error::PoolClosed) => return,
            // Whoever reads and writes meanwhile says so.
            Ok(_) | Err(_) => {}
        }
    }
}
