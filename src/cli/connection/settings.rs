//! A connection's settings as they are typed: `KEY=VALUE`, judged by the very types that the records document is read
//! with, one by one, so that each fault is named with its key.

use std::str::FromStr;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use toml::{Table, Value};

use crate::rulebook::ConnectionKind;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Setting {
    key: String,
    value: String,
}

macro_rules! needed {
    ($($kind:ident = $word:literal { $($key:literal: $sample:literal,)+ })+) => {
        /// What each kind cannot be without, as it may look.
        const NEEDED: &[(&str, &[(&str, &str)])] = &[$(($word, &[$(($key, $sample)),+])),+];

        /// None is left out.
        const _: fn(&ConnectionKind) = |kind| match kind {
            $(ConnectionKind::$kind(_) => {})+
        };
    };
}

needed! {
    ConnectWise = "connectwise" {
        "site": "https://na.myconnectwise.net",
        "company": "examplemsp",
        "client_id": "6b1f0c3e-0000-4000-8000-000000000001",
        "public_key": "AbCdEfGhIjKlMnOp",
    }
    Autotask = "autotask" {
        "user": "jit-api@msp.example",
        "integration_code": "ABCDEF1234567890ABCDEF12345",
    }
    HaloPsa = "halopsa" {
        "site": "https://acme.halopsa.com",
        "client_id": "c9534241-dde9-4d04-9d45-32b1fbff22ed",
    }
    Entra = "entra" {
        "tenant": "8f0c2c1e-0000-4000-8000-000000000000",
        "client_id": "8f0c2c1e-0000-4000-8000-000000000001",
        "credential": "certificate",
    }
}

