//! The command line: arguments → configuration → one command. Results go to standard output, prompts and hints to
//! standard error, so that a result can be piped. Every refusal says what to do.
//!
//! Where a service runs, it is the service that runs the command, at its own desk, and this terminal is lent to it over
//! the socket; where none runs, the command is alone with the database, under the lock. Either way it is the same code,
//! `at_the_desk`.

mod answer;
mod at;
mod audit;
mod backup;
mod binding;
mod certificate;
mod change;
mod choose;
mod connection;
mod customer;
mod desk;
mod doctor;
mod grants;
mod hands;
mod init;
mod key;
mod load;
mod mapping;
mod migrate;
mod names;
mod operator;
mod person;
mod reconcile;
mod records;
mod revoke;
mod rulebook;
mod secret;
mod serve;
mod terminal;
mod webhook;
mod work;

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use latchkey_contract::{ConnectionId, GrantId, PersonId};

use crate::{
    config::Config,
    lock::{self, LockError},
    mail::MailAddress,
    registry::SecretName,
    socket::{self, Knock},
};
use audit::Audit;
use desk::Desk;
pub(crate) use desk::ServiceDesk;
use grants::Wanted;
use mapping::Mapping;
pub(crate) use operator::Operator;
use revoke::{Target, lock::LockOn};
use rulebook::Rulebook;
pub(crate) use terminal::{Ends, LARGEST_FILE};
pub use terminal::{NobodyReads, Overwrite, Piece, Terminal};

/// A service failed, and why was said already, after the last line of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service failed: its log says why")]
pub struct Told;

/// Just-in-time administrator access, asked for by a PSA ticket, taken away on time, with proof.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, about)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, default_value = "latchkey.toml")]
    config: PathBuf,
    /// Go on without asking, where a command would ask whether it shall.
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
    /// All of them but the program's name, as they were typed.
    #[arg(skip)]
    words: Vec<OsString>,
}

