//! What there may be once, and is there more often. How often is seen at the PSA and in the tenant; what belongs to what
//! is said by the service's records: whose an account is by the mark that it carries, and of which grant a note tells.

use std::collections::{BTreeMap, BTreeSet};

use latchkey::store::{Scope, Store};
use latchkey_contract::directory::Mode;

/// More rows than any run leaves.
pub(super) const ALL: u32 = 1_000_000;

/// What a ticket is told once for each grant, as its note begins. The rest, as a removal that is overdue, may come
/// again, and is another note then.
const ONCE: [&str; 6] = [
    "request is waiting",
    "request received",
    "access granted",
    "access was not granted",
    "access could not be given",
    "access has ended, proven off",
];

/// An account that was made in the tenant, whether or not it is still there.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) object: String,
    pub(super) name: String,
    /// Our id, where it carries one.
    pub(super) mark: Option<String>,
}

/// Of whom, or of what, there may be one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// A person at a customer, in one directory.
    Standing { person: String, customer: String, directory: String },
    /// The one grant of an account with this mark.
    Burner(String),
}

/// A grant, as far as it is counted.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) ticket: String,
    /// When the ticket asked: two grants of one moment are for one event.
    pub(super) asked_at: i64,
    /// The mark of its account.
    pub(super) account: String,
}

/// The service's records, as far as they say what belongs to what.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By mark.
    pub(super) owners: BTreeMap<String, Owner>,
    pub(super) grants: Vec<Given>,
    /// Of which grant a note tells, by the note's key.
    pub(super) notes: BTreeMap<String, String>,
}

impl Books {
    pub(super) async fn read(store: &dyn Store) -> anyhow::Result<Self> {
        let mut books = Self::default();
        for account in store.accounts(None, ALL).await? {
            let mark = account.id.to_string();
            let owner = match account.mode {
                Mode::Burner => Owner::Burner(mark.clone()),
                Mode::Standard => Owner::Standing {
                    person: account.person.to_string(),
                    customer: account.customer.to_string(),
                    directory: account.directory.to_string(),
                },
            };
            books.owners.insert(mark, owner);
        }
        for grant in store.newest_grants(&Scope::Everything, ALL).await? {
            for notice in store.notices_of(&grant.id).await? {
                books.notes.insert(notice.id, grant.id.to_string());
            }
            books.grants.push(Given {
                ticket: grant.ticket.ticket.to_string(),
                asked_at: grant.asked_at.millis(),
                account: grant.account.to_string(),
            });
        }
        Ok(books)
    }

    /// How many grants an account had: nobody may let it in more often.
    pub(super) fn grants_of(&self, made: &Made) -> usize {
        self.grants.iter().filter(|grant| Some(&grant.account) == made.mark.as_ref()).count()
    }
}

/// A sentence for each that is one too many.
pub(super) fn beyond(most: usize, are: usize, sentence: &str) -> impl Iterator<Item = String> {
    (most..are).map(move |_| sentence.to_owned())
}

/// Accounts beyond the one of their owner, and those that are nobody's.
pub(super) fn accounts(made: &[Made], books: &Books) -> Vec<String> {
    let (mut owned, mut found) = (BTreeMap::<&Owner, Vec<&Made>>::new(), Vec::new());
    for account in made {
        match account.mark.as_ref().and_then(|mark| books.owners.get(mark)) {
            Some(owner) => owned.entry(owner).or_default().push(account),
            None => found.push(format!("{} ({}) was made, and no record has its mark", account.name, account.object)),
        }
    }
    for (owner, accounts) in owned {
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        let sentence = format!("{} were made for {owner:?}, who may have one", names.join(", "));
        found.extend(beyond(1, accounts.len(), &sentence));
        if let (Owner::Burner(_), Some(account)) = (owner, accounts.first()) {
            match books.grants_of(account) {
                0 => found.push(format!("{}, made for one grant, is of none", account.name)),
                grants => {
                    let sentence = format!("{}, made for one grant, is of {grants}", account.name);
                    found.extend(beyond(1, grants, &sentence));
                }
            }
        }
    }
    found
}

