//! apalis: its worker takes what [`super::fetch`] hands over and runs it. No other file names it.
//!
//! apalis' own storages are not used; the backend here is a channel, and what becomes of a task is
//! written by the job itself. So nothing depends on its polling, acknowledging or retrying.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{Monitor, WorkerBuilder};
use apalis_core::{
    backend::custom::BackendBuilder,
    error::BoxDynError,
    task::{Task as Carried, builder::TaskBuilder, task_id::TaskId},
    worker::{event::Event, ext::parallelize::ParallelizeExt as _},
};
use futures::{SinkExt as _, StreamExt as _, stream};
use tokio::sync::{Mutex, Notify, mpsc};

use super::{Shared, Stop};
use crate::jobs::task::Task;

/// How often the worker shows that it is being polled.
pub(super) const PULSE: Duration = Duration::from_secs(1);

/// Runs the worker until the queue is stopped; running jobs end first.
pub(super) async fn execute(shared: Arc<Shared>, taken: mpsc::Receiver<Task>) {
    let _end = End(Arc::clone(&shared));
    let (taken, exited) = (Arc::new(Mutex::new(taken)), Arc::new(Notify::new()));
    let (on_exit, stopping) = (Arc::clone(&exited), Arc::clone(&shared));
    let signal = async move {
        // apalis reports success even when every worker died, and waits for its signal for ever.
        tokio::select! {
            () = stopping.stopped(Stop::Draining) => {}
            () = exited.notified() => {}
        }
        Ok(())
    };
    let worker = Arc::clone(&shared);
    let ended = Monitor::new()
        .should_restart(|_, error| {
            tracing::error!(%error, "the worker failed and is started again");
            true
        })
        .on_event(move |_, event| {
            if matches!(event, Event::Exit) {
                on_exit.notify_one();
            }
        })
        .register(move |_| {
            let (shared, taken) = (Arc::clone(&worker), Arc::clone(&taken));
            let backend = BackendBuilder::new()
                .database((Arc::clone(&shared), taken))
                .fetcher(|(shared, taken), (), _| stream::unfold((Arc::clone(shared), Arc::clone(taken)), next).boxed())
                .sink(|_, ()| futures::sink::drain().sink_map_err(BoxDynError::from))
                .build()
                .expect("database, fetcher and sink are given above");
            WorkerBuilder::new("latchkey").backend(backend).parallelize(tokio::spawn).build(move |task: Task| {
                let shared = Arc::clone(&shared);
                async move { shared.work(task).await }
            })
        })
        .run_with_signal(signal)
        .await;
    match ended {
        Ok(()) if shared.is_stopping() => {}
        Ok(()) => tracing::error!("the worker ended although nobody stopped it"),
        Err(error) => tracing::error!(%error, "the worker ended"),
    }
}

/// However the worker ends, also by a panic, the queue is not alive any more.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.health.end();
        self.0.wake.notify_one();
    }
}

type Taken = Arc<Mutex<mpsc::Receiver<Task>>>;
type Next = Option<(Result<Option<Carried<Task>>, BoxDynError>, (Arc<Shared>, Taken))>;

/// The next task. The stream never fails, and ends only with the queue: an end would end the worker.
async fn next((shared, taken): (Arc<Shared>, Taken)) -> Next {
    loop {
        shared.health.worker_beats();
        let received = tokio::time::timeout(PULSE, async { taken.lock().await.recv().await }).await;
        match received {
            Ok(Some(task)) => {
                let id = TaskId::from_string(task.lease.task.clone());
                let carried = TaskBuilder::new(task).task_id(id).build();
                return Some((Ok(Some(carried)), (shared, taken)));
            }
            Ok(None) => return None,
            Err(_) => {}
        }
    }
}
