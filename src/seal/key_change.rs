//! Changing the master key file: a new first line, and old lines that go. The rest of the file, comments included, stays
//! as it is.

use latchkey_contract::Secret;

use super::{KeyFile, KeyFileError, KeyRing, MasterKey, key_file::WORD};
use crate::durable;

impl KeyFile {
    /// Puts a new key before all others, if `first` still is the first one. Answers the ring as the file has it then.
    ///
    /// # Errors
    /// [`KeyFileError`]; the file is then as it was.
    pub fn add(&self, key: &MasterKey, first: &str) -> Result<KeyRing, KeyFileError> {
        self.change(|text, ring| {
            let is_expected = ring.first().id() == first;
            is_expected.then(|| Secret::new([key.line().expose().as_str(), text].concat()))
        })
    }

    /// Takes the lines of these keys away, if `first` still is the first one and not among them. Answers the ring as the
    /// file has it then.
    ///
    /// # Errors
    /// [`KeyFileError`]; the file is then as it was.
    pub fn remove(&self, ids: &[String], first: &str) -> Result<KeyRing, KeyFileError> {
        let is_gone = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), [WORD, id, _] if ids.iter().any(|gone| gone == id))
        };
        self.change(|text, ring| {
            let is_expected = ring.first().id() == first && ids.iter().all(|id| id != first);
            is_expected.then(|| Secret::new(text.split_inclusive('\n').filter(|line| !is_gone(line)).collect()))
        })
    }

    /// The whole file as it would be with this key before all others: for a credential, which only systemd's tools make.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn with(&self, key: &MasterKey) -> Result<Secret<String>, KeyFileError> {
        Ok(Secret::new([key.line().expose().as_str(), self.text()?.expose()].concat()))
    }

    /// Read, judge and replace under one lock: two commands at once must not each drop the other's key.
    fn change(&self, edit: impl FnOnce(&str, &KeyRing) -> Option<Secret<String>>) -> Result<KeyRing, KeyFileError> {
        let Self::Own(path) = self else { return Err(KeyFileError::ReadOnly(self.path().to_owned())) };
        let locked = |source| KeyFileError::Locked { path: path.clone(), source };
        let _alone = durable::lock_directory_of(path).map_err(locked)?;
        let ring = self.load(true)?;
        let text = edit(self.text()?.expose(), &ring).ok_or_else(|| KeyFileError::Moved(path.clone()))?;
        // What would not be read back is not written.
        let next = KeyRing::parse(text.expose()).map_err(|what| KeyFileError::Bad { path: path.clone(), what })?;
        durable::replace(path, text.expose().as_bytes()).map_err(locked)?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn place() -> (tempfile::TempDir, KeyFile, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::Own(dir.path().join("master.key"));
        let first = file.load(false).unwrap().first().id().to_owned();
        (dir, file, first)
    }

    fn ids(ring: &KeyRing) -> Vec<String> {
        ring.ids().map(str::to_owned).collect()
    }

    #[test]
    fn a_new_key_comes_first_and_everything_else_stays() {
        let (_dir, file, old) = place();
        let before = fs::read_to_string(file.path()).unwrap();
        fs::write(file.path(), format!("# kept in the safe\n{before}")).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o400)).unwrap();
        let new = MasterKey::generate();
        let ring = file.add(&new, &old).unwrap();
        assert_eq!(ids(&ring), [new.id(), &old]);
        assert_eq!(ids(&file.load(true).unwrap()), ids(&ring));
        assert!(fs::read_to_string(file.path()).unwrap().ends_with(&format!("# kept in the safe\n{before}")));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o400);
        let ring = file.remove(std::slice::from_ref(&old), new.id()).unwrap();
        assert_eq!(ids(&ring), [new.id()]);
        assert!(fs::read_to_string(file.path()).unwrap().contains("# kept in the safe"));
    }

    #[test]
    fn two_commands_at_once_do_not_drop_each_others_key() {
        let (_dir, file, old) = place();
        let (one, two) = (MasterKey::generate(), MasterKey::generate());
        file.add(&one, &old).unwrap();
        assert!(matches!(file.add(&two, &old), Err(KeyFileError::Moved(_))));
        assert!(matches!(file.remove(&[one.id().to_owned()], one.id()), Err(KeyFileError::Moved(_))));
        assert_eq!(ids(&file.load(true).unwrap()), [one.id(), &old]);
    }

    #[test]
    fn a_credential_is_left_alone_and_told_what_it_should_become() {
        let (_dir, file, old) = place();
        let credential = KeyFile::Credential(file.path().to_owned());
        let new = MasterKey::generate();
        assert!(matches!(credential.add(&new, &old), Err(KeyFileError::ReadOnly(_))));
        let text = credential.with(&new).unwrap();
        assert_eq!(ids(&KeyRing::parse(text.expose()).unwrap()), [new.id(), &old]);
        assert_eq!(ids(&file.load(true).unwrap()), [old]);
    }
}
