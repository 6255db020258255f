//! What webhooks carried before: the former path secret, signing keys, hook passwords, each with the end of its time.
//!
//! The vendor learns of a new one only with the next `webhook sync`, or from an admin at the PSA, and what is under way then
//! still carries the one before. So that one is believed beside its successor: without an end until the vendor has the new
//! one, then for an hour. Which of several it has got is not known before that, so none of them is dropped meanwhile.

use latchkey_contract::{ConnectionId, Former, Secret, Timestamp};

use super::{Change, HookPath, PathError, SecretKind, SecretName, hook_path::FORMER_LIVES};
use crate::{audit::By, seal::Seal, store::Store};

/// Those that a new value is set for by hand.
const BY_HAND: [SecretKind; 2] = [SecretKind::WebhookKey, SecretKind::HookPassword];

/// How many are believed beside the present one: each is one more that may have leaked.
pub(super) const MOST: usize = 4;

/// As they are sealed, a line each: the end in milliseconds, or `-`, and the secret.
pub(super) fn text(formers: &[Former]) -> Secret<String> {
    // At once as long as it gets: what a growing text leaves behind is not wiped.
    let mut text = String::with_capacity(formers.iter().map(|former| former.value.expose().len() + 32).sum());
    for former in formers {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&former.until.map_or_else(|| "-".to_owned(), |until| until.millis().to_string()));
        text.push(' ');
        text.push_str(former.value.expose());
    }
    Secret::new(text)
}

pub(super) fn read(text: &Secret<String>) -> Vec<Former> {
    text.expose().lines().map(line).collect()
}

/// Earlier builds sealed a key as it is; no secret has a blank in it.
fn line(line: &str) -> Former {
    let (until, value) = line.split_once(' ').unwrap_or(("-", line));
    let until = until.parse::<i64>().ok().map(Timestamp::from_millis);
    Former { value: Secret::new(value.to_owned()), until }
}

/// What is set together with a new secret of this kind, so that what carries the present one is believed meanwhile. Nothing
/// where there is none that a webhook can carry.
///
/// # Errors
/// [`PathError::Waiting`] where as many as may be wait already for the vendor to get the present one; else when the database
/// fails.
pub async fn kept_beside(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    kind: SecretKind,
    now: Timestamp,
) -> Result<Option<(SecretName, Secret<String>)>, PathError> {
    let Some(kept) = kind.former() else { return Ok(None) };
    let name = SecretName::new(connection.clone(), kind);
    let Some(row) = store.sealed_named(&name.to_string()).await? else { return Ok(None) };
    // One that does not open is replaced all the same: that may be why it is.
    let Ok(present) = seal.open_text(&row) else { return Ok(None) };
    if present.expose().contains(char::is_whitespace) {
        return Ok(None);
    }
    let mut formers = formers(store, seal, connection, kept).await?;
    let is_present = |former: &Former| former.value.matches(present.expose().as_bytes());
    formers.retain(|former| former.at(now).is_some() && !is_present(former));
    if formers.len() >= MOST {
        let ending = formers.iter().position(|former| former.until.is_some());
        formers.remove(ending.ok_or_else(|| PathError::Waiting(name, connection.clone()))?);
    }
    formers.push(Former { value: present, until: None });
    Ok(Some((SecretName::new(connection.clone(), kept), text(&formers))))
}

/// The webhooks are right: the former path secret gets its end, which is answered, and so does each former key and password
/// where `has_new`: where the vendor has the present one as well. One whose end has passed is forgotten.
///
/// # Errors
/// [`PathError`].
pub async fn end_formers(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    has_new: bool,
    by: &By,
    now: Timestamp,
) -> Result<Option<Timestamp>, PathError> {
    for kept in BY_HAND.into_iter().filter_map(SecretKind::former) {
        let name = SecretName::new(connection.clone(), kept);
        let before = formers(store, seal, connection, kept).await?;
        let mut after = before.clone();
        after.retain(|former| former.at(now).is_some());
        let mut is_changed = after.len() < before.len();
        for former in after.iter_mut().filter(|former| has_new && former.until.is_none()) {
            former.until = Some(now + FORMER_LIVES);
            is_changed = true;
        }
        if is_changed {
            let change = if after.is_empty() { (vec![], vec![name]) } else { (vec![(name, text(&after))], vec![]) };
            let reason = format!("the webhooks of {connection} are right");
            let change = Change { secrets: &change.0, forget: &change.1, reason: &reason };
            change.put_in_force(store, seal, by, now, |_| ()).await?;
        }
    }
    HookPath::new(store, seal, connection).moved(by, now).await
}

/// The kinds of which a former one is believed without an end.
///
/// # Errors
/// When the database fails.
pub async fn without_end(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
) -> Result<Vec<SecretKind>, PathError> {
    let mut found = Vec::new();
    for kind in BY_HAND.into_iter().chain([SecretKind::HookSecret]) {
        let Some(kept) = kind.former() else { continue };
        if formers(store, seal, connection, kept).await?.iter().any(|former| former.until.is_none()) {
            found.push(kind);
        }
    }
    Ok(found)
}

