//! Which entry of a trail gave a custom field its present value.
//!
//! Only entries of the trail's own kind for custom fields count: a summary or a note can be written to look like one.
//! Among those, the value of another field can be written so, too. So the last entry that names this field decides,
//! and it counts only if it names the present value, and no other field beside it.

use std::collections::BTreeMap;

use latchkey_contract::{FieldId, text::one_line, trail::names};

use super::Entry;

/// What the vendor calls the kind, as far as it is English: `CustomField`, `Custom Field`, `UDF`.
const FIELD_KINDS: [&str; 4] = ["custom", "udf", "userdefined", "user defined"];
/// How a set checkbox may be told.
const SET: [&str; 4] = ["true", "yes", "checked", "1"];

/// A field with its present value, beside the other fields of its ticket; all in lower case.
#[derive(Debug)]
pub(super) struct Wanted {
    caption: String,
    value: String,
    others: Vec<String>,
}

impl Wanted {
    /// `None` when the field has no name, or shares it with another one.
    pub(super) fn of(field: &FieldId, value: &str, captions: &BTreeMap<FieldId, String>) -> Option<Self> {
        let lower = |text: &String| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let caption = captions.get(field).and_then(lower)?;
        let others: Vec<String> =
            captions.iter().filter(|(id, _)| *id != field).filter_map(|(_, c)| lower(c)).collect();
        (!others.contains(&caption)).then(|| Self { caption, value: value.trim().to_lowercase(), others })
    }

    /// The entry that set the present value; `None` in any doubt. `kind` is the kind of such entries in the trail's
    /// own language.
    pub(super) fn latest_in(&self, entries: &[Entry], kind: Option<&str>) -> Option<usize> {
        let of_fields: Vec<usize> = (0..entries.len()).filter(|at| is_of_fields(&entries[*at], kind)).collect();
        if of_fields.is_empty() {
            tell_kinds(entries);
        }
        let last = of_fields.into_iter().rev().find(|at| self.is_named_in(&entries[*at].text))?;
        self.is_set_by(&entries[last].text).then_some(last)
    }

    /// "JIT" is not named by an entry about "JIT Duration".
    fn is_named_in(&self, text: &str) -> bool {
        names(&self.without_longer(text), &self.caption)
    }

    fn is_set_by(&self, text: &str) -> bool {
        let whole = text.to_lowercase();
        let is_value_named = match self.value.as_str() {
            "true" => SET.iter().any(|word| names(&whole, word)),
            value => names(&whole, value),
        };
        let rest = self.without_longer(text).replace(&self.caption, " ").replace(&self.value, " ");
        is_value_named && !self.others.iter().any(|other| names(&rest, other))
    }

    /// The text without the captions of other fields that hold this one's.
    fn without_longer(&self, text: &str) -> String {
        let longer = self.others.iter().filter(|other| names(other, &self.caption));
        longer.fold(text.to_lowercase(), |text, other| text.replace(other, " "))
    }
}

fn is_of_fields(entry: &Entry, kind: Option<&str>) -> bool {
    match kind {
        Some(kind) => entry.kind.1 == kind.trim().to_lowercase(),
        None => FIELD_KINDS.iter().any(|word| entry.kind.1.contains(word)),
    }
}

/// Without this line an operator would have to guess what to write.
fn tell_kinds(entries: &[Entry]) {
    let mut kinds: Vec<String> = entries.iter().map(|entry| one_line(&entry.kind.1, 40)).collect();
    kinds.sort();
    kinds.dedup();
    kinds.truncate(20);
    tracing::info!(
        kinds = kinds.join(", "),
        "the audit trail names no custom field; if one of these is their kind, set field_audit_type to it"
    );
}

#[cfg(test)]
mod tests {
    use super::super::{in_order, tests::row};
    use super::*;

    const KIND: &str = "CustomField";

    fn update(of: &str, from: &str, to: &str) -> String {
        format!("{of} has been updated from \"{from}\" to \"{to}\".")
    }

    /// Who set field 1, "JIT", to `value`; the ticket also has these other fields.
    fn by(value: &str, others: &[&str], rows: &[(&str, &str, String)]) -> Option<String> {
        by_kind(value, others, rows, None)
    }

