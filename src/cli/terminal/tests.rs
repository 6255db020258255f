use std::{
    io::{self, Cursor},
    os::unix::fs::PermissionsExt,
};

use super::*;

fn terminal(input: &'static str) -> Terminal {
    Terminal::piped(Box::new(Cursor::new(input)), Box::new(io::sink()), Box::new(io::sink()))
}

/// A person who types what is handed over.
struct Person(Vec<&'static str>);

impl Ends for Person {
    fn is_interactive(&self) -> bool {
        true
    }
    fn say(&mut self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
    fn hint(&mut self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
    fn ask(&mut self, _: &str) -> anyhow::Result<Secret<String>> {
        Ok(Secret::new(self.0.remove(0).to_owned()))
    }
    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        self.ask(prompt)
    }
    fn rest(&mut self) -> anyhow::Result<Secret<String>> {
        bail!("a person is asked line by line")
    }
    fn read_file(&mut self, path: &Path, _: u64) -> anyhow::Result<Vec<u8>> {
        bail!("{} is not asked for here", path.display())
    }
    fn write_file(&mut self, path: &Path, _: &[u8], _: Overwrite) -> anyhow::Result<()> {
        bail!("{} is not asked for here", path.display())
    }
    fn append_file(&mut self, path: &Path, _: &[u8], _: Piece) -> anyhow::Result<()> {
        bail!("{} is not asked for here", path.display())
    }
}

/// What is said into a file appears there whole, or leaves nothing behind.
#[test]
fn a_file_that_is_said_piece_by_piece_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let names = || -> Vec<_> { std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
    let (path, line) = (dir.path().join("out"), "x".repeat(KEPT / 3));
    let said = |lines: usize| {
        let mut terminal = terminal("");
        terminal.save_to(&path).unwrap();
        (0..lines).for_each(|_| terminal.say(&line).unwrap());
        terminal
    };
    drop(said(7));
    assert_eq!(names(), Vec::<OsString>::new(), "broken off");
    let mut whole = said(7);
    assert!(!path.exists());
    whole.save().unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (7 * (KEPT as u64 / 3 + 1), 0o600));
    assert_eq!(names(), ["out"]);
    let taken = terminal("").save_to(&path).unwrap_err().to_string();
    assert!(taken.contains("is there already"), "{taken}");
    std::fs::remove_file(&path).unwrap();
    let mut late = said(1);
    std::fs::write(&path, "somebody's").unwrap();
    assert!(late.save().unwrap_err().to_string().contains("is there already"));
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
}

#[test]
fn only_a_typed_yes_confirms() {
    let typed = |line| Terminal::over(Box::new(Person(vec![line]))).confirm("This ends 3 grants.");
    assert!(typed("yes").is_ok() && typed(" yes ").is_ok());
    for no in ["", "y", "no", "YES", "yes!"] {
        assert!(typed(no).unwrap_err().to_string().contains("nothing was changed"), "{no:?}");
    }
}

#[test]
fn where_nobody_can_answer_it_takes_the_flag() {
    let refused = terminal("yes\n").confirm("This ends 3 grants.").unwrap_err().to_string();
    assert!(refused.contains("--yes") && refused.contains("nothing was changed"), "{refused}");
    let mut agreed = terminal("");
    agreed.obey(&[], true);
    agreed.confirm("This ends 3 grants.").unwrap();
}

#[test]
fn a_new_secret_is_typed_twice_by_a_person() {
    let typed = |lines: [&'static str; 2]| Terminal::over(Box::new(Person(lines.into()))).ask_hidden("Password", true);
    assert_eq!(typed(["a long one", "a long one"]).unwrap().expose(), "a long one");
    assert!(typed(["a long one", "a lnog one"]).unwrap_err().to_string().contains("differ"));
}

#[test]
fn a_file_is_read_up_to_its_bound() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    std::fs::write(&path, "12345").unwrap();
    let mut terminal = terminal("");
    assert_eq!(terminal.read_file(&path, 5).unwrap(), b"12345");
    let larger = terminal.read_file(&path, 4).unwrap_err().to_string();
    assert!(larger.contains("larger than 4 bytes"), "{larger}");
    let missing = terminal.read_file(&place.path().join("none"), 5).unwrap_err().to_string();
    assert!(missing.contains("none cannot be read"), "{missing}");
    std::fs::write(&path, [0xff]).unwrap();
    assert!(terminal.read_text(&path, 5).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_asked() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("out");
    let mut terminal = terminal("");
    terminal.write_file(&path, b"first", Overwrite::Never).unwrap();
    let refused = terminal.write_file(&path, b"second", Overwrite::Never).unwrap_err().to_string();
    assert!(refused.contains("left as it is"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    terminal.write_file(&path, b"second", Overwrite::Asked).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn only_files_that_were_named_are_touched() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("rules"), "x").unwrap();
    let mut terminal = terminal("");
    let out = format!("--out={}", at("out").display());
    terminal.obey(&["rulebook".into(), at("rules").into(), out.into()], false);
    terminal.read_file(&at("rules"), 5).unwrap();
    terminal.write_file(&at("out"), b"x", Overwrite::Never).unwrap();
    let shadow = terminal.read_file(Path::new("/etc/shadow"), 5).unwrap_err().to_string();
    assert!(shadow.contains("was not named"), "{shadow}");
    assert!(terminal.write_file(&at("rules2"), b"x", Overwrite::Never).is_err());
    assert!(terminal.read_file(Path::new("rules"), 5).is_err(), "a name within another is not that name");
}

/// What `head` leaves behind.
struct Closed;

impl io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_pipe_that_was_closed_is_told_from_an_error() {
    let mut piped = Terminal::piped(Box::new(io::empty()), Box::new(Closed), Box::new(io::sink()));
    assert!(piped.say("a line").unwrap_err().is::<NobodyReads>());
}
