//! `latchkey key list | rotate | retire | next`.

use anyhow::bail;
use serde_json::json;

use super::{Desk, Terminal};
use crate::{
    audit::Code,
    seal::{self, KeyFile, KeyFileError, MasterKey, RotateError},
    store::Database,
};

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let seal = desk.seal().await?;
    let tally = seal::tally(&seal, &*desk.store).await?;
    for (n, (id, rows)) in tally.keys.iter().enumerate() {
        let does = if n == 0 { "seals" } else { "opens" };
        terminal.say(format!("{id}\t{does}\t{rows} secrets"))?;
    }
    for (id, rows) in &tally.missing {
        terminal.say(format!("{id}\tMISSING\t{rows} secrets that nothing opens"))?;
    }
    if !tally.missing.is_empty() {
        bail!("keys are missing; put their lines back into {} from its backup", desk.config.key_file.path().display());
    }
    if tally.behind() > 0 {
        terminal.hint("A rotation was begun and not finished; go on with: latchkey key rotate")?;
    }
    Ok(())
}

pub(super) async fn rotate(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let file = &desk.config.key_file;
    let seal = desk.seal().await?;
    let beside = match &desk.config.database {
        Database::Postgres(server) if matches!(file, KeyFile::Own(_)) => Some(server.shown()),
        _ => None,
    };
    if let Some(at) = beside {
        terminal.confirm(format!(
            "Services of other machines on the database {at} open nothing that is sealed from now on until {} is copied to them, \
             which is to be done as soon as this is.",
            file.path().display()
        ))?;
    }
    let done = match seal::rotate(file, &seal, &*desk.store).await {
        Err(RotateError::KeyFile(KeyFileError::ReadOnly(_))) => bail!(by_hand(file)),
        done => done?,
    };
    let key = &done.key_id;
    if !done.is_new {
        terminal
            .hint(format!("Key {key} was put first before, and not every secret was under it: going on with it."))?;
    }
    desk.record(Code::KeyRotated, json!({ "key": key, "is_new": done.is_new, "secrets": done.rows })).await?;
    terminal.say(format!("Master key {key} seals from now on; {} secrets were wrapped by it anew.", done.rows))?;
    terminal.hint(format!(
        "Copy the key again to where its backup is kept, apart from the data: {}\n\
         The former key stays in it, since backups made until now need it. When none of those is wanted any more: \
         latchkey key retire",
        file.path().display()
    ))?;
    match beside {
        Some(_) => terminal
            .hint("Copy it now to every other machine with a service on this database; none has to be restarted."),
        None => Ok(()),
    }
}

pub(super) async fn retire(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let file = &desk.config.key_file;
    let seal = desk.seal().await?;
    let former: Vec<String> = seal.ring().ids().skip(1).map(str::to_owned).collect();
    if !former.is_empty() && matches!(file, KeyFile::Own(_)) {
        terminal.confirm(question(desk, &former).await?)?;
    }
    let gone = match seal::retire(file, &seal, &*desk.store).await {
        Err(RotateError::KeyFile(KeyFileError::ReadOnly(path))) => bail!(
            "no secret needs a former key any more, and none will. {} is a systemd credential: make it anew from a file that \
             holds its first line alone, as described in the example configuration",
            path.display()
        ),
        gone => gone?,
    };
    match gone.as_slice() {
        [] => terminal.say("There is one key alone; nothing was changed.")?,
        gone => {
            desk.record(Code::KeyRetired, json!({ "keys": gone })).await?;
            terminal.say(format!("Retired: {}. Backups that were made under it open no more.", gone.join(", ")))?;
        }
    }
    Ok(())
}

/// What no other command brings back.
async fn question(desk: &Desk, former: &[String]) -> anyhow::Result<String> {
    let rotated = desk.store.newest_audit(&[Code::KeyRotated], 1).await?;
    let before = match rotated.first() {
        Some(entry) => format!("before the last rotation, on {},", entry.at.for_people()),
        None => "before the last rotation".to_owned(),
    };
    Ok(format!(
        "This takes {} out of {} for good. Backups that were made {before} open no more, unless that key's line is kept \
         elsewhere. Make a backup under the present key first.",
        former.join(", "),
        desk.config.key_file.path().display()
    ))
}

/// For a credential alone: a key file of ours is changed by `rotate` itself.
pub(super) async fn next(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let file = &desk.config.key_file;
    if let KeyFile::Own(path) = file {
        bail!("{} is a file of Latchkey's own; run: latchkey key rotate", path.display());
    }
    desk.seal().await?;
    // First: what was printed cannot be taken back.
    desk.record(Code::KeyShown, json!({ "file": file.path() })).await?;
    terminal.say(file.with(&MasterKey::generate())?.expose().trim_end())?;
    Ok(())
}

/// What to run where only systemd's tools may write.
fn by_hand(file: &KeyFile) -> String {
    let name = file.path().file_name().unwrap_or_default().to_string_lossy();
    format!(
        "the master key is a systemd credential, which only systemd's own tools can replace; nothing was changed. As root, \
         while the service runs, with the unit's own path in place of CRED:\n\
         \x20 set -o pipefail\n\
         \x20 latchkey key next | systemd-creds encrypt --name={name} - CRED.new\n\
         \x20 cp CRED CRED.before && mv CRED.new CRED && systemctl restart latchkey\n\
         \x20 latchkey key list        # two keys; otherwise put CRED.before back, and restart\n\
         \x20 latchkey key rotate      # goes on from the key that is first now"
    )
}
