//! The audit log at the command line: checked, exported, pruned; each way of tampering is told.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use latchkey_contract::{TicketRef, Timestamp};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use super::*;
use crate::{
    audit::{AuditEntry, By, Code},
    store::{CommitName, Transition},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn day(n: u32) -> Timestamp {
    Timestamp::parse("2026-01-01T12:00:00Z").unwrap() + DAY * (n - 1)
}

/// An installation whose log has one entry a day, from the first of January 2026 on.
async fn filled(days: u32) -> Place {
    let place = Place::new();
    let desk = Desk::open(&place.0.path().join("latchkey.toml")).await.unwrap();
    let entry = |n: u32| {
        let by = By::Person("jdoe".parse().unwrap());
        let ticket = Some(TicketRef { connection: "cw".parse().unwrap(), ticket: n.to_string().parse().unwrap() });
        AuditEntry { ticket, ..AuditEntry::new(Code::StepDone, day(n), by, json!({"reason": "=1+1,\"\n@x"})) }
    };
    let audit = (1..=days).map(entry).collect();
    let transition = Transition { audit, ..Transition::new(CommitName::Command, day(days)) };
    desk.store.commit(transition).await.unwrap();
    desk.close().await;
    place
}

impl Place {
    async fn tamper(&self, statements: &[&'static str]) {
        let path = self.0.path().join("data/latchkey.db");
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        for sql in statements {
            sqlx::query(*sql).execute(&mut conn).await.unwrap();
        }
    }

    async fn audit(&self, words: &[&str]) -> Typed {
        self.type_in(&[&["audit"], words].concat(), io::empty()).await
    }

    /// Exports the whole log; answers its lines.
    async fn lines(&self) -> Vec<String> {
        self.audit(&["export"]).await.ok().output.lines().map(str::to_owned).collect()
    }
}

/// Verifies a file where there is no configuration, no database and no key.
async fn elsewhere(lines: &[String], words: &[&str]) -> Typed {
    let place = Place(tempfile::tempdir().unwrap());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let file = place.write("copy.jsonl", &text);
    place.audit(&[&["verify", file.as_str()], words].concat()).await
}

#[tokio::test]
async fn an_empty_log_has_nothing_to_verify() {
    let place = Place::new();
    assert_eq!(place.audit(&["verify"]).await.ok().output, "There are no entries yet.\n");
    assert!(place.audit(&["head"]).await.refused().contains("no entries yet"));
    let exported = place.audit(&["export"]).await.ok();
    assert_eq!((exported.output.as_str(), exported.hints.as_str()), ("", "0 entries.\n"));
    assert!(!place.0.path().join("keys").exists(), "looking makes no key");
}

/// F140, F144: what is exported whole verifies anywhere; what is said names its extent and its head.
#[tokio::test]
async fn a_whole_export_verifies_without_the_installation() {
    let place = filled(5).await;
    let lines = place.lines().await;
    assert_eq!(lines.len(), 6, "five entries, and the head");
    let verified = elsewhere(&lines, &[]).await.ok();
    assert!(verified.output.starts_with("Whole: entries 1 to 5, each as it was chained.\nHead: 5:"), "{verified:?}");
    assert!(verified.hints.contains("audit verify --head"), "{verified:?}");
    let here = place.audit(&["verify"]).await.ok();
    assert_eq!(here.output, verified.output);

    let head = place.audit(&["head"]).await.ok().output;
    let words = ["--head", head.trim()];
    assert!(elsewhere(&lines, &words).await.ok().hints.contains("No signature was checked"));
    let borne_out = place.audit(&[&["verify"], words.as_slice()].concat()).await.ok();
    assert!(borne_out.output.ends_with("Heads that it bears out: 1.\n") && borne_out.hints.is_empty(), "{borne_out:?}");
    let (rest, signature) = head.trim().rsplit_once(':').unwrap();
    let forged = format!("{rest}:{}", signature.chars().rev().collect::<String>());
    let refused = place.audit(&["verify", "--head", &forged]).await.refused();
    assert!(refused.contains("was not signed by this installation"), "{refused}");
}

/// F144: each way to tamper with an export is told, and where.
#[tokio::test]
async fn every_way_to_tamper_with_an_export_is_told() {
    let place = filled(6).await;
    let whole = place.lines().await;
    let head = |n: usize, lines: &[String]| {
        let hash = serde_json::from_str::<serde_json::Value>(&lines[n]).unwrap()["hash"].as_str().unwrap().to_owned();
        format!("{}:{}", n + 1, &hash[..32])
    };
    let said = async |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        elsewhere(&lines, &[]).await.refused()
    };
    for (why, change) in [
        (
            "broken at entry 3: its hash",
            &(|l: &mut Vec<String>| l[2] = l[2].replace("jdoe", "mark")) as &dyn Fn(&mut Vec<String>),
        ),
        ("broken at entry 4: entry 3 is missing", &|l| drop(l.remove(2))),
        ("broken at entry 5: entries 2 to 4 are missing", &|l| drop(l.drain(1..4))),
        ("broken at entry 2: entry 1 is missing", &|l| drop(l.remove(0))),
        ("broken at entry 3: entry 2 is missing", &|l| l.swap(1, 2)),
        ("broken at entry 2: it stands there once more", &|l| l.insert(2, l[1].clone())),
        ("its last line is missing", &|l| drop(l.pop())),
        ("names another head", &|l| drop(l.remove(5))),
        ("something stands after the end", &|l| l.push(l[5].clone())),
        ("line 2: it is not written as Latchkey writes it", &|l| l[1] = l[1].replace(":{", ": {")),
        ("line 3: it is no line of an export", &|l| l[2].truncate(40)),
        ("line 1: it is no line of an export", &|l| l.insert(0, String::new())),
        ("no entries in it", &|l| l.clear()),
    ] {
        let error = said(change).await;
        assert!(error.contains(why), "{error:?}: {why}");
    }
    assert!(elsewhere(&whole, &["--head", &head(3, &whole)]).await.result.is_ok());
    let other = format!("4:{}", "0".repeat(32));
    assert!(elsewhere(&whole, &["--head", &other]).await.refused().contains("entry 4 is not the one"));
    let shorter = filled(3).await.lines().await;
    let cut = elsewhere(&shorter, &["--head", &head(5, &whole)]).await.refused();
    assert!(cut.contains("the head names entry 6, but the log ends at 3"), "{cut}");
    let missing = place.audit(&["verify", "nowhere.jsonl"]).await.refused();
    assert!(missing.contains("nowhere.jsonl cannot be read"), "{missing}");
}

/// F144: so is each way to tamper with the database, and a broken log is exported all the same.
#[tokio::test]
async fn every_way_to_tamper_with_the_database_is_told() {
    let open = ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"];
    for (why, sql) in [
        ("broken at entry 3: its hash", "UPDATE audit SET doc = replace(doc, 'jdoe', 'mark') WHERE seq = 3"),
        ("broken at entry 3: its hash", "UPDATE audit SET doc = 'rubbish' WHERE seq = 3"),
        ("broken at entry 3: its hash", "UPDATE audit SET hash = '' WHERE seq = 3"),
        ("broken at entry 3: it is filed under another", "UPDATE audit SET ticket = 'cw/9' WHERE seq = 3"),
        ("broken at entry 4: entry 3 is missing", "DELETE FROM audit WHERE seq = 3"),
        ("broken at entry 4: entries 1 to 3 are missing", "DELETE FROM audit WHERE seq <= 3"),
    ] {
        let place = filled(6).await;
        place.tamper(&[open[0], open[1], sql]).await;
        let error = place.audit(&["verify"]).await.refused();
        assert!(error.contains(why), "{error:?}: {why}");
        let exported = place.audit(&["export"]).await;
        assert!(exported.output.lines().count() > 3, "it is evidence");
        assert!(exported.refused().contains("does not verify"));
        let pruned = place.say(&["audit", "prune", "--before", "2026-01-03", "--yes"]).await.refused();
        assert!(pruned.contains("nothing was pruned"), "{pruned}");
    }
}

/// Whoever talks to a service cannot have its files read by it.
#[tokio::test]
async fn at_a_desk_no_file_is_read() {
    let place = filled(1).await;
    let desk = Desk::open(&place.0.path().join("latchkey.toml")).await.unwrap();
    let file = place.0.path().join("latchkey.toml").to_str().unwrap().to_owned();
    let cli = Cli::parse_from(["latchkey", "audit", "verify", &file]);
    let sink = || Box::new(io::sink());
    let mut terminal = Terminal::piped(Box::new(io::empty()), sink(), sink());
    let refused = at_the_desk(cli.command, &desk, &mut terminal).await.unwrap_err();
    assert_eq!(refused.to_string(), "an export is verified where it lies, not at the service");
    desk.close().await;
}

/// F140: a selection, by each of what it can be chosen by.
#[tokio::test]
async fn a_selection_is_exported_and_cannot_be_taken_for_the_whole() {
    let place = filled(6).await;
    let numbers = async |words: &[&str]| {
        let exported = place.audit(&[&["export"], words].concat()).await.ok();
        assert!(exported.hints.contains("cannot be verified"), "{exported:?}");
        let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_i64().unwrap();
        exported.output.lines().map(number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["--from", "2026-01-03", "--to", "2026-01-05"]).await, [3, 4]);
    assert_eq!(numbers(&["--from", "2026-01-05T12:00:00Z"]).await, [5, 6]);
    assert_eq!(numbers(&["--ticket", "cw/4"]).await, [4]);
    assert_eq!(numbers(&["--person", "jdoe", "--to", "2026-01-02"]).await, [1]);
    let nobody = place.audit(&["export", "--person", "mark"]).await.refused();
    assert!(nobody.contains("person mark is neither in the records"), "{nobody}");
    assert_eq!(numbers(&["--grant", "01JZ5GQ2ZP3M8T0V6WXYZ12345"]).await, [0_i64; 0]);
    let nowhere = place.audit(&["export", "--customer", "contoso"]).await.refused();
    assert!(nowhere.contains("customer contoso is neither in the records"), "{nowhere}");
    assert_eq!(numbers(&["--code", "step."]).await.len(), 6);
    let lines = place.audit(&["export", "--to", "2026-01-03"]).await.ok().output;
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    let refused = elsewhere(&lines, &[]).await.refused();
    assert!(refused.contains("it is a selection, which cannot be verified"), "{refused}");
    for bad in [["--from", "yesterday"], ["--ticket", "4711"], ["--format", "xml"], ["--head", "1:2"]] {
        let command = if bad[0] == "--head" { "verify" } else { "export" };
        let parsed = Cli::try_parse_from([&["latchkey", "audit", command], bad.as_slice()].concat());
        assert!(parsed.is_err(), "{bad:?}");
    }
}

/// F140: CSV as RFC 4180 has it; its header is a promise.
#[tokio::test]
async fn csv_is_for_spreadsheets() {
    let place = filled(2).await;
    let exported = place.audit(&["export", "--format", "csv"]).await.ok();
    let head = "number,time,code,what,by,person,grant,ticket,detail,hash\r\n";
    assert!(exported.output.starts_with(head), "{}", exported.output);
    assert_eq!(exported.output.matches("\r\n").count(), 3);
    assert_eq!(exported.hints, "2 entries.\n");
    let mut reader = csv::Reader::from_reader(exported.output.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(&rows[1][0], "2");
    assert_eq!(&rows[1][1], "2026-01-02T12:00:00.000Z");
    assert_eq!(&rows[1][7], "cw/2");
    let detail: serde_json::Value = serde_json::from_str(&rows[1][8]).unwrap();
    assert_eq!(detail["reason"], "=1+1,\"\n@x");
}

#[tokio::test]
async fn an_export_goes_into_a_new_file_for_its_owner_alone() {
    let place = filled(2).await;
    let out = place.0.path().join("out.jsonl");
    let words = ["export", "--out", out.to_str().unwrap()];
    let exported = place.audit(&words).await.ok();
    assert_eq!(exported.output, "");
    let metadata = std::fs::metadata(&out).unwrap();
    assert_eq!(
        (metadata.permissions().mode() & 0o777, std::fs::read_to_string(&out).unwrap().lines().count()),
        (0o600, 3)
    );
    let again = place.audit(&words).await.refused();
    assert!(again.contains("is there already"), "{again}");
    assert_eq!(std::fs::metadata(&out).unwrap().len(), metadata.len());
}

/// F144: old entries go if the operator says so, and what stays verifies, here with the signature, elsewhere without.
#[tokio::test]
async fn pruning_asks_leaves_a_signed_checkpoint_and_says_who_did_it() {
    let place = filled(6).await;
    let prune =
        async |before: &str, answers: &[&str]| place.answer(&["audit", "prune", "--before", before], answers).await;
    assert!(prune("2999-01-01", &[]).await.refused().contains("yet to come"));
    assert!(prune("2026-01-01", &[]).await.ok().output.contains("No entry"));
    let unasked = place.say(&["audit", "prune", "--before", "2026-01-02"]).await.refused();
    assert!(unasked.contains("run it again with --yes"), "{unasked}");
    let no = prune("2026-01-04", &["no"]).await;
    assert!(no.hints.contains("Entries 1 to 3, from 2026-01-01T12:00:00Z to 2026-01-03T12:00:00Z"), "{}", no.hints);
    assert!(no.refused().contains("nothing was changed"));
    assert!(place.audit(&["verify"]).await.ok().output.contains("entries 1 to 6"));

    let before = place.lines().await;
    let yes = place.say(&["--yes", "audit", "prune", "--before", "2026-01-04"]).await.ok();
    assert_eq!(yes.output, "3 entries are gone; the log begins with 4.\n");
    let pruned = |signed| {
        format!(
            "Pruned: entries 1 to 3, from 2026-01-01T12:00:00Z to 2026-01-03T12:00:00Z; {signed}.\nWhole: entries 4 to 7,"
        )
    };
    let here = place.audit(&["verify"]).await.ok();
    assert!(here.output.starts_with(&pruned("signed by this installation")), "{here:?}");
    let lines = place.lines().await;
    let there = elsewhere(&lines, &[]).await.ok();
    assert!(there.output.starts_with(&pruned("its signature was not checked")), "{there:?}");
    assert!(there.hints.contains("No signature was checked: that needs the installation's key"), "{there:?}");
    let last: serde_json::Value = serde_json::from_str(&lines[4]).unwrap();
    assert_eq!((last["code"].as_str(), last["detail"]["checkpoint"]["seq"].as_i64()), (Some("audit.pruned"), Some(3)));
    assert!(last["by"]["operator"].is_string(), "{last}");
    assert!(elsewhere(&lines[1..], &[]).await.refused().contains("entries 1 to 3 are missing"));

    let kept = |n: usize| {
        let entry: serde_json::Value = serde_json::from_str(&before[n]).unwrap();
        format!("{}:{}", n + 1, entry["hash"].as_str().unwrap())
    };
    for known in [kept(2), kept(3)] {
        assert!(place.audit(&["verify", "--head", &known]).await.result.is_ok(), "{known}");
    }
    let gone = place.audit(&["verify", "--head", &kept(1)]).await.refused();
    assert!(gone.contains("entry 2 was pruned"), "{gone}");
}

/// F144: who has the database but not the key cannot take the beginning away.
#[tokio::test]
async fn a_checkpoint_that_somebody_else_made_is_told() {
    let place = filled(6).await;
    place.audit(&["head"]).await.ok();
    place
        .tamper(&[
            "INSERT INTO audit_checkpoints SELECT seq, hash, 3, 0, 0, 'made up' FROM audit WHERE seq = 3",
            "DELETE FROM audit WHERE seq <= 3",
        ])
        .await;
    let refused = place.audit(&["verify"]).await.refused();
    assert!(refused.contains("was not signed by this installation: somebody else took them away"), "{refused}");
    std::fs::remove_file(place.0.path().join("keys/master.key")).unwrap();
    let keyless = place.audit(&["verify"]).await.ok();
    assert!(keyless.hints.contains("No signature was checked: the master key file"), "{keyless:?}");
    assert!(keyless.output.contains("its signature was not checked"), "{keyless:?}");
}

/// F139, F140: what an operator does is recorded with their name, and no secret comes out with it.
#[tokio::test]
async fn what_an_operator_does_is_recorded_without_its_secret() {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary-value\n")).await.ok();
    let screen = Screen::default();
    let technician = Technician { screen: screen.clone(), lines: 0 };
    place.type_on(&screen, &["person", "enroll", "jdoe"], technician).await.ok();
    for format in ["csv", "jsonl"] {
        let exported = place.audit(&["export", "--format", format]).await.ok().output;
        for code in ["secret.set", "person.enrolled"] {
            let line = exported.lines().find(|line| line.contains(code)).expect(code);
            assert!(line.contains("operator"), "{line}");
        }
        assert!(exported.contains("entra-contoso/client-secret"), "by name");
        for secret in ["canary", "unlikely", "argon2"] {
            assert!(!exported.contains(secret), "{secret} in {exported}");
        }
    }
}
