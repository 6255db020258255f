//! Names of people and companies: when two of them mean the same, and which id to suggest for one.
//!
//! Names come from the PSA and are anybody's text. They suggest and never decide: what is bound is bound by id.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Left off at the end of a company's name. What is written with full stops or slashes stands here without.
const LEGAL_FORMS: [&str; 45] = [
    "ab",
    "ag",
    "aps",
    "as",
    "bv",
    "co",
    "company",
    "corp",
    "corporation",
    "cv",
    "doo",
    "eg",
    "ek",
    "eurl",
    "gbr",
    "gmbh",
    "inc",
    "incorporated",
    "kft",
    "kg",
    "kgaa",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "mbh",
    "nv",
    "ohg",
    "oy",
    "oyj",
    "plc",
    "pte",
    "pty",
    "sa",
    "sarl",
    "sas",
    "se",
    "sl",
    "sp",
    "spa",
    "sro",
    "srl",
    "ug",
    "zoo",
];

/// What one writes as a word and another as a sign.
const AND: [&str; 3] = ["and", "et", "und"];

/// The longest id.
const LONGEST: usize = 40;

/// A company's name, so that two spellings of one are equal: without case, accents, punctuation and legal form. Empty
/// when nothing is left.
pub(super) fn company(name: &str) -> String {
    let mut words = words(name);
    if words.iter().any(|word| !AND.contains(&word.as_str())) {
        words.retain(|word| !AND.contains(&word.as_str()));
    }
    let kept = words.iter().rposition(|word| !LEGAL_FORMS.contains(&word.as_str())).map_or(words.len(), |n| n + 1);
    words[..kept].join(" ")
}

/// A person's name likewise.
pub(super) fn person(name: &str) -> String {
    words(name).join(" ")
}

/// An id for a company of this name: `contoso-group`; `fallback` where no letters of it can be used.
pub(super) fn company_id(name: &str, fallback: &str) -> String {
    slug(&company(name)).unwrap_or_else(|| fallback.to_owned())
}

/// An id for a person: `jdoe`; `None` where no letters of the name can be used.
pub(super) fn person_id(first: &str, last: &str) -> Option<String> {
    let (first, last) = (words(first).concat(), words(last).concat());
    let initial = first.chars().next().filter(|_| !last.is_empty());
    match initial {
        Some(initial) => slug(&format!("{initial}{last}")),
        None => slug(&format!("{first}{last}")),
    }
}

/// First name and the rest.
pub(super) fn first_and_last(full: &str) -> (&str, &str) {
    full.trim().split_once(' ').unwrap_or((full.trim(), ""))
}

/// `id`, or the first of `id-2`, `id-3` … that is not taken.
pub(super) fn unique(id: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|n| {
        let number = format!("-{n}");
        let room = LONGEST - number.len();
        format!("{}{number}", id.chars().take(room).collect::<String>().trim_end_matches('-'))
    });
    let all = std::iter::once(id.to_owned()).chain(numbered);
    all.into_iter().find(|id| !is_taken(id)).unwrap_or_default()
}

fn slug(text: &str) -> Option<String> {
    let ascii: Vec<String> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let joined = ascii.join("-");
    let from = joined.find(|c: char| c.is_ascii_lowercase())?;
    let cut: String = joined[from..].chars().take(LONGEST).collect();
    Some(cut.trim_end_matches('-').to_owned())
}

/// Lower-case words without accents. A full stop, an apostrophe or a slash within a word does not end it: `S.A.R.L.` is
/// one word, and so are `d.o.o.` and `A/S`.
fn words(name: &str) -> Vec<String> {
    let mut text = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'ä' => text.push_str("ae"),
            'ö' => text.push_str("oe"),
            'ü' => text.push_str("ue"),
            'ß' => text.push_str("ss"),
            'æ' => text.push_str("ae"),
            'ø' => text.push('o'),
            'ł' => text.push('l'),
            '.' | '\'' | '’' | '/' => {}
            c => text.extend(c.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase)),
        }
    }
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use latchkey_contract::{CustomerId, PersonId};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_company_are_equal() {
        for (one, other) in [
            ("Contoso Ltd", "CONTOSO, Ltd."),
            ("Contoso Ltd", "Contoso"),
            ("Müller & Söhne GmbH & Co. KG", "Mueller und Soehne"),
            ("Société Générale S.A.", "societe generale"),
            ("Fabrikam d.o.o.", "fabrikam"),
            ("O'Brien Pty Ltd", "OBrien"),
            ("Vestas A/S", "Vestas"),
        ] {
            assert_eq!(company(one), company(other));
        }
        assert_ne!(company("Contoso North"), company("Contoso South"));
        assert_eq!(company("AG"), "ag", "a name that is nothing but a legal form stays one");
    }

    #[test]
    fn an_id_is_suggested_from_what_can_be_read() {
        assert_eq!(company_id("Contoso Group, Ltd.", "company-250"), "contoso-group");
        assert_eq!(company_id("3M Deutschland GmbH", "company-250"), "m-deutschland");
        assert_eq!(company_id("\u{202E}株式会社", "company-250"), "company-250");
        assert_eq!(person_id("Jane", "Doe").as_deref(), Some("jdoe"));
        assert_eq!(person_id("Jürgen", "van der Größe").as_deref(), Some("jvandergroesse"));
        assert_eq!(person_id("Madonna", "").as_deref(), Some("madonna"));
        assert_eq!(person_id("花子", "山田"), None);
        assert_eq!(unique("jdoe", |id| ["jdoe", "jdoe-2"].contains(&id)), "jdoe-3");
        let long = "a".repeat(40);
        assert_eq!(unique(&long, |id| id == long), format!("{}-2", "a".repeat(38)));
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_its_suggestion_is_an_id(name in "\\PC{0,60}", last in ".{0,20}") {
            prop_assert!(CustomerId::parse(company_id(&name, "company-1")).is_ok());
            if let Some(id) = person_id(&name, &last) {
                prop_assert!(PersonId::parse(&*id).is_ok(), "{id}");
                prop_assert!(PersonId::parse(unique(&id, |other| other == id)).is_ok());
            }
        }
    }
}