impl FromStr for Setting {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, without spaces around the sign")?;
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if key.is_empty() || !key.chars().all(is_key) || matches!(key, "id" | "kind") {
            return Err("the key must be one of the connector's settings, as its README names them");
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// Every kind there is.
pub(super) fn kinds() -> String {
    NEEDED.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// The settings of a new connection.
pub(super) fn new(kind: &str, typed: &[Setting]) -> anyhow::Result<ConnectionKind> {
    let Some((_, needed)) = NEEDED.iter().find(|(word, _)| *word == kind) else {
        bail!("there is no kind {kind:?}; there are: {}", kinds());
    };
    let sample = needed.iter().map(|(key, value)| ((*key).to_owned(), Value::String((*value).to_owned())));
    let (read, mut faults) = read(kind, &sample.collect(), typed);
    for (key, sample) in needed.iter().filter(|(key, _)| typed.iter().all(|setting| setting.key != *key)) {
        faults.push(format!("{key}: is missing; it looks like {key}={sample}"));
    }
    finish(kind, read, faults)
}

/// The settings of a connection with some of them changed.
pub(super) fn changed(before: &ConnectionKind, typed: &[Setting]) -> anyhow::Result<ConnectionKind> {
    let mut base = Table::try_from(before)?;
    base.remove("kind");
    let (gone, given): (Vec<_>, Vec<_>) = typed.iter().cloned().partition(|setting| setting.value.is_empty());
    let (read, mut faults) = read(before.word(), &base, &given);
    let mut whole = base;
    for Setting { key, .. } in &gone {
        let mut without = whole.clone();
        match without.remove(key) {
            None => faults.push(format!("{key}: is not set")),
            Some(_) => match judge(before.word(), &without) {
                Ok(_) => whole = without,
                Err(_) => faults.push(format!("{key}: cannot be left out")),
            },
        }
    }
    whole.extend(read);
    finish(before.word(), whole, faults)
}

/// Each setting by itself, in the place of its namesake in settings that are right.
fn read(kind: &str, right: &Table, typed: &[Setting]) -> (Table, Vec<String>) {
    let (mut read, mut faults) = (Table::new(), Vec::new());
    for Setting { key, value } in typed {
        let with = |value: &Value| {
            let mut table = right.clone();
            table.insert(key.clone(), value.clone());
            judge(kind, &table)
        };
        let candidates = candidates(value);
        let fits = candidates.iter().find(|candidate| with(candidate).is_ok());
        match fits {
            _ if read.contains_key(key) => faults.push(format!("{key}: is given twice")),
            Some(value) => drop(read.insert(key.clone(), value.clone())),
            None => {
                faults.extend(candidates.first().and_then(|value| with(value).err()).map(|why| format!("{key}: {why}")))
            }
        }
    }
    (read, faults)
}

/// What a text may mean: a value as TOML writes it, or itself.
fn candidates(text: &str) -> Vec<Value> {
    let literal = toml::from_str::<Table>(&format!("value = {text}")).ok().filter(|table| table.len() == 1);
    let literal = literal.and_then(|mut table| table.remove("value"));
    literal.into_iter().chain([Value::String(text.to_owned())]).collect()
}

fn judge(kind: &str, settings: &Table) -> Result<ConnectionKind, String> {
    let mut table = settings.clone();
    table.insert("kind".to_owned(), Value::String(kind.to_owned()));
    ConnectionKind::deserialize(Value::Table(table)).map_err(|error| error.message().to_owned())
}

fn finish(kind: &str, settings: Table, faults: Vec<String>) -> anyhow::Result<ConnectionKind> {
    if !faults.is_empty() {
        bail!("nothing was changed:\n{}", faults.join("\n"));
    }
    judge(kind, &settings).map_err(|why| anyhow!("nothing was changed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> Vec<Setting> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(result: anyhow::Result<ConnectionKind>) -> String {
        result.unwrap_err().to_string()
    }

    const TENANT: &str = "tenant=8f0c2c1e-0000-4000-8000-000000000000";
    const APP: &str = "client_id=8f0c2c1e-0000-4000-8000-000000000001";

    #[test]
    fn what_is_needed_is_needed_and_is_all() {
        for &(kind, needed) in NEEDED {
            let all: Vec<Setting> = typed(
                &needed
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            );
            assert_eq!(new(kind, &all).unwrap().word(), kind);
            for (n, (key, _)) in needed.iter().enumerate() {
                let mut without = all.clone();
                without.remove(n);
                let told = told(new(kind, &without));
                assert!(told.contains(&format!("{key}: is missing")) && told.lines().count() == 2, "{told}");
            }
        }
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let told = told(new("entra", &typed(&["tenant=common", "credental=secret", "timeout_s=x", APP, APP])));
        for fault in [
            "tenant: \"common\" is not a GUID",
            "credental: unknown field `credental`",
            "timeout_s: invalid type",
            "client_id: is given twice",
            "credential: is missing",
        ] {
            assert!(told.contains(fault), "{fault:?} in:\n{told}");
        }
        assert!(told.starts_with("nothing was changed:") && told.lines().count() == 6, "{told}");
        assert!(self::told(new("entry", &[])).contains("connectwise, autotask, halopsa, entra"));
    }

    #[test]
    fn a_value_is_text_or_written_as_in_toml() {
        let kind = new(
            "connectwise",
            &typed(&[
                "site=https://na.myconnectwise.net",
                "company=12345",
                "client_id=6b1f0c3e-0000-4000-8000-000000000001",
                "public_key=1e5",
                "automation=[\"workflow\"]",
                "timeout_s=20",
                "api_member=\"JitApi\"",
            ]),
        );
        let ConnectionKind::ConnectWise(settings) = kind.unwrap() else { panic!() };
        assert_eq!((settings.company.as_str(), settings.public_key.as_str()), ("12345", "1e5"));
        assert_eq!((settings.automation, settings.timeout_s), (vec!["workflow".to_owned()], 20));
        assert_eq!(settings.api_member.as_deref(), Some("JitApi"));
        for bad in ["site", "=x", "a b=c", "id=cw", "kind=entra", "a\nb=c"] {
            assert!(bad.parse::<Setting>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_setting_is_changed_or_taken_out() {
        let before = new("entra", &typed(&[TENANT, APP, "credential=secret", "timeout_s=5"])).unwrap();
        let after = changed(&before, &typed(&["credential=certificate", "timeout_s="])).unwrap();
        assert_eq!(after, new("entra", &typed(&[TENANT, APP, "credential=certificate"])).unwrap());
        assert!(told(changed(&before, &typed(&["tenant="]))).contains("tenant: cannot be left out"));
        assert!(told(changed(&before, &typed(&["ca_file="]))).contains("ca_file: is not set"));
        assert!(told(changed(&before, &typed(&["tenant=x"]))).contains("tenant: \"x\" is not a GUID"));
    }
}