/// Grants beyond the one of an event of a ticket, and those for events that never were: `asked` says how often each
/// ticket asked.
pub(super) fn grants(books: &Books, asked: &BTreeMap<String, usize>) -> Vec<String> {
    let mut events = BTreeMap::<(&str, i64), usize>::new();
    for grant in &books.grants {
        *events.entry((grant.ticket.as_str(), grant.asked_at)).or_default() += 1;
    }
    let (mut of_ticket, mut found) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for ((ticket, at), grants) in events {
        *of_ticket.entry(ticket).or_default() += 1;
        found.extend(beyond(
            1,
            grants,
            &format!("ticket {ticket}, which asked at {at} ms, has {grants} grants for that"),
        ));
    }
    for (ticket, events) in of_ticket {
        let times = asked.get(ticket).copied().unwrap_or_default();
        let sentence = format!("ticket {ticket} asked {times} times, and was given for {events}");
        found.extend(beyond(times, events, &sentence));
    }
    found
}

/// Notes of one ticket, oldest first, that say again what an earlier one said: by their marker, or as the same word on
/// one grant. No note is counted twice. A repeat would be allowed if it said that it is one; no text of ours does.
pub(super) fn notes(ticket: &str, texts: &[&str], books: &Books) -> Vec<String> {
    let (mut markers, mut words) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for text in texts {
        let marker = marker(text);
        let said = opening(text).and_then(|said| ONCE.into_iter().find(|once| said.starts_with(once)));
        let grant = marker.and_then(|(key, _)| books.notes.get(key)).map_or(ticket, String::as_str);
        let is_again = marker.is_some_and(|marker| !markers.insert(marker));
        let is_the_same = said.is_some_and(|said| !words.insert((grant, said)));
        if is_again || is_the_same {
            let what = said.unwrap_or("one note");
            found.push(format!("ticket {ticket} was told twice of {grant}: {what} ({marker:?})"));
        }
    }
    found
}

/// What a note of ours says first. The one with the credentials is overwritten at the end.
pub(super) fn opening(text: &str) -> Option<String> {
    let said = text.strip_prefix("Latchkey: ")?;
    Some(said.replace("this access has ended; the credentials", "access granted"))
}

