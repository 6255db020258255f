//! What webhooks carried before: the former path secret, signing key, hook password, each with the end of its time.
//!
//! The vendor learns of a new one only with the next `webhook sync`, and what is under way then still carries the one before.
//! So that one is believed beside its successor: without an end until the webhooks are right, then for an hour.

use latchkey_contract::{ConnectionId, Former, Secret, Timestamp};

use super::{Change, HookPath, PathError, SecretKind, SecretName, hook_path::FORMER_LIVES};
use crate::{audit::By, seal::Seal, store::Store};

/// Those that a new value is set for by hand.
const BY_HAND: [SecretKind; 2] = [SecretKind::WebhookKey, SecretKind::HookPassword];

/// As it is sealed: its end in milliseconds, or `-`, and the secret.
pub(super) fn text(former: &Former) -> Secret<String> {
    let until = former.until.map_or_else(|| "-".to_owned(), |until| until.millis().to_string());
    Secret::new(format!("{until} {}", former.value.expose()))
}

pub(super) fn read(text: &Secret<String>) -> Option<Former> {
    let (until, value) = text.expose().split_once(' ')?;
    let until = if until == "-" { None } else { Some(Timestamp::from_millis(until.parse().ok()?)) };
    Some(Former { value: Secret::new(value.to_owned()), until })
}

/// What is set together with a new secret of this kind, so that what carries the present one is believed meanwhile. Nothing
/// where there is none, or where the one before it is still what the vendor uses.
///
/// # Errors
/// When the database fails.
pub async fn kept_beside(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    kind: SecretKind,
) -> Result<Option<(SecretName, Secret<String>)>, PathError> {
    let Some(kept) = kind.former() else { return Ok(None) };
    if former(store, seal, connection, kept).await?.is_some_and(|former| former.until.is_none()) {
        return Ok(None);
    }
    let Some(row) = store.sealed_named(&SecretName::new(connection.clone(), kind).to_string()).await? else {
        return Ok(None);
    };
    // One that does not open is replaced all the same: that may be why it is.
    let Ok(value) = seal.open_text(&row) else { return Ok(None) };
    Ok(Some((SecretName::new(connection.clone(), kept), text(&Former { value, until: None }))))
}

/// The webhooks are right: each former one gets its end, and one whose end has passed is forgotten. The end of the former
/// path secret is answered.
///
/// # Errors
/// [`PathError`].
pub async fn end_formers(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    by: &By,
    now: Timestamp,
) -> Result<Option<Timestamp>, PathError> {
    for kept in BY_HAND.into_iter().filter_map(SecretKind::former) {
        let name = SecretName::new(connection.clone(), kept);
        let Some(former) = former(store, seal, connection, kept).await? else { continue };
        let change = match former.until {
            None => (vec![(name, text(&Former { until: Some(now + FORMER_LIVES), ..former }))], vec![]),
            Some(until) if until <= now => (vec![], vec![name]),
            Some(_) => continue,
        };
        let reason = format!("the webhooks of {connection} are right");
        let change = Change { secrets: &change.0, forget: &change.1, reason: &reason };
        change.put_in_force(store, seal, by, now, |_| ()).await?;
    }
    HookPath::new(store, seal, connection).moved(by, now).await
}

async fn former(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    kept: SecretKind,
) -> Result<Option<Former>, PathError> {
    let row = store.sealed_named(&SecretName::new(connection.clone(), kept).to_string()).await?;
    Ok(row.and_then(|row| seal.open_text(&row).ok()).and_then(|text| read(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        registry::set_secrets,
        seal::{KeyFile, unlock},
        store::sqlite::{Options, Sqlite},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[tokio::test]
    async fn what_webhooks_carried_before_is_kept_until_an_hour_after_they_are_right() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
        let seal = unlock(&KeyFile::Own(dir.path().join("key")), &store, NOW).await.unwrap();
        let id: ConnectionId = "halo".parse().unwrap();
        let set = async |value: &str| {
            let name = SecretName::new(id.clone(), SecretKind::HookPassword);
            let mut secrets = vec![(name, Secret::new(value.to_owned()))];
            secrets.extend(kept_beside(&store, &seal, &id, SecretKind::HookPassword).await.unwrap());
            set_secrets(&store, &seal, &By::Service, &secrets, NOW).await.unwrap();
        };
        let kept = async || former(&store, &seal, &id, SecretKind::FormerHookPassword).await.unwrap();
        let end = async |now| end_formers(&store, &seal, &id, &By::Service, now).await.unwrap();
        set("first").await;
        assert!(kept().await.is_none());
        set("second").await;
        set("third").await;
        let former = kept().await.unwrap();
        assert_eq!(
            (former.value.expose().as_str(), former.until),
            ("first", None),
            "the vendor knows no other one yet"
        );
        end(NOW).await;
        let until = NOW + FORMER_LIVES;
        assert_eq!(kept().await.unwrap().until, Some(until));
        end(until - std::time::Duration::from_secs(1)).await;
        let former = kept().await.unwrap();
        assert!(former.until == Some(until) && former.at(until).is_none(), "no sync gives it more time");
        end(until).await;
        assert!(kept().await.is_none());
    }
}
