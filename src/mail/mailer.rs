//! Hands mails to the mail server.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use latchkey_contract::{Clock, Secret};
use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Certificate, TlsParameters},
    commands::{Data, Mail as MailFrom, Noop, Rcpt},
    extension::ClientId,
    response::Severity,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::{net::TcpStream, time::timeout};
use url::{Host, Url};

use super::{
    Mail, MailError, Security, Settings,
    error::{Stage, Talk},
    kept::{Connection, Kept},
    line::LineByLine,
    message,
};

/// How long a kept connection may take to show that it still lives.
const LIVES_WITHIN: Duration = Duration::from_secs(3);

/// The mail server, as the configuration names it.
pub struct Mailer {
    settings: Settings,
    /// `host:port`, for sentences.
    server: String,
    /// The right half of every Message-ID.
    our_host: String,
    hello: ClientId,
    /// `None` is a connection in clear.
    tls: Option<TlsParameters>,
    login: Option<Credentials>,
    kept: Kept,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Makes ready to send; connects to nobody yet. Reads `ca_file` and the system's roots.
    ///
    /// `public_url` says which host this is; `password` is the secret `mail/password`, where it is set.
    ///
    /// # Errors
    /// [`MailError::Setup`] for a login without its password, or a `ca_file` without certificates.
    pub fn new(
        settings: Settings,
        public_url: &Url,
        password: Option<&Secret<String>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MailError> {
        let setup = |why: String| MailError::Setup { why };
        let login = match (&settings.username, password) {
            (None, _) => None,
            (Some(name), Some(password)) => Some(Credentials::new(name.clone(), password.expose().clone())),
            (Some(_), None) => {
                return Err(setup("mail/password is not set; run: latchkey secret set mail/password".to_owned()));
            }
        };
        let tls = match settings.security {
            Security::None => None,
            Security::StartTls | Security::Tls => Some(tls(&settings).map_err(setup)?),
        };
        let our_host = match public_url.host() {
            Some(Host::Domain(name)) => ClientId::Domain(name.to_owned()),
            Some(Host::Ipv4(ip)) => ClientId::Ipv4(ip),
            Some(Host::Ipv6(ip)) => ClientId::Ipv6(ip),
            None => return Err(setup("public_url names no host".to_owned())),
        };
        Ok(Self {
            server: format!("{}:{}", settings.host, settings.port),
            our_host: our_host.to_string(),
            hello: settings.hello.clone().map_or(our_host, ClientId::Domain),
            tls,
            login,
            kept: Kept::new(clock),
            settings,
        })
    }

    /// Hands over one mail: over a connection that was kept from the last one, or a new one.
    ///
    /// `Ok` means that the server answers for it from now on.
    ///
    /// # Errors
    /// [`MailError`]. Where it may have arrived all the same, the next try should say so ([`Mail::is_repeat`]).
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let refused = |e: Box<dyn std::error::Error + Send + Sync>| MailError::Refused { why: e.to_string() };
        let text = message::compose(mail, &self.settings.from, &self.our_host).map_err(refused)?;
        let result = self.in_time(async |stage| self.hand_over(mail, &text, stage).await).await;
        let word = result.as_ref().map_or_else(MailError::as_str, |()| "sent");
        metrics::counter!("mails_total", "result" => word).increment(1);
        result
    }

