//! The mail server, and a test mail.

use std::{collections::BTreeSet, time::Duration};

use latchkey_contract::MailId;

use super::{Doctor, Line, within};
use crate::{
    mail::{Mail, MailAddress, MailError, Mailer, Words},
    random,
    rulebook::{Role, Rules},
    seal::Seal,
};

/// Who gets a test mail, at most: the mail server is what is tested.
const MOST: usize = 5;

/// Whether a test mail goes out, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestMail {
    /// To every owner who has an address.
    Owners,
    /// There.
    To(MailAddress),
    /// None is sent.
    Not,
}

pub(super) async fn look(doctor: &Doctor, rules: &Rules, seal: Option<&Seal>) -> Vec<Line> {
    let Some(settings) = &doctor.config.mail else {
        let know = "there is no [mail] table in the configuration: alerts are not sent, and nobody learns by mail that \
                    access could not be taken away";
        return vec![Line::note("mail", "server", know)];
    };
    let Some(seal) = seal else {
        let know = "not looked at, since its password cannot be opened: mend the key file first";
        return vec![Line::note("mail", "server", know)];
    };
    let limit = settings.timeout * (u32::try_from(MOST).unwrap_or(1) + 1) + Duration::from_secs(10);
    within("mail", limit, talk(doctor, rules, seal)).await
}

async fn talk(doctor: &Doctor, rules: &Rules, seal: &Seal) -> Vec<Line> {
    let mailer = match doctor.post().mailer(&*doctor.store, seal).await {
        Ok(Some(mailer)) => mailer,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Line::red("mail", "server", error.to_string())],
    };
    if let Err(error) = mailer.check().await {
        return vec![Line::red("mail", "server", error.to_string())];
    }
    let mut lines = vec![Line::ok("mail", "server", "it is reached, and takes user name and password as configured")];
    lines.push(match recipients(&doctor.test_mail, rules) {
        Ok(to) => sent(test(doctor, &mailer, &to).await, to.len()),
        Err(line) => line,
    });
    lines
}

/// Each once; or the line that says why there is none.
fn recipients(wanted: &TestMail, rules: &Rules) -> Result<Vec<MailAddress>, Line> {
    const WHAT: &str = "test mail";
    match wanted {
        TestMail::To(address) => Ok(vec![address.clone()]),
        TestMail::Not => Err(Line::note("mail", WHAT, "not sent, as asked for")),
        TestMail::Owners => {
            let owners = rules.records.people.iter().filter(|person| person.role == Role::Owner);
            let all: BTreeSet<&str> = owners.filter_map(|p| p.mail.as_ref()).map(MailAddress::as_str).collect();
            let all: Vec<MailAddress> =
                all.into_iter().filter_map(|text| MailAddress::parse(text).ok()).take(MOST).collect();
            let know = "not sent, since no owner in the records has a mail address: write mail = \"…\" there, or name one \
                        with --mail-to";
            if all.is_empty() { Err(Line::note("mail", WHAT, know)) } else { Ok(all) }
        }
    }
}

/// Stops at the first that is not taken; says whose that was.
async fn test<'a>(doctor: &Doctor, mailer: &Mailer, to: &'a [MailAddress]) -> Result<(), (&'a MailAddress, MailError)> {
    let at = doctor.clock.now();
    for to in to {
        let id = MailId::parse(random::id(at)).expect("a ULID is 26 letters and digits");
        let written = Words::Test { by: doctor.by.clone(), at }.write();
        let sent = mailer.send(&Mail { id, to: to.clone(), written, at, is_repeat: false }).await;
        sent.map_err(|error| (to, error))?;
    }
    Ok(())
}

fn sent(done: Result<(), (&MailAddress, MailError)>, many: usize) -> Line {
    const WHAT: &str = "test mail";
    match done {
        Ok(()) => Line::ok("mail", WHAT, format!("the mail server took it (recipients: {many}): see that it arrives")),
        Err((to, error @ MailError::Refused { .. })) => {
            let to_do = format!("to {to}: {error}; if the address is wrong, correct it in the records");
            Line::red("mail", WHAT, to_do)
        }
        Err((to, error)) => Line::red("mail", WHAT, format!("to {to}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::Records;

    fn rules(people: &str) -> Rules {
        let records = if people.is_empty() { Records::default() } else { Records::parse(people).unwrap() };
        Rules { records, ..Rules::default() }
    }

    #[test]
    fn a_test_mail_goes_to_each_owner_once_unless_told_otherwise() {
        let person = |id: &str, role: &str, mail: &str| {
            format!("[[person]]\nid = {id:?}\nname = {id:?}\nrole = {role:?}\nmail = {mail:?}\ncustomers = \"all\"\n")
        };
        let all = rules(
            &[
                person("a", "owner", "one@example.com"),
                person("b", "owner", "two@example.com"),
                person("c", "admin", "three@example.com"),
            ]
            .concat(),
        );
        let to = |wanted: &TestMail, rules: &Rules| {
            recipients(wanted, rules).map(|to| to.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        };
        assert_eq!(to(&TestMail::Owners, &all).unwrap(), "one@example.com,two@example.com");
        assert_eq!(to(&TestMail::To("x@example.com".parse().unwrap()), &all).unwrap(), "x@example.com");
        assert_eq!(to(&TestMail::Not, &all).unwrap_err().word(), "note");
        let nobody = to(&TestMail::Owners, &rules("")).unwrap_err();
        assert!(nobody.word() == "note" && nobody.to_string().contains("--mail-to"), "{nobody}");
    }
}
