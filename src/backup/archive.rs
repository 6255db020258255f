//! The archive: written once, read in the order in which it was written.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::{BackupError, FORM, Manifest};

const MANIFEST: &str = "manifest.json";
const PROOF: &str = "manifest.proof";
const DATABASE: &str = "latchkey.db";

/// More than any manifest.
const LARGEST_MANIFEST: u64 = 64 * 1024;

/// What stands before the database.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) manifest: Manifest,
    /// As they stand there: what the proof is of.
    pub(super) bytes: Vec<u8>,
    pub(super) proof: String,
}

/// Writes an archive to a new file, for us alone, and syncs it.
pub(super) fn write(to: &Path, manifest: &[u8], proof: &str, database: &Path, made_s: u64) -> io::Result<()> {
    let mut archive = Builder::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?);
    let mut add = |name: &str, length: u64, content: &mut dyn Read| {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(made_s);
        header.set_size(length);
        archive.append_data(&mut header, name, content)
    };
    add(MANIFEST, manifest.len() as u64, &mut &manifest[..])?;
    add(PROOF, proof.len() as u64, &mut proof.as_bytes())?;
    let mut database = File::open(database)?;
    add(DATABASE, database.metadata()?.len(), &mut database)?;
    archive.into_inner()?.sync_all()
}

/// Reads an archive and copies its database to `to`, if that is wanted; checks length and hash on the way.
pub(super) fn read(from: &Path, to: Option<&Path>) -> Result<Head, BackupError> {
    let lacks = |what: String| BackupError::NotWhole { path: from.to_owned(), what };
    let failed = |error| not_whole(from, error);
    let file = File::open(from).map_err(|source| BackupError::Io { path: from.to_owned(), source })?;
    let mut archive = Archive::new(file);
    let mut entries = archive.entries().map_err(failed)?;
    let mut next = |name: &str| match entries.next() {
        Some(Ok(entry)) if entry.path_bytes() == name.as_bytes() => Ok(entry),
        Some(Ok(_)) => Err(lacks(format!("{name} is not where it should be"))),
        Some(Err(error)) => Err(failed(error)),
        None => Err(lacks(format!("{name} is missing"))),
    };
    let small = |entry: &mut dyn Read| {
        let mut bytes = Vec::new();
        entry.take(LARGEST_MANIFEST).read_to_end(&mut bytes).map_err(failed)?;
        Ok::<_, BackupError>(bytes)
    };
    let bytes = small(&mut next(MANIFEST)?)?;
    let manifest = manifest(from, &bytes)?;
    let proof = String::from_utf8(small(&mut next(PROOF)?)?).map_err(|_| BackupError::Altered(from.to_owned()))?;
    let (length, hash) = copy(&mut next(DATABASE)?, from, to)?;
    if length != manifest.bytes {
        return Err(lacks(format!("the database in it has {length} of {} bytes", manifest.bytes)));
    }
    if hash != manifest.sha256 {
        return Err(BackupError::Altered(from.to_owned()));
    }
    Ok(Head { manifest, bytes, proof })
}

fn manifest(from: &Path, bytes: &[u8]) -> Result<Manifest, BackupError> {
    #[derive(serde::Deserialize)]
    struct Form {
        form: u32,
        version: String,
    }
    let unreadable = |error: serde_json::Error| BackupError::NotWhole {
        path: from.to_owned(),
        what: format!("{MANIFEST}: {error}"),
    };
    let Form { form, version } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if form > FORM {
        let version = latchkey_contract::text::one_line(&version, 20);
        return Err(BackupError::Newer { path: from.to_owned(), version });
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

fn copy(entry: &mut dyn Read, from: &Path, to: Option<&Path>) -> Result<(u64, String), BackupError> {
    let Some(path) = to else {
        return pour(entry, &mut io::sink()).map_err(|spilt| not_whole(from, spilt.error()));
    };
    let unwritable = |source| BackupError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    let poured = pour(entry, &mut file).map_err(|spilt| match spilt {
        Spilt::Read(error) => not_whole(from, error),
        Spilt::Write(error) => unwritable(error),
    })?;
    file.sync_all().map_err(unwritable)?;
    Ok(poured)
}

fn not_whole(from: &Path, error: io::Error) -> BackupError {
    BackupError::NotWhole { path: from.to_owned(), what: error.to_string() }
}

/// On which side it went wrong.
enum Spilt {
    Read(io::Error),
    Write(io::Error),
}

impl Spilt {
    fn error(self) -> io::Error {
        match self {
            Self::Read(error) | Self::Write(error) => error,
        }
    }
}

/// Copies, and answers length and SHA-256 of what went through.
fn pour(from: &mut dyn Read, to: &mut dyn Write) -> Result<(u64, String), Spilt> {
    let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 64 * 1024]);
    loop {
        match from.read(&mut buffer).map_err(Spilt::Read)? {
            0 => return Ok((length, hex(&hasher.finalize()))),
            read => {
                hasher.update(&buffer[..read]);
                to.write_all(&buffer[..read]).map_err(Spilt::Write)?;
                length += read as u64;
            }
        }
    }
}

/// Length and SHA-256 of a file.
pub(super) fn measure(path: &Path) -> io::Result<(u64, String)> {
    pour(&mut File::open(path)?, &mut io::sink()).map_err(Spilt::error)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
