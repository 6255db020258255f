//! `latchkey doctor`, as it is typed in: whatever breaks turns its own line, and no other. What was broken stays broken,
//! so that each look is held against the one before.

mod alone;
mod house;
mod psa;
mod server;
mod tenant;
mod tls;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use latchkey::mail::Security;
use latchkey_simulators::{
    graph::{Licence, UserSeed},
    postgres::{Server, binaries},
};

use super::{
    harness::{
        CLIENT, HOOK_SECRET, Psa, TENANT, TestApp,
        stranger::{self, is_on_postgres},
    },
    mail_server::{self, LOGIN, Plan},
};

const EDITS: [(&str, &str); 2] = [
    ("name = \"Mark Smith\"", "name = \"Mark Smith\"\nrole = \"owner\"\nmail = \"mark@msp.example\""),
    (
        "[[technician_group]]",
        "[[brake]]\nid = \"busy\"\nper = \"msp\"\ngrants = 1\nwithin = \"8h\"\n[[technician_group]]",
    ),
];

/// What the app needs, and two that are optional.
const PERMISSIONS: [&str; 8] = [
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "GroupMember.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "Domain.Read.All",
    "AdministrativeUnit.Read.All",
    "Application.ReadWrite.All",
];

/// A server that keeps what it says, as an operator's does and the journeys' usual one does not.
fn keeping() -> Server {
    let server = Server::start(&binaries().expect("LATCHKEY_TEST_ENGINE=postgres needs PostgreSQL"));
    for setting in ["fsync", "full_page_writes"] {
        server.set(setting, "on");
    }
    server
}