impl Cli {
    /// Reads what was typed, the program's name first.
    ///
    /// # Errors
    /// What clap has to say: a mistake, or the help that was asked for.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().collect();
        let mut cli = Self::try_parse_from(&words)?;
        cli.words = words.into_iter().skip(1).collect();
        Ok(cli)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is told to stop (SIGTERM or Ctrl-C).
    Serve(serve::Serve),
    /// Make an installation: configuration, data directory, master key, and the owner's enrolment.
    Init(init::Init),
    /// People.
    #[command(subcommand)]
    Person(person::Command),
    /// Which PSA member is which person.
    #[command(subcommand)]
    Binding(binding::Command),
    /// The MSP's clients.
    #[command(subcommand)]
    Customer(customer::Command),
    /// Secrets of connections.
    #[command(subcommand)]
    Secret(Secret),
    /// Connections, customers and people, as one document.
    #[command(subcommand)]
    Records(records::Command),
    /// Policies, mappings, groups, brakes and alerts: one document.
    #[command(subcommand)]
    Rulebook(Rulebook),
    /// Which tickets ask for what.
    #[command(subcommand)]
    Mapping(Mapping),
    /// PSA instances and directories.
    #[command(subcommand)]
    Connection(connection::Command),
    /// The PSA's webhooks to this service.
    #[command(subcommand)]
    Webhook(Webhook),
    /// Certificates for directories.
    #[command(subcommand)]
    Certificate(Certificate),
    /// The master keys that seal every secret.
    #[command(subcommand)]
    Key(Key),
    /// Copy the database, as it is now, to one file; the service may run. The master key is not in it.
    Backup {
        /// A file that is not there yet.
        file: PathBuf,
    },
    /// Put a backup in the place of the database, which is kept beside it. Only while no service runs.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Move everything to the PostgreSQL database that the configuration names. Only while no service runs.
    Migrate {
        /// Where it is: the file in data_dir.
        #[arg(long, value_name = "ENGINE")]
        from: migrate::From,
        /// Where it goes: the database under [database].
        #[arg(long, value_name = "ENGINE")]
        to: migrate::To,
    },
    /// Compare the database with the directories: after an older copy was put back, before anything is given or ended.
    Reconcile {
        /// Take unknown accounts away, and let the service go on.
        #[arg(long)]
        accept: bool,
        /// Do without a directory that cannot be reached; may be repeated.
        #[arg(long, requires = "accept", value_name = "CONNECTION")]
        without: Vec<ConnectionId>,
    },
    /// List grants, newest first.
    Grants(Wanted),
    /// Say how a grant was decided: by which rule, from what, and what came of it.
    Why {
        /// As `latchkey grants` lists it.
        grant: GrantId,
    },
    /// Take a grant away now. Nothing is locked.
    End {
        /// As `latchkey grants` lists it.
        grant: GrantId,
        /// Why: for the ticket and the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take access away now, and give nothing there until an owner lifts the lock. Shows what is left until each is seen
    /// to be off. Where no service runs, this command takes away itself whatever is owed by now; tickets and mails wait for
    /// the service.
    Revoke {
        #[command(flatten)]
        target: Target,
        /// Why: for the tickets and the audit log.
        #[arg(long, default_value = "")]
        reason: String,
        /// How many minutes to wait while nothing moves. What is left is worked on by the service all the same.
        #[arg(long, value_name = "MINUTES", default_value_t = 10)]
        wait: u32,
    },
    /// What is locked, and lifting it.
    #[command(subcommand)]
    Lock(LockCommand),
    /// Let a request pass that a brake holds. Two people must.
    Approve {
        /// As `latchkey grants --open` lists it.
        grant: GrantId,
        /// Who approves: their fresh one-time code is asked for.
        #[arg(long = "as", value_name = "PERSON")]
        by: PersonId,
    },
    /// Say no to a request that a brake holds.
    Deny {
        /// As `latchkey grants --open` lists it.
        grant: GrantId,
        /// Who denies: their fresh one-time code is asked for.
        #[arg(long = "as", value_name = "PERSON")]
        by: PersonId,
        /// Why: for the ticket.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List what is being worked on and what waits: the dead first, then by when it is due.
    Tasks(Most),
    /// List what the PSAs' webhooks and the poll brought, newest first.
    Deliveries {
        /// Only what is not worked off yet.
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        most: Most,
    },
    /// List the mails that are owed, sent or given up, newest first.
    Mails(Most),
    /// Look at everything live, and say of each thing that it is well, or what to do. Fails if anything must be mended.
    Doctor {
        /// Where the test mail goes, instead of to the owners.
        #[arg(long, value_name = "ADDRESS", conflicts_with = "no_mail")]
        mail_to: Option<MailAddress>,
        /// Send no test mail.
        #[arg(long)]
        no_mail: bool,
    },
    /// The audit log: who did what, for which ticket and grant.
    #[command(subcommand)]
    Audit(Audit),
}

#[derive(Debug, Subcommand)]
enum Secret {
    /// Set a secret; its value is read from standard input.
    Set {
        /// CONNECTION/KIND, such as cw/private-key or contoso/client-secret.
        name: SecretName,
        /// Where it leaked: accept no former webhook-key or hook-password from now on, though the PSA does not have the new
        /// one yet.
        #[arg(long)]
        at_once: bool,
    },
    /// Try a new value at the vendor, and put it in force only if it works. The certificate is the one that
    /// `certificate make --next` made; a hook-secret is made by Latchkey itself.
    Rotate {
        /// CONNECTION/KIND, such as cw/private-key, contoso/client-secret, contoso/certificate or cw/hook-secret.
        name: SecretName,
        /// ConnectWise: the public key that belongs to the new private key.
        #[arg(long)]
        public_key: Option<String>,
    },
    /// List the names of the secrets that are set.
    List,
}

#[derive(Debug, Subcommand)]
enum Webhook {
    /// Make the webhooks what the rulebook's mappings need.
    Sync {
        /// As in the records.
        connection: ConnectionId,
        /// Give the webhooks a new path secret first; the old one is accepted for an hour after the move.
        #[arg(long)]
        new_path: bool,
        /// HaloPSA with another hook_auth than basic: the present hook-password has been set at the PSA by hand, and the
        /// former one is accepted for another hour.
        #[arg(long)]
        credential_is_set: bool,
    },
    /// List our webhooks as they are at the PSA.
    List {
        /// As in the records.
        connection: ConnectionId,
    },
    /// Remove all our webhooks from the PSA.
    Remove {
        /// As in the records.
        connection: ConnectionId,
    },
}

#[derive(Debug, Subcommand)]
enum Certificate {
    /// Make a key and a self-signed certificate; the key is sealed here, the certificate is printed.
    Make {
        /// As in the records.
        connection: ConnectionId,
        /// How long it is good for.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=1095))]
        days: u32,
        /// For later: the pair in force stays, until `secret rotate CONNECTION/certificate` has tried this one.
        #[arg(long)]
        next: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Key {
    /// List them: which one seals, and how many secrets each one wraps.
    List,
    /// Make a new one, and wrap every secret by it. Goes on with a rotation that was broken off.
    Rotate,
    /// Take the former ones out of the key file, once no secret needs them. Backups made before a rotation do.
    Retire,
    /// Print the key file as it would be with a new key first: for a systemd credential. Changes nothing.
    Next,
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    /// List what is locked, paused or blocked.
    List,
    /// Lift a lock. What was taken away stays away.
    Lift {
        /// all, customer/ID or person/ID.
        on: LockOn,
        /// The owner who lifts it: their fresh one-time code is asked for.
        #[arg(long = "as", value_name = "OWNER")]
        by: PersonId,
        /// Why: for the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Args)]
struct Most {
    /// At most so many.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Runs one command.
///
/// # Errors
/// Whatever stopped it, as a chain of sentences.
pub async fn run(cli: Cli, terminal: &mut Terminal) -> anyhow::Result<()> {
    if let Command::Serve(wanted) = cli.command {
        return serve::run(&cli.config, wanted).await;
    }
    terminal.obey(&cli.words, cli.yes);
    // Files of the operator's, which a service that runs may not reach: never its work.
    match cli.command {
        Command::Init(wanted) => return init::run(wanted, &cli.config, terminal).await,
        Command::Backup { file } => return backup::make(&cli.config, terminal, &file).await,
        Command::Restore { file } => return backup::restore(&cli.config, terminal, &file).await,
        Command::Migrate { from, to } => return migrate::run(&cli.config, terminal, from, to).await,
        _ => {}
    }
    // Nothing of this installation is needed for it.
    if let Command::Audit(Audit::Verify { file: Some(file), head }) = cli.command {
        return audit::verify::file(&file, head, terminal);
    }
    let is_doctor = matches!(cli.command, Command::Doctor { .. });
    if is_doctor && let Some(shut) = doctor::before(&cli.config).await {
        return doctor::say(&shut, terminal);
    }
    let way = match way(&cli, is_doctor).await {
        Err(why) if is_doctor => return doctor::say(&doctor::without_desk(&cli.config, &why).await, terminal),
        way => way?,
    };
    match way {
        Way::Service(stream) => socket::ask(stream, for_the_service(&cli.words)?, terminal).await,
        Way::Alone(desk) => {
            let done = at_the_desk(cli.command, &desk, terminal).await;
            desk.close().await;
            done
        }
    }
}

enum Way {
    Service(tokio::net::UnixStream),
    Alone(Box<Desk>),
}

/// To the service where one runs. One that has the lock and does not listen is just starting, or just stopping.
async fn way(cli: &Cli, only_looks: bool) -> anyhow::Result<Way> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    let data_dir = Config::data_dir(&cli.config)?;
    let began = Instant::now();
    loop {
        if let Knock::Answered(stream) = socket::knock(&data_dir).await? {
            return Ok(Way::Service(stream));
        }
        let opened = if only_looks { Desk::to_look(&cli.config).await } else { Desk::open(&cli.config).await };
        match opened {
            Ok(desk) => return Ok(Way::Alone(Box::new(desk))),
            Err(error) => match error.downcast_ref() {
                Some(LockError::Running(..)) if began.elapsed() < lock::PATIENCE => {
                    tokio::time::sleep(LOOK_AGAIN).await
                }
                Some(LockError::Running(..)) => {
                    return Err(anyhow!("the service that runs there does not answer; look at its log"));
                }
                _ => return Err(error),
            },
        }
    }
}

/// The words without `--config`: the service has its own.
fn for_the_service(words: &[OsString]) -> anyhow::Result<Vec<String>> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_str().with_context(|| format!("{} is not UTF-8", word.display()))?;
        match text {
            "--config" => drop(words.next()),
            text if text.starts_with("--config=") => {}
            text => kept.push(text.to_owned()),
        }
    }
    Ok(kept)
}

async fn at_the_desk(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Person(command) => person::run(command, desk, terminal).await,
        Command::Binding(command) => binding::run(command, desk, terminal).await,
        Command::Customer(command) => customer::run(command, desk, terminal).await,
        Command::Serve(_)
        | Command::Init(_)
        | Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Migrate { .. } => {
            bail!("this is run by itself, not through a service that runs")
        }
        Command::Secret(Secret::Set { name, at_once }) => secret::set(desk, terminal, name, at_once).await,
        Command::Secret(Secret::Rotate { name, public_key }) => secret::rotate(desk, terminal, name, public_key).await,
        Command::Secret(Secret::List) => secret::list(desk, terminal).await,
        Command::Records(command) => records::run(command, desk, terminal).await,
        Command::Rulebook(command) => rulebook::run(command, desk, terminal).await,
        Command::Mapping(command) => mapping::run(command, desk, terminal).await,
        Command::Connection(command) => connection::run(command, desk, terminal).await,
        Command::Webhook(Webhook::Sync { connection, new_path, credential_is_set }) => {
            webhook::sync(desk, terminal, connection, webhook::Wanted { new_path, credential_is_set }).await
        }
        Command::Webhook(Webhook::List { connection }) => webhook::list(desk, terminal, &connection).await,
        Command::Webhook(Webhook::Remove { connection }) => webhook::remove(desk, terminal, &connection).await,
        Command::Certificate(Certificate::Make { connection, days, next }) => {
            certificate::make(desk, terminal, connection, days, next).await
        }
        Command::Key(Key::List) => key::list(desk, terminal).await,
        Command::Key(Key::Rotate) => key::rotate(desk, terminal).await,
        Command::Key(Key::Retire) => key::retire(desk, terminal).await,
        Command::Key(Key::Next) => key::next(desk, terminal).await,
        Command::Reconcile { accept, without } => reconcile::run(desk, terminal, accept, &without).await,
        Command::Grants(wanted) => grants::list(desk, terminal, wanted).await,
        Command::Why { grant } => grants::why(desk, terminal, grant).await,
        Command::End { grant, reason } => revoke::end(desk, terminal, &grant, &reason).await,
        Command::Revoke { target, reason, wait } => revoke::revoke(desk, terminal, target, &reason, wait).await,
        Command::Lock(LockCommand::List) => revoke::lock::list(desk, terminal).await,
        Command::Lock(LockCommand::Lift { on, by, reason }) => {
            revoke::lock::lift(desk, terminal, on, &by, &reason).await
        }
        Command::Approve { grant, by } => answer::approve(desk, terminal, &grant, &by).await,
        Command::Deny { grant, by, reason } => answer::deny(desk, terminal, &grant, &by, &reason).await,
        Command::Tasks(most) => work::tasks(desk, terminal, most.limit).await,
        Command::Deliveries { open, most } => work::deliveries(desk, terminal, open, most.limit).await,
        Command::Mails(most) => work::mails(desk, terminal, most.limit).await,
        Command::Doctor { mail_to, no_mail } => doctor::look(desk, terminal, mail_to, no_mail).await,
        Command::Audit(command) => audit::run(command, desk, terminal).await,
    }
}

#[cfg(test)]
mod tests;
