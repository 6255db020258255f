//! Each story without anything going wrong: from what it comes by the cells are made, and each cell's end is held
//! against its end.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    bench::Bench,
    harness::stranger::On,
    invariants, pool, post,
    story::{Fate, Story},
    view::View,
    wrong::Wrong,
};

/// A story as it goes when all is well.
#[derive(Debug)]
pub(crate) struct Clean {
    pub(crate) story: Story,
    pub(crate) fate: Fate,
    pub(crate) view: View,
    /// How often each commit was made.
    pub(crate) commits: BTreeMap<String, usize>,
}

pub(crate) type Cleans = BTreeMap<Story, Arc<Clean>>;

/// All of them; the one with mails where there is a mail server.
pub(crate) fn record(on: On) -> Cleans {
    let stories = Story::ALL.into_iter().filter(|story| *story != Story::Mail || post::is_there()).collect();
    let one = |story: Story| (story, pool::in_a_world_of_its_own(play(on, story)));
    let clean = pool::a_few(stories, one).into_iter();
    clean
        .map(|(story, clean)| {
            let clean = clean.unwrap_or_else(|why| panic!("{} with nothing wrong: {why}", story.name()));
            (story, Arc::new(clean))
        })
        .collect()
}

async fn play(on: On, story: Story) -> Clean {
    let mut bench = Bench::start(on, story, Wrong::Nothing).await;
    let fate = story.play(&mut bench).await;
    bench.stop().await;
    let view = bench.view().await;
    invariants::check(&bench).await;
    bench.end().await;
    let mut commits = BTreeMap::new();
    for line in &view.trace {
        if let Some((name, nth)) = line.strip_prefix("after ").and_then(|line| line.rsplit_once(" #")) {
            commits.insert(name.to_owned(), nth.parse().unwrap());
        }
    }
    Clean { story, fate, view, commits }
}
