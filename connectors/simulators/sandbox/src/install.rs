//! What an operator does once, by the commands that an operator has: loads the documents, sets the
//! secrets, registers the webhooks, enrols people.

use std::{
    io::{self, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use latchkey::{
    cli::{self, Cli, Terminal},
    people::OneTime,
};
use latchkey_contract::{Clock as _, PersonId, Secret};
use rand::distr::{Alphanumeric, SampleString as _};
use totp_rs::Secret as Base32;

use crate::{
    clock::MovableClock,
    documents::{self, DATA_DIR, DIRECTORY},
    psas::connectwise::Member,
    sandbox::{DemoPerson, Plan},
    vendors::Vendors,
};

/// The configuration's file, in the data directory.
pub(crate) const CONFIG: &str = "latchkey.toml";

/// Enrolment uses up a code. It is given the one before the present one, which is still good.
const ONE_CODE: Duration = Duration::from_secs(30);

/// Installs the service into `data`, for the pages and hooks to be at `listen`. Answers who can sign in.
pub(crate) async fn install(
    data: &Path,
    listen: SocketAddr,
    vendors: &Vendors,
    clock: &MovableClock,
    plan: &Plan,
) -> anyhow::Result<[DemoPerson; 2]> {
    let ca = data.join("ca.pem");
    vendors.write_ca(&ca)?;
    let config = write(data, CONFIG, &(documents::config(listen) + &plan.settings))?;
    let psas = vendors.psas(plan.psas);
    let records = write(data, "records.toml", &documents::records(vendors, &psas, &ca))?;
    let rulebook = write(data, "rulebook.toml", &(documents::rulebook(vendors, &psas, plan.mode) + &plan.rules))?;
    std::fs::create_dir(data.join(DATA_DIR)).context("the database's directory cannot be made")?;
    let desk = Desk { config: &config, clock };
    desk.run(&["records", "load", &records], "").await?;
    desk.run(&["rulebook", "load", &rulebook], "").await?;
    desk.run(&["secret", "set", &format!("{DIRECTORY}/client-secret")], &vendors.directory.client_secret).await?;
    for psa in psas {
        let id = psa.names().connection;
        for (name, value) in psa.connected().secrets {
            desk.run(&["secret", "set", &format!("{id}/{name}")], &value).await?;
        }
        desk.run(&["webhook", "sync", id], "").await?;
    }
    Ok([desk.enroll(vendors.connectwise.jane).await?, desk.enroll(vendors.connectwise.max).await?])
}

fn write(data: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = data.join(name);
    std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    path.into_os_string().into_string().ok().context("the data directory's name is not text")
}

/// Where the operator sits.
struct Desk<'a> {
    config: &'a str,
    clock: &'a MovableClock,
}

impl Desk<'_> {
    async fn run(&self, command: &[&str], input: &str) -> anyhow::Result<()> {
        typed(self.config, command, input).await.map(drop)
    }

    async fn enroll(&self, member: Member) -> anyhow::Result<DemoPerson> {
        let person = PersonId::parse(member.identifier)?;
        let password = Alphanumeric.sample_string(&mut rand::rng(), 20);
        let said = Said::default();
        let keyboard = Keyboard {
            line: io::Cursor::new(format!("{password}\n").into_bytes()),
            person: person.clone(),
            said: said.clone(),
            clock: self.clock.clone(),
        };
        let terminal =
            Terminal::piped(Box::new(BufReader::new(keyboard)), Box::new(said.clone()), Box::new(io::sink()));
        at(self.config, terminal, &["person", "enroll", member.identifier]).await?;
        let app = said.app(&person).context("the enrolment showed no secret for an app")?;
        Ok(DemoPerson { member, password, app })
    }
}

/// Types a command, and its input; answers what it says.
pub(crate) async fn typed(config: &str, command: &[&str], input: &str) -> anyhow::Result<String> {
    let said = Said::default();
    let input = Box::new(io::Cursor::new(input.to_owned()));
    at(config, Terminal::piped(input, Box::new(said.clone()), Box::new(io::sink())), command).await?;
    Ok(said.text())
}

async fn at(config: &str, mut terminal: Terminal, command: &[&str]) -> anyhow::Result<()> {
    let words = ["latchkey", "--config", config].into_iter().chain(command.iter().copied());
    let cli = Cli::read(words.map(Into::into))?;
    cli::run(cli, &mut terminal).await.with_context(|| format!("latchkey {}", command.join(" ")))
}

/// What a command has said so far.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The one-time-code secret that an enrolment shows, as an authenticator app takes it.
    fn app(&self, person: &PersonId) -> Option<OneTime> {
        let text = self.text();
        let secret = text.lines().find_map(|line| line.strip_prefix("secret: "))?;
        let bytes = Base32::try_from_base32(secret).ok()?;
        OneTime::new(&Secret::new(bytes.as_bytes().to_vec()), person)
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Somebody who enrols: types the password, then, having read the secret, the code that an app shows.
#[derive(Debug)]
struct Keyboard {
    line: io::Cursor<Vec<u8>>,
    person: PersonId,
    said: Said,
    clock: MovableClock,
}

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        let Some(app) = self.said.app(&self.person) else { return Ok(0) };
        self.line = io::Cursor::new(format!("{}\n", app.code(self.clock.now() - ONE_CODE)).into_bytes());
        self.line.read(buffer)
    }
}
