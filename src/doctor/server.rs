//! A PostgreSQL server and the database on it, in the place of the file. What was looked at once is judged in several lines.

use std::time::Duration;

use latchkey_contract::Clock;

use super::{Doctor, HERE, Line, place, slow};
use crate::{
    clock_guard::{APART, Doubt},
    config::Config,
    generation::{Counter, Standing},
    jobs::chain,
    store::{
        Database,
        postgres::{Found, Look, OpenError, Replicas, Schema, Server},
    },
};

const DATABASE: &str = "database";

/// What came of looking at the server.
#[derive(Debug)]
pub(super) enum Seen {
    /// Everything.
    All(Look),
    /// Why it is not to be used.
    Not(Line),
}

/// `None` where the database is a file.
pub(super) async fn look(config: &Config, clock: &dyn Clock) -> Option<Seen> {
    let Database::Postgres(server) = &config.database else { return None };
    Some(match tokio::time::timeout(HERE, Look::at(server, clock)).await {
        Ok(Ok(look)) => Seen::All(look),
        Ok(Err(error)) => Seen::Not(closed(&error)),
        Err(_) => Seen::Not(slow(DATABASE, "server", HERE)),
    })
}

impl Seen {
    pub(super) const fn all(&self) -> Option<&Look> {
        match self {
            Self::All(look) => Some(look),
            Self::Not(_) => None,
        }
    }

    /// How many processes work on it.
    pub(super) fn at_work(&self) -> i64 {
        self.all().map_or(0, |look| look.replicas.processes)
    }
}

/// Why it is not opened.
pub(super) fn closed(error: &OpenError) -> Line {
    let what = match error {
        OpenError::Newer { .. } | OpenError::Altered { .. } => "schema",
        _ => "server",
    };
    Line::red(DATABASE, what, chain(error))
}

/// What [`place::database`] sees of a file.
pub(super) async fn database(doctor: &Doctor, server: &Server, seen: Seen) -> Vec<Line> {
    let found = seen.all().map_or(Found::Usual, |look| look.found);
    let counter = Counter::at(&doctor.config.generation_file);
    let asked = async {
        let touched = place::touch(doctor).await;
        (touched, doctor.store.revision().await, counter.standing_beside(&*doctor.store, found == Found::InUse).await)
    };
    let asked = tokio::time::timeout(HERE, asked).await;
    let mut lines = match seen {
        Seen::Not(line) => vec![line],
        Seen::All(look) => {
            let reached = format!("{}, PostgreSQL {}, as user {}", server.shown(), look.version, look.user);
            let revision = asked.as_ref().ok().and_then(|(_, revision, _)| revision.as_ref().ok());
            let mut lines = vec![Line::ok(DATABASE, "server", reached)];
            lines.extend(schema(look.schema, revision.copied()));
            lines.extend([durable(&look.settings), replicas(&look.replicas)]);
            lines
        }
    };
    match asked {
        Ok((touched, _, standing)) => {
            let full = "the server's disk is full, and nothing is written, not even removals: make room there";
            let look = "look at the server's log, and at who holds its tables (pg_stat_activity)";
            lines.extend([
                place::written(touched, full, look),
                place::age(standing.map(|standing| noted(standing, found))),
            ]);
        }
        Err(_) => lines.push(slow(DATABASE, "time", HERE)),
    }
    lines.push(place::disk_of(&doctor.config));
    lines
}

/// A service that starts on it would find out, and note it.
fn noted(standing: Standing, found: Found) -> Standing {
    match standing {
        Standing::Current if found == Found::Elsewhere => Standing::Older(
            "it has another history than the one that was used here: a standby took over, or a copy was put in its place"
                .to_owned(),
        ),
        standing => standing,
    }
}

/// A revision that cannot be read is told where the rules are.
fn schema(schema: Schema, revision: Option<i64>) -> Option<Line> {
    const WHAT: &str = "schema";
    let in_force = revision.map(|revision| format!("; revision {revision} is in force")).unwrap_or_default();
    match schema {
        Schema::Ours(migration) => {
            Some(Line::ok(DATABASE, WHAT, format!("this program's, migration {migration}{in_force}")))
        }
        Schema::Later(migration) => Some(Line::note(
            DATABASE,
            WHAT,
            format!("a later release's (migration {migration}), with which this one still works: replace it soon"),
        )),
        Schema::Empty | Schema::Older(_) => unopened(schema, "the database"),
    }
}

