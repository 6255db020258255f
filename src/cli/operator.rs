//! Who is at the command line, as the operating system says it: not by the environment, which anybody can set.

use std::{fmt, path::Path};

use latchkey_contract::text::one_line;
use nix::unistd::{Uid, User};

const LONGEST_NAME: usize = 40;

/// What the kernel writes where nobody signed in: a service, or a machine that does not keep logins.
const NO_LOGIN: u32 = u32::MAX;

/// Recorded with everything that a command changes: `root (login: jane)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// Whose rights the command has.
    pub(crate) user: String,
    /// Who signed in to the machine, where that is somebody else: the person behind sudo.
    pub(crate) login: Option<String>,
}

impl Operator {
    /// Of this process.
    pub(crate) fn here() -> Self {
        Self::new(Uid::effective().as_raw(), Path::new("/proc/self/loginuid"))
    }

    /// Of a process at the other end of a socket.
    pub(crate) fn of_peer(uid: u32, pid: Option<i32>) -> Self {
        let process = pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
        Self::new(uid, &Path::new("/proc").join(process).join("loginuid"))
    }

    fn new(uid: u32, login: &Path) -> Self {
        Self { user: name(uid), login: login_uid(login).filter(|login| *login != uid).map(name) }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.login {
            Some(login) => write!(f, "{} (login: {login})", self.user),
            None => f.write_str(&self.user),
        }
    }
}

fn login_uid(file: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != NO_LOGIN)
}

/// By the machine's user database, whichever it has; a user without an entry is told by number.
pub(crate) fn name(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => one_line(&user.name, LONGEST_NAME),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uid: u32, login: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("loginuid");
        std::fs::write(&file, login).unwrap();
        Operator::new(uid, &file).to_string()
    }

    #[test]
    fn the_login_behind_sudo_is_told_with_the_user() {
        assert_eq!(told(0, "4000000001"), "root (login: uid 4000000001)");
        assert_eq!(told(4_000_000_001, "0\n"), "uid 4000000001 (login: root)");
    }

    #[test]
    fn who_is_themselves_or_not_known_is_told_once() {
        for login in ["0", "4294967295", "", "jane"] {
            assert_eq!(told(0, login), "root");
        }
        assert_eq!(Operator::of_peer(0, None).to_string(), "root");
    }

    #[test]
    fn this_process_is_seen_alike_from_both_ends() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Operator::of_peer(Uid::effective().as_raw(), Some(pid)), Operator::here());
    }
}