    /// Goes as far as it can without a mail: connects, agrees on TLS, logs in, and leaves.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    pub async fn check(&self) -> Result<(), MailError> {
        self.in_time(async |stage| {
            let mut connection = self.open(stage).await?;
            connection.command(Noop).await.map_err(|e| self.at(*stage).failed(&e))?;
            Connection::new(connection).part();
            Ok(())
        })
        .await
    }

    fn at(&self, stage: Stage) -> Talk<'_> {
        Talk { server: &self.server, stage }
    }

    /// A talk that is broken off takes its connection with it, since whoever read on from there would take the answer to
    /// one mail for the answer to the next. That is why lettre's own pool, which takes such connections back, is not used.
    async fn in_time(&self, talk: impl AsyncFnOnce(&mut Stage) -> Result<(), MailError>) -> Result<(), MailError> {
        let mut stage = Stage::Greeting;
        let done = timeout(self.settings.timeout, talk(&mut stage)).await;
        done.unwrap_or_else(|_| Err(self.at(stage).slow(self.settings.timeout.as_secs())))
    }

    async fn hand_over(&self, mail: &Mail, text: &[u8], stage: &mut Stage) -> Result<(), MailError> {
        let mut connection = match self.living().await {
            Some(connection) => connection,
            None => Connection::new(self.open(stage).await?),
        };
        match self.say(&mut connection.smtp, mail, text, stage).await {
            Ok(()) => self.kept.keep(connection),
            Err(error) => {
                connection.part();
                return Err(error);
            }
        }
        Ok(())
    }

    /// A kept connection that the server still answers on.
    async fn living(&self) -> Option<Connection> {
        let mut connection = self.kept.take()?;
        let answered = timeout(LIVES_WITHIN, connection.smtp.command(Noop)).await;
        matches!(answered, Ok(Ok(_))).then_some(connection)
    }

    async fn open(&self, stage: &mut Stage) -> Result<AsyncSmtpConnection, MailError> {
        let mut connection = self.connect().await?;
        if let Some(login) = &self.login {
            *stage = Stage::Login;
            if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
                let what =
                    "offers no login that we know (PLAIN or LOGIN); leave username out under [mail] if it needs none";
                return Err(self.at(*stage).setup(what));
            }
            connection.auth(DEFAULT_MECHANISMS, login).await.map_err(|e| self.at(*stage).failed(&e))?;
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let at = self.at(Stage::Greeting);
        let address = (self.settings.host.as_str(), self.settings.port);
        let failed = |e: lettre::transport::smtp::Error| at.failed(&e);
        // One address of several that answers nothing leaves time for the next.
        let limit = self.settings.timeout / 3;
        if let (Security::Tls, Some(tls)) = (self.settings.security, &self.tls) {
            let secured =
                AsyncSmtpConnection::connect_tokio1(address, Some(limit), &self.hello, Some(tls.clone()), None);
            return secured.await.map_err(failed);
        }
        let stream = reach(address, limit).await.map_err(|e| at.broken(&e))?;
        let in_clear = AsyncSmtpConnection::connect_with_transport(Box::new(LineByLine::new(stream)), &self.hello);
        let mut connection = in_clear.await.map_err(failed)?;
        if let Some(tls) = &self.tls {
            if !connection.can_starttls() {
                let what = "does not offer STARTTLS, and nothing is sent in clear; \
                            write security = \"tls\" with the right port under [mail], or switch it on there";
                return Err(at.setup(what));
            }
            connection.starttls(tls.clone(), &self.hello).await.map_err(failed)?;
        }
        Ok(connection)
    }

    /// One mail, sentence by sentence: who was refused, and so what can be done, shows in which of them was.
    async fn say(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Mail,
        text: &[u8],
        stage: &mut Stage,
    ) -> Result<(), MailError> {
        let refused = |e: lettre::address::AddressError| MailError::Refused { why: e.to_string() };
        let from = self.settings.from.address.as_str().parse().map_err(refused)?;
        let to = mail.to.as_str().parse().map_err(refused)?;
        *stage = Stage::Sender;
        let failed = |e, stage| self.at(stage).failed(&e);
        connection.command(MailFrom::new(Some(from), vec![])).await.map_err(|e| failed(e, *stage))?;
        *stage = Stage::Recipient;
        connection.command(Rcpt::new(to, vec![])).await.map_err(|e| failed(e, *stage))?;
        *stage = Stage::Data;
        connection.command(Data).await.map_err(|e| failed(e, *stage))?;
        *stage = Stage::Text;
        let said = connection.message(text).await.map_err(|e| failed(e, *stage))?;
        match said.code().severity {
            Severity::PositiveCompletion => Ok(()),
            _ => Err(self.at(*stage).broken(&io::Error::other("it answered out of turn"))),
        }
    }
}

/// Connects to the first of a host's addresses that answers within `limit`.
async fn reach(host: (&str, u16), limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(host).await? {
        last = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "nothing answers there"),
        };
    }
    Err(last)
}

/// The system's roots, and those of `ca_file`.
fn tls(settings: &Settings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        builder = builder.add_root_certificate(roots(path)?);
    }
    builder.build_rustls().map_err(|e| format!("TLS cannot be made ready for mail: {e}"))
}

fn roots(path: &Path) -> Result<Certificate, String> {
    let pem = std::fs::read(path).map_err(|e| format!("mail.ca_file {}: {e}", path.display()))?;
    let is_good = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).next().is_some_and(|first| first.is_ok());
    let certificate = is_good(&pem).then(|| Certificate::from_pem(&pem).ok()).flatten();
    certificate.ok_or_else(|| format!("mail.ca_file {} is not PEM with at least one certificate", path.display()))
}