/// What a start would make or change.
pub(super) fn unopened(schema: Schema, database: &str) -> Option<Line> {
    let to_do = match schema {
        Schema::Empty => format!(
            "there is nothing in {database} yet: begin with latchkey init, or move what a file holds: latchkey migrate --from \
             sqlite --to postgres; if there should be something, correct url under [database]"
        ),
        Schema::Older(migration) => format!(
            "{database} is of an earlier release (migration {migration}): copy it with pg_dump, then start the service of this \
             one, which brings it up"
        ),
        Schema::Ours(_) | Schema::Later(_) => return None,
    };
    Some(Line::red(DATABASE, "schema", to_do))
}

fn durable(settings: &[(&'static str, String)]) -> Line {
    const WHAT: &str = "durability";
    let off: Vec<&(&str, String)> = settings.iter().filter(|(_, value)| value != "on").collect();
    match off.iter().find(|(name, _)| *name != "full_page_writes").or(off.first()) {
        None => Line::ok(DATABASE, WHAT, "what is acknowledged is on the server's disk"),
        Some((name, value)) if *name == "full_page_writes" => Line::note(
            DATABASE,
            WHAT,
            format!("{name} is {value} on the server: only for a file system that never writes half a page"),
        ),
        Some((name, value)) => {
            let to_do = format!(
                "{name} is {value}, so what was acknowledged is lost when the server's power fails: set it to on in the \
                 server's configuration, and take away any pooler in between that keeps it from being set"
            );
            Line::red(DATABASE, WHAT, to_do)
        }
    }
}

fn replicas(Replicas { processes, from, newest_write }: &Replicas) -> Line {
    let who = match processes {
        0 => "no process works on it now".to_owned(),
        1 => "1 process works on it".to_owned(),
        many => format!("{many} processes work on it"),
    };
    let places = if from.is_empty() { String::new() } else { format!(", connected from {}", from.join(", ")) };
    let last = newest_write.map(|ago| format!("; the newest write is {} s old", ago.as_secs())).unwrap_or_default();
    Line::ok(DATABASE, "replicas", format!("{who}{places}{last}"))
}

/// Two clocks are compared, unless somebody moves one by hand.
pub(super) fn clock(apart: Option<Duration>) -> Line {
    const WHAT: &str = "database server";
    match apart {
        None => Line::note("clock", WHAT, "it took too long to tell how far apart the two clocks are: try again"),
        Some(apart) if apart > APART => {
            let to_do = format!(
                "{}, by {} s, and nothing is granted here: set both by NTP (timedatectl set-ntp true)",
                Doubt::OffDatabase.sentence(),
                apart.as_secs()
            );
            Line::red("clock", WHAT, to_do)
        }
        Some(_) => Line::ok("clock", WHAT, format!("less than {} s apart", APART.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_durability_rests_on_is_red_when_it_is_off() {
        let of = |fsync: &str, commit: &str, pages: &str| {
            let settings = [("fsync", fsync), ("synchronous_commit", commit), ("full_page_writes", pages)];
            durable(&settings.map(|(name, value)| (name, value.to_owned())))
        };
        assert_eq!(of("on", "on", "on").word(), "ok");
        assert_eq!(of("on", "on", "off").word(), "note");
        assert!(
            of("on", "local", "off").to_string().starts_with("fault database: durability: synchronous_commit is local")
        );
        assert!(of("off", "on", "on").to_string().contains("fsync is off"));
    }

    #[test]
    fn clocks_are_red_where_a_service_would_give_nothing() {
        let word = |apart: Duration| clock(Some(apart)).word();
        assert_eq!([word(APART), word(APART + Duration::from_millis(1))], ["ok", "fault"]);
        assert_eq!(clock(None).word(), "note");
    }

    #[test]
    fn replicas_are_counted_with_where_they_are() {
        let of = |processes, from: &[&str]| {
            let from = from.iter().map(|&from| from.to_owned()).collect();
            replicas(&Replicas { processes, from, newest_write: Some(Duration::from_secs(2)) })
                .check
                .verdict
                .text()
                .to_owned()
        };
        assert_eq!(of(0, &[]), "no process works on it now; the newest write is 2 s old");
        let two = "2 processes work on it, connected from 192.0.2.1, 192.0.2.2; the newest write is 2 s old";
        assert_eq!(of(2, &["192.0.2.1", "192.0.2.2"]), two);
    }
}