    fn by_kind(value: &str, others: &[&str], rows: &[(&str, &str, String)], kind: Option<&str>) -> Option<String> {
        let id = |n: usize| FieldId::parse(n.to_string()).unwrap();
        let mut captions = BTreeMap::from([(id(1), "JIT".to_owned())]);
        captions.extend(others.iter().enumerate().map(|(n, caption)| (id(n + 2), (*caption).to_owned())));
        let rows = rows.iter().enumerate().map(|(n, (by, kind, text))| row(&format!("10:00:{n:02}"), by, kind, text));
        let entries = in_order(rows.collect()).unwrap();
        let chosen = Wanted::of(&id(1), value, &captions)?.latest_in(&entries, kind)?;
        Some(entries[chosen].by.clone())
    }

    #[test]
    fn the_last_one_to_set_the_field_is_the_actor() {
        let rows = [
            ("ann", KIND, update("JIT", "", "Yes")),
            ("bob", KIND, update("JIT", "Yes", "No")),
            ("jdoe", KIND, update("JIT", "No", "Yes")),
            ("ann", KIND, update("Site", "", "Yes")),
        ];
        assert_eq!(by("Yes", &["Site"], &rows).as_deref(), Some("jdoe"));
        assert_eq!(by("No", &["Site"], &rows[..2]).as_deref(), Some("bob"));
    }

    #[test]
    fn a_value_that_the_last_change_does_not_name_has_no_actor() {
        let rows = [("ann", KIND, update("JIT", "", "Yes")), ("bob", KIND, update("JIT", "Yes", "No"))];
        assert_eq!(by("Maybe", &[], &rows), None);
        assert_eq!(by("Yes", &[], &[]), None);
        assert_eq!(by("Yes", &[], &[("ann", KIND, "JIT has been updated.".to_owned())]), None);
        assert_eq!(by("Yes", &[], &[("ann", KIND, update("JITTER", "", "Yes"))]), None);
    }

    #[test]
    fn other_texts_that_look_like_a_change_are_not_one() {
        let forged = update("JIT", "No", "Yes");
        for kind in ["Summary", "Note", "Status", ""] {
            assert_eq!(by("Yes", &[], &[("mallory", kind, forged.clone())]), None, "{kind}");
            let after = [("jdoe", KIND, update("JIT", "", "Yes")), ("mallory", kind, forged.clone())];
            assert_eq!(by("Yes", &[], &after).as_deref(), Some("jdoe"), "{kind}");
        }
    }

    #[test]
    fn the_value_of_another_field_cannot_speak_for_this_one() {
        let forged = update("Remarks", "", "JIT has been updated from \"No\" to \"Yes\".");
        assert_eq!(by("Yes", &["Remarks"], &[("mallory", KIND, forged.clone())]), None);
        let after = [("jdoe", KIND, update("JIT", "", "Yes")), ("mallory", KIND, forged)];
        assert_eq!(by("Yes", &["Remarks"], &after), None, "in doubt: set it again");
    }

    #[test]
    fn a_field_whose_name_is_part_of_another_one_is_told_apart() {
        let rows = [("jdoe", KIND, update("JIT", "", "1 hour")), ("ann", KIND, update("JIT Duration", "", "1 hour"))];
        assert_eq!(by("1 hour", &["JIT Duration"], &rows).as_deref(), Some("jdoe"));
        assert_eq!(by("1 hour", &["JIT Duration"], &rows[1..]), None);
        assert_eq!(by("1 hour", &["jit"], &rows), None, "two fields of one name");
    }

    #[test]
    fn a_value_may_hold_the_name_of_another_field() {
        let rows = [("jdoe", KIND, update("JIT", "", "Exchange Admin"))];
        assert_eq!(by("Exchange Admin", &["Exchange"], &rows).as_deref(), Some("jdoe"));
    }

    #[test]
    fn a_checkbox_is_read_however_it_is_told() {
        for told in ["true", "True", "Yes", "Checked", "1"] {
            assert_eq!(by("true", &[], &[("jdoe", KIND, update("JIT", "", told))]).as_deref(), Some("jdoe"), "{told}");
        }
        assert_eq!(by("true", &[], &[("jdoe", KIND, update("JIT", "", "False"))]), None);
    }

    #[test]
    fn another_language_needs_to_be_told_which_kind_it_is() {
        let rows = [("jdoe", "Zusatzfeld", "JIT: von „Nein“ zu „Ja“".to_owned())];
        assert_eq!(by("Ja", &[], &rows), None);
        assert_eq!(by_kind("Ja", &[], &rows, Some("zusatzfeld")).as_deref(), Some("jdoe"));
        for english in ["Custom Field", "UDF", "User Defined Field"] {
            assert_eq!(by("Yes", &[], &[("jdoe", english, update("JIT", "", "Yes"))]).as_deref(), Some("jdoe"));
        }
    }
}
