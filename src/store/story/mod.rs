//! The story that every engine tells: each chapter takes a fresh store and knows nothing of the engine.
//!
//! `tell!` makes one test per chapter, so that a second engine is held to every one of them.

mod access;
mod audit;
mod model;
mod people;
mod sample;
mod tasks;
mod watched;

pub(crate) use access::*;
pub(crate) use audit::*;
pub(crate) use people::*;
pub(crate) use sample::*;
pub(crate) use tasks::*;
pub(crate) use watched::*;

/// One test per chapter. `$fresh` is an async function that answers a guard and a fresh store.
macro_rules! tell {
    ($fresh:path: $($chapter:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $chapter() {
            let (_guard, store) = $fresh().await;
            crate::store::story::$chapter(&store).await;
        }
    )+};
}
pub(crate) use tell;