/// An installation for whoever looks at all of it.
async fn installed(edits: &[(&str, &str)], before: impl FnOnce(&Psa)) -> TestApp {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let database = is_on_postgres().then(|| {
        let name = format!("looked_at_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        tokio::task::block_in_place(|| SERVER.get_or_init(keeping).database(&name))
    });
    TestApp::installed_in(stranger::on(database.as_ref()), edits, |psa, _| before(psa)).await
}

/// Area and thing → the word, and the sentence.
type Seen = BTreeMap<String, (String, String)>;

/// What is printed, line by line, up to the summary.
fn read(text: &str) -> Seen {
    let (mut seen, mut area, mut last) = (Seen::new(), "", String::new());
    for line in text.lines().take_while(|line| !line.is_empty()) {
        assert!(line.chars().count() <= 80 || !line.contains("  "), "wider than a terminal: {line}");
        if !line.starts_with(' ') {
            area = line;
        } else if line.starts_with("   ") {
            let (_, sentence) = seen.get_mut(&last).expect("a line goes on");
            *sentence += &format!(" {}", line.trim());
        } else {
            let (word, rest) = line.trim_start().split_once(' ').unwrap();
            let (what, sentence) = rest.trim_start().split_once("  ").unwrap_or((rest.trim_start(), ""));
            let names = std::iter::once(String::new()).chain((2..).map(|n| format!(" ({n})")));
            let mut names = names.map(|n| format!("{area}: {what}{n}"));
            last = names.find(|name| !seen.contains_key(name)).unwrap();
            seen.insert(last.clone(), (word.to_owned(), sentence.trim().to_owned()));
        }
    }
    seen
}

/// One look: what was seen, whether the command failed, and all that was printed.
async fn look(app: &TestApp) -> (Seen, bool, String) {
    let typed = app.type_in(&["doctor"], "").await;
    let failed = typed.is_err();
    let text = typed.unwrap_or_else(|text| text);
    (read(&text), failed, text)
}

struct Clinic {
    app: TestApp,
    mail: mail_server::Server,
    /// An emergency access account of the tenant.
    emergency: String,
    before: Seen,
}

impl Clinic {
    /// An installation in which everything is used that a line speaks of.
    async fn open() -> Option<Self> {
        Self::open_in(installed(&EDITS, |psa| _ = psa.ticket()).await).await
    }

    async fn open_in(mut app: TestApp) -> Option<Self> {
        let mail = mail_server::start(&Plan::new(Security::StartTls)).await?;
        app.up_with_mail(mail.settings.clone(), LOGIN.1).await;
        app.register_webhooks().await;
        let closed = app.psa.projects.closed.to_string().parse().unwrap();
        app.change_rules(|rules| rules.rulebook.mappings[1].statuses.ended = Some(closed)).await;
        let sim = &app.entra.sim;
        sim.set_permissions(TENANT, CLIENT, &PERMISSIONS);
        sim.set_licence(TENANT, Licence::P2);
        sim.add_domain(TENANT, "contoso.example", true, false);
        let emergency = sim.add_user(TENANT, UserSeed::new("breakglass@contoso.onmicrosoft.com"));
        sim.add_unit(TENANT, "Emergency", true, &[&emergency]);
        app.protect(&emergency).await;
        let (before, ..) = look(&app).await;
        Some(Self { app, mail, emergency, before })
    }

    /// Looks again, where what was broken was mended.
    async fn mended(&mut self) {
        self.before = look(&self.app).await.0;
    }

    /// Exactly these lines turn by what is broken, each to its word; the first says what to do.
    async fn turns(&mut self, expected: &[(&str, &str)], to_do: &str, break_it: impl AsyncFnOnce(&mut Self)) {
        break_it(self).await;
        let (after, failed, text) = look(&self.app).await;
        let is_new = |name: &String, word: &String| match self.before.get(name) {
            Some((before, _)) => before != word,
            None => word != "ok",
        };
        let turned = after.iter().filter(|(name, (word, _))| is_new(name, word));
        let turned: BTreeSet<(&str, &str)> = turned.map(|(name, (word, _))| (name.as_str(), word.as_str())).collect();
        assert_eq!(turned, expected.iter().copied().collect(), "in:\n{text}");
        if let Some((first, _)) = expected.first() {
            assert!(after[*first].1.contains(to_do), "{first} does not say {to_do:?} in:\n{text}");
        }
        assert_eq!(failed, after.values().any(|(word, _)| word == "fault"), "{text}");
        // What cannot be judged any more is left out: in an area that broke, and of what the rulebook is held against.
        for gone in self.before.keys().filter(|name| !after.contains_key(*name)) {
            let is_its = |name: &&str| gone.starts_with(name.split(':').next().unwrap().trim_end_matches('s'));
            let areas = expected.iter().map(|(name, _)| *name).chain(["rulebook"]);
            assert!(areas.into_iter().any(|name| is_its(&name)), "{gone} is gone in:\n{text}");
        }
        self.before = after;
    }

    async fn close(mut self) {
        self.app.down().await;
    }
}

/// F163: everything that is to be known about an installation is one command, which an operator types.
#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_on_a_good_day_and_nothing_secret_is_printed() {
    let Some(mut clinic) = Clinic::open().await else { return };
    let (seen, failed, text) = look(&clinic.app).await;
    assert!(!failed && seen.values().all(|(word, _)| word != "fault"), "{text}");
    let notes: Vec<&str> = seen.iter().filter(|(_, (word, _))| word == "note").map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        notes,
        [
            "address: reverse proxies",
            "connection acme-entra: permission Group.ReadWrite.All (optional)",
            "rulebook: mapping.desk.length_field",
            "rulebook: mapping.projects.length_field",
            "rulebook: policy.helpdesk.entitlements",
        ],
        "{text}"
    );
    assert!(text.contains("\n0 faults, 5 notes, "), "{text}");
    let mail = clinic.mail.mail().await;
    assert_eq!(mail["to"][0], "mark@msp.example", "the test mail went to the owner");
    for secret in [HOOK_SECRET, clinic.app.psa.keys.1.as_str(), super::harness::CLIENT_SECRET, LOGIN.1] {
        assert!(!text.contains(secret), "a secret is printed:\n{text}");
    }
    for id in ["cw", "acme-entra"] {
        let tested = read(&clinic.app.type_in(&["connection", "test", id], "").await.unwrap());
        let of_it = seen.iter().filter(|(name, _)| name.starts_with(&format!("connection {id}: ")));
        assert!(tested.len() > 10 && tested.iter().eq(of_it), "connection test {id} says something else: {tested:?}");
    }
    // Looked at again, it is the same: looking breaks nothing.
    clinic.turns(&[], "", async |_| ()).await;
    clinic.close().await;
}
