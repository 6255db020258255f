//! The table at the end of `--kills`.

use std::{fmt, time::Duration};

use super::{Happened, count::Counted, crowd::Crowd};

pub(super) struct Table<'a> {
    pub(super) happened: &'a Happened,
    pub(super) crowd: &'a Crowd<'a>,
    pub(super) counted: &'a Counted,
    pub(super) seed: u64,
    pub(super) took: Duration,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { happened, crowd, counted, .. } = self;
        let mut starts = happened.starts.clone();
        starts.sort();
        let lines = [
            ("kills", format!("{}, of them {} while starting", happened.kills, happened.while_starting)),
            ("start to first answer", spread(&starts)),
            (
                "requests",
                format!(
                    "{}: {} granted, {} refused, {} could not be given; {} tickets closed meanwhile",
                    crowd.asked.len(),
                    counted.granted,
                    counted.refused,
                    counted.could_not,
                    crowd.closed
                ),
            ),
            ("callbacks", format!("{}, of them {} that no living service took", counted.callbacks, counted.untaken)),
            ("operators' commands", format!("{}, of them {} cut off or refused", crowd.commands, crowd.cut_off)),
            ("ended, proven off", counted.ended.to_string()),
            ("proven after their time", spread(&counted.overhangs)),
            ("accounts made, notes written", format!("{}, {}", counted.accounts, counted.notes)),
            ("", String::new()),
            ("lost requests", counted.lost.to_string()),
            ("orphaned accounts or access", counted.orphaned.to_string()),
            ("doubled effects", counted.doubled.to_string()),
            ("anything else wrong", self.other().to_string()),
        ];
        writeln!(f)?;
        for (what, value) in lines {
            writeln!(f, "  {what:<30}  {value}")?;
        }
        let (took, rest) = (self.took.as_secs(), happened.to_rest.as_secs());
        writeln!(f, "\n  --seed {}, {took} s, the last {rest} s of them to come to rest.", self.seed)
    }
}

impl Table<'_> {
    fn other(&self) -> usize {
        let Counted { lost, orphaned, doubled, wrong, .. } = self.counted;
        wrong.len() - lost - orphaned - doubled
    }
}

/// Least, middle and most of what is sorted.
fn spread(sorted: &[Duration]) -> String {
    let at = |part: usize| sorted.get((sorted.len() * part / 100).min(sorted.len().saturating_sub(1)));
    match (at(0), at(50), at(99), sorted.last()) {
        (Some(least), Some(middle), Some(p99), Some(most)) => {
            let s = Duration::as_secs_f64;
            format!("{:.2} s least, {:.2} s p50, {:.2} s p99, {:.2} s most", s(least), s(middle), s(p99), s(most))
        }
        _ => "none".to_owned(),
    }
}
