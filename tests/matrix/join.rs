//! The tables of all shares as one, once they lie there and are of one build: what came of another build's cells says nothing
//! about this one's.

use std::{fs, path::Path, process::Command, time::UNIX_EPOCH};

use crate::{
    globals::root,
    table::{Line, compose, file_name, sums},
};

/// The name of the whole.
pub(crate) const WHOLE: &str = "fault-matrix.md";

/// How a table's head begins; the build follows, up to a semicolon.
pub(crate) const BUILD: &str = "Of build ";

/// FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The commit, what was changed since, and the list of all cells.
pub(crate) fn build(mut names: Vec<String>) -> String {
    names.sort();
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(root()).output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).map(|said| String::from_utf8_lossy(&said).trim().to_owned());
    let commit = commit.unwrap_or_else(program);
    let changed = git(&["diff", "HEAD"]).filter(|diff| !diff.is_empty());
    let changed = changed.map_or_else(String::new, |diff| format!(" with changes {:016x}", hash(&diff)));
    format!("{commit}{changed}, list of cells {:016x}", hash(names.join("\n").as_bytes()))
}

/// Where there is no git: this very program.
fn program() -> String {
    let about = std::env::current_exe().and_then(fs::metadata).unwrap();
    let made = about.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    format!("a program of {} bytes from {}", about.len(), made.as_secs())
}

/// Writes the whole and answers its counts; or why it cannot.
pub(crate) fn join(dir: &Path, of: u64, build: &str) -> Result<String, String> {
    let mut lines = Vec::new();
    for share in 1..=of {
        let text = fs::read_to_string(dir.join(file_name(share, of)));
        let text = text.map_err(|_| format!("share {share} of {of} was not run yet"))?;
        match build_of(&text) {
            Some(its) if its == build => lines.extend(parse(&text)),
            its => return Err(format!("share {share} of {of} is of another build: {}", its.unwrap_or("unknown"))),
        }
    }
    lines.sort();
    let head = format!("{BUILD}{build}; {} cells, joined of {of} shares.", lines.len());
    let path = dir.join(WHOLE);
    fs::write(&path, compose(&head, &lines))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(format!("{head}\n\n{}\nThe whole lies in {}\n", sums(&lines), path.display()))
}

fn build_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix(BUILD)?.split(';').next())
}

/// The cells of a table that [`compose`] made.
fn parse(text: &str) -> Vec<Line> {
    let (mut part, mut lines) = (None, Vec::new());
    for text in text.lines() {
        if let Some(name) = text.strip_prefix("## ") {
            part = Some(name);
        }
        let inside = text.strip_prefix("| ").and_then(|rest| rest.strip_suffix(" |"));
        let (Some(part), Some(inside)) = (part, inside) else { continue };
        let cells: Vec<&str> = inside.split(" | ").collect();
        let [mark, engine, phase, place, fault, .., ms] = cells[..] else { continue };
        if mark == "result" {
            continue;
        }
        lines.push(Line {
            part: part.to_owned(),
            place: place.to_owned(),
            fault: fault.to_owned(),
            engine: engine.to_owned(),
            phase: phase.to_owned(),
            mark: mark.to_owned(),
            ms: ms.parse().unwrap_or(0),
            text: text.to_owned(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: &str, mark: &str) -> Line {
        let (engine, phase, fault) = ("sqlite", "held", "before #1");
        Line {
            part: "killed".to_owned(),
            place: place.to_owned(),
            fault: fault.to_owned(),
            engine: engine.to_owned(),
            phase: phase.to_owned(),
            mark: mark.to_owned(),
            ms: 1500,
            text: format!("| {mark} | {engine} | {phase} | {place} | {fault} | a \\| b | 1500 |"),
        }
    }

    #[test]
    fn shares_of_one_build_are_joined_and_those_of_another_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let put = |share: u64, build: &str, lines: &[Line]| {
            let table = compose(&format!("{BUILD}{build}; {} cells, share {share} of 2.", lines.len()), lines);
            fs::write(dir.path().join(file_name(share, 2)), table).unwrap();
        };
        put(2, "one", &[line("commit b", "FAILED"), line("commit d", "n/a")]);
        assert!(join(dir.path(), 2, "one").unwrap_err().contains("share 1 of 2 was not run"));
        put(1, "another", &[line("commit a", "ok")]);
        assert!(join(dir.path(), 2, "one").unwrap_err().contains("another build: another"));
        assert!(!dir.path().join(WHOLE).exists(), "nothing is mixed");
        put(1, "one", &[line("commit a", "ok"), line("commit c", "ok")]);
        let counts = join(dir.path(), 2, "one").unwrap();
        assert!(counts.contains("| killed | sqlite | 2 | 1 | 1 | 0 | 6 |"), "{counts}");
        let whole = fs::read_to_string(dir.path().join(WHOLE)).unwrap();
        assert_eq!(build_of(&whole), Some("one"));
        let places: Vec<String> = parse(&whole).into_iter().map(|line| line.place).collect();
        assert_eq!(places, ["commit a", "commit b", "commit c", "commit d"]);
    }
}