async fn formers(
    store: &dyn Store,
    seal: &Seal,
    connection: &ConnectionId,
    kept: SecretKind,
) -> Result<Vec<Former>, PathError> {
    let row = store.sealed_named(&SecretName::new(connection.clone(), kept).to_string()).await?;
    let opened = row.and_then(|row| seal.open_text(&row).ok());
    Ok(opened.map(|text| read(&text)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        registry::set_secrets,
        seal::{KeyFile, unlock},
        store::sqlite::{Options, Sqlite},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    struct Place {
        store: Sqlite,
        seal: Seal,
        id: ConnectionId,
        _dir: tempfile::TempDir,
    }

    impl Place {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
            let seal = unlock(&KeyFile::Own(dir.path().join("key")), &store, NOW).await.unwrap();
            Self { store, seal, id: "halo".parse().unwrap(), _dir: dir }
        }

        async fn put(&self, kind: SecretKind, value: &str) {
            let name = SecretName::new(self.id.clone(), kind);
            let secrets = [(name, Secret::new(value.to_owned()))];
            set_secrets(&self.store, &self.seal, &By::Service, &secrets, NOW).await.unwrap();
        }

        async fn set(&self, value: &str, now: Timestamp) -> Result<(), PathError> {
            let kind = SecretKind::HookPassword;
            let beside = kept_beside(&self.store, &self.seal, &self.id, kind, now).await?;
            let mut secrets = vec![(SecretName::new(self.id.clone(), kind), Secret::new(value.to_owned()))];
            secrets.extend(beside);
            Ok(set_secrets(&self.store, &self.seal, &By::Service, &secrets, now).await?)
        }

        async fn end(&self, has_new: bool, now: Timestamp) {
            end_formers(&self.store, &self.seal, &self.id, has_new, &By::Service, now).await.unwrap();
        }

        async fn kept(&self) -> Vec<(String, Option<Timestamp>)> {
            let formers = formers(&self.store, &self.seal, &self.id, SecretKind::FormerHookPassword).await.unwrap();
            formers.into_iter().map(|former| (former.value.expose().clone(), former.until)).collect()
        }
    }

    fn of(value: &str, until: Option<Timestamp>) -> (String, Option<Timestamp>) {
        (value.to_owned(), until)
    }

    #[tokio::test]
    async fn what_webhooks_carried_before_is_kept_until_an_hour_after_they_are_right() {
        let place = Place::new().await;
        place.set("first", NOW).await.unwrap();
        assert!(place.kept().await.is_empty());
        place.set("second", NOW).await.unwrap();
        place.end(true, NOW).await;
        let until = NOW + FORMER_LIVES;
        assert_eq!(place.kept().await, [of("first", Some(until))]);
        place.end(true, until - Duration::from_secs(1)).await;
        assert_eq!(place.kept().await, [of("first", Some(until))], "no sync gives it more time");
        place.end(true, until).await;
        assert!(place.kept().await.is_empty());
    }

    /// A sync that broke off may have brought the second one to the vendor, or not.
    #[tokio::test]
    async fn each_one_that_the_vendor_may_use_is_kept_until_it_has_the_last() {
        let place = Place::new().await;
        for value in ["first", "second", "third"] {
            place.set(value, NOW).await.unwrap();
        }
        assert_eq!(place.kept().await, [of("first", None), of("second", None)]);
        let until = NOW + FORMER_LIVES;
        place.end(true, NOW).await;
        assert_eq!(place.kept().await, [of("first", Some(until)), of("second", Some(until))]);
        let later = NOW + Duration::from_secs(60);
        place.set("second", later).await.unwrap();
        assert_eq!(place.kept().await.last(), Some(&of("third", None)), "what is under way keeps its hour");
        place.set("fourth", until).await.unwrap();
        assert_eq!(place.kept().await, [of("third", None), of("second", None)]);
    }

    #[tokio::test]
    async fn no_more_are_believed_than_may_be_and_none_that_is_in_use_is_dropped_for_it() {
        let place = Place::new().await;
        for n in 0..=MOST {
            place.set(&format!("password-{n}"), NOW).await.unwrap();
        }
        let before = place.kept().await;
        assert_eq!(before.len(), MOST);
        let refused = place.set("one-more", NOW).await.unwrap_err().to_string();
        assert!(refused.contains("latchkey webhook sync halo") && refused.contains("--at-once"), "{refused}");
        assert_eq!(place.kept().await, before);
        place.end(true, NOW).await;
        place.set("one-more", NOW).await.unwrap();
        let kept = place.kept().await;
        assert_eq!((kept.len(), kept.last()), (MOST, Some(&of(&format!("password-{MOST}"), None))));
    }

    #[tokio::test]
    async fn what_is_set_at_the_psa_by_hand_has_no_end_before_somebody_says_that_it_is() {
        let place = Place::new().await;
        place.set("first", NOW).await.unwrap();
        place.set("second", NOW).await.unwrap();
        place.end(false, NOW).await;
        assert_eq!(place.kept().await, [of("first", None)]);
        let waiting = async || without_end(&place.store, &place.seal, &place.id).await.unwrap();
        assert_eq!(waiting().await, [SecretKind::HookPassword]);
        place.end(true, NOW).await;
        assert!(waiting().await.is_empty());
        place.end(false, NOW + FORMER_LIVES).await;
        assert!(place.kept().await.is_empty(), "its end has passed, whoever asks");
    }

    #[tokio::test]
    async fn one_that_an_earlier_build_sealed_as_it_is_is_believed_and_ends() {
        let place = Place::new().await;
        place.put(SecretKind::FormerHookPassword, "of-an-earlier-build").await;
        assert_eq!(place.kept().await, [of("of-an-earlier-build", None)]);
        place.end(true, NOW).await;
        assert_eq!(place.kept().await, [of("of-an-earlier-build", Some(NOW + FORMER_LIVES))]);
    }

    #[tokio::test]
    async fn what_no_webhook_can_carry_is_not_kept() {
        let place = Place::new().await;
        place.set("first", NOW).await.unwrap();
        place.set("two words", NOW).await.unwrap();
        place.set("third", NOW).await.unwrap();
        assert_eq!(place.kept().await, [of("first", None)]);
    }
}