/// The key of a note and which part of it this is, by the last line that is not empty.
fn marker(text: &str) -> Option<(&str, &str)> {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let mut words = last.strip_prefix("[latchkey ")?.trim_end_matches(']').split(' ');
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(object: &str, mark: &str) -> Made {
        Made { object: object.to_owned(), name: format!("jit-{object}"), mark: Some(mark.to_owned()) }
    }

    fn standing(person: &str, customer: &str) -> Owner {
        let (person, customer) = (person.to_owned(), customer.to_owned());
        Owner::Standing { person, customer, directory: "entra".to_owned() }
    }

    fn given(ticket: &str, asked_at: i64, account: &str) -> Given {
        Given { ticket: ticket.to_owned(), asked_at, account: account.to_owned() }
    }

    /// Jane at two customers, Joe at one, a burner each; Jane asked three times at the first.
    fn books() -> Books {
        let burner = |mark: &str| (mark.to_owned(), Owner::Burner(mark.to_owned()));
        let owners = [("a1", "jane", "acme"), ("a2", "jane", "other"), ("a3", "joe", "acme")];
        let owners = owners.map(|(mark, person, customer)| (mark.to_owned(), standing(person, customer)));
        Books {
            owners: owners.into_iter().chain([burner("b1"), burner("b2")]).collect(),
            grants: vec![
                given("1", 10, "a1"),
                given("2", 20, "a1"),
                given("3", 30, "a1"),
                given("4", 40, "a2"),
                given("5", 50, "a3"),
                given("6", 60, "b1"),
                given("7", 70, "b2"),
            ],
            notes: [("n1", "g1"), ("n2", "g1"), ("n3", "g2")].map(|(n, g)| (n.to_owned(), g.to_owned())).into(),
        }
    }

    fn all() -> Vec<Made> {
        vec![made("o1", "a1"), made("o2", "a2"), made("o3", "a3"), made("o4", "b1"), made("o5", "b2")]
    }

    #[test]
    fn each_owner_has_one_account_however_often_they_asked() {
        let doubled = |more: Made, books: &Books| accounts(&[all(), vec![more]].concat(), books).len();
        assert_eq!(accounts(&all(), &books()), Vec::<String>::new());
        assert_eq!(doubled(made("o6", "a1"), &books()), 1, "made again under its mark, where three grants were given");
        let mut second = books();
        second.owners.insert("a9".to_owned(), standing("jane", "acme"));
        assert_eq!(accounts(&all(), &second).len(), 0, "a record alone is no account");
        assert_eq!(doubled(made("o6", "a9"), &second), 1, "another mark, and the same person at the same customer");
        assert_eq!(doubled(made("o6", "a8"), &books()), 1, "a mark in no record");
        assert_eq!(doubled(Made { mark: None, ..made("o6", "") }, &books()), 1, "no mark");
    }

    #[test]
    fn a_burner_is_of_one_grant_and_made_once() {
        let doubled = |more: Made, books: &Books| accounts(&[all(), vec![more]].concat(), books).len();
        assert_eq!(doubled(made("o6", "b1"), &books()), 1);
        let mut shared = books();
        shared.grants.push(given("8", 80, "b1"));
        assert_eq!(accounts(&all(), &shared).len(), 1, "two grants, one account");
        let mut idle = books();
        idle.owners.insert("b3".to_owned(), Owner::Burner("b3".to_owned()));
        assert_eq!(doubled(made("o6", "b3"), &idle), 1, "of no grant");
    }

    #[test]
    fn an_event_of_a_ticket_has_one_grant() {
        let asked: BTreeMap<String, usize> = (1..=7).map(|ticket: i32| (ticket.to_string(), 1)).collect();
        assert_eq!(grants(&books(), &asked), Vec::<String>::new());
        let with = |grant: Given| Books { grants: [books().grants, vec![grant]].concat(), ..books() };
        assert_eq!(grants(&with(given("1", 10, "a1")), &asked).len(), 1, "two for one event");
        assert_eq!(grants(&with(given("1", 11, "a1")), &asked).len(), 1, "an event that never was");
        assert_eq!(grants(&with(given("9", 90, "a1")), &asked).len(), 1, "a ticket that never asked");
        let twice: BTreeMap<String, usize> =
            [asked, BTreeMap::from([("1".to_owned(), 2)])].into_iter().flatten().collect();
        assert_eq!(grants(&with(given("1", 11, "a1")), &twice), Vec::<String>::new(), "it asked again");
    }

    #[test]
    fn a_grant_is_told_of_once() {
        let told = |texts: &[&str]| notes("1", texts, &books()).len();
        let received = "Latchkey: request received.\n[latchkey n1 1/1 k]";
        assert_eq!(told(&[received, "Latchkey: access granted.\n[latchkey n2 1/1 k]"]), 0);
        assert_eq!(told(&[received, "Latchkey: request received.\n[latchkey n2 1/1 k]"]), 1, "of one grant, twice");
        assert_eq!(told(&[received, "Latchkey: request received.\n[latchkey n3 1/1 k]"]), 0, "of another grant");
        assert_eq!(told(&[received, received, received]), 2, "each beyond the first, once");
        assert_eq!(told(&["Latchkey: long\n[latchkey n1 1/2 k]", "more\n[latchkey n1 2/2 k]"]), 0, "two parts");
        let overdue = |key: &str| format!("Latchkey: removal is overdue.\n[latchkey {key} 1/1 k]");
        assert_eq!(told(&[&overdue("n1"), &overdue("n2")]), 0, "said again while it goes on");
        assert_eq!(told(&[&overdue("n1"), &overdue("n1")]), 1, "one of them, posted twice");
        let over = "Latchkey: this access has ended; the credentials are gone.\n[latchkey n2 1/1 k]";
        assert_eq!(told(&["Latchkey: access granted.\n[latchkey n1 1/1 k]", over]), 1, "overwritten, it still counts");
        assert_eq!(told(&["hello", "hello", "> [latchkey n1 1/1 k]\nfrom a stranger"]), 0, "none of ours");
    }
}
