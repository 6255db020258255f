//! Deleting users, bringing them back, deleting them for good.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::state::User;
use super::time::Ms;
use super::turn::Turn;
use super::users::{READ, USER};
use super::users_write::default_view;

const DELETE: [&str; 2] = ["User.DeleteRestore.All", "User.ReadWrite.All"];

/// `GET /directory/deletedItems/microsoft.graph.user`
pub(super) fn list_deleted(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let tenant = turn.tenant();
    let items = tenant.users.iter().filter(|user| user.deleted_at.is_some()).map(|user| user.view(tenant)).collect();
    USER.list(turn.ask, &turn.place("directoryObjects"), items)
}

/// `GET /directory/deletedItems/{id}`
pub(super) fn get_deleted(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let (tenant, id) = (turn.tenant(), turn.segment(2));
    let user = tenant
        .users
        .iter()
        .find(|user| user.id == id && user.deleted_at.is_some())
        .ok_or_else(|| Refusal::not_found(id))?;
    let mut view = user.view(tenant);
    view.insert("@odata.type".into(), json!("#microsoft.graph.user"));
    USER.one(turn.ask, &turn.place("directoryObjects"), view)
}

/// `DELETE /users/{id}`: to the recycle bin, the name free again at once.
pub(super) fn delete(turn: &mut Turn<'_>) -> Answer {
    let id = turn.user_id()?;
    delete_user(turn, &id)
}

pub(super) fn delete_user(turn: &mut Turn<'_>, id: &str) -> Answer {
    turn.caller.needs(&DELETE)?;
    turn.may_manage(id)?;
    let now = turn.now;
    if let Some(user) = turn.tenant_mut().user_mut(id) {
        user.move_to_bin(now);
    }
    turn.record(What::UserDeleted, id, Value::Null);
    Reply::no_content()
}

impl User {
    pub(super) fn move_to_bin(&mut self, now: Ms) {
        let mangled = format!("{}{}", self.id.replace('-', ""), self.upn());
        self.properties.insert("userPrincipalName".into(), json!(mangled));
        self.deleted_at = Some(now);
        self.end_sessions(now);
    }

    fn name_before_deletion(&self) -> String {
        let prefix = self.id.replace('-', "");
        let upn = self.upn();
        upn.strip_prefix(&prefix).unwrap_or(upn).to_owned()
    }
}

/// `POST /directory/deletedItems/{id}/restore`
pub(super) fn restore(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&DELETE)?;
    let id = in_bin(turn)?;
    turn.may_manage(&id)?;
    let name =
        turn.tenant().users.iter().find(|user| user.id == id).map(User::name_before_deletion).unwrap_or_default();
    if turn.tenant().user(&name).is_some() {
        return Err(Refusal::taken("userPrincipalName"));
    }
    if let Some(user) = turn.tenant_mut().users.iter_mut().find(|u| u.id == id) {
        user.deleted_at = None;
        user.properties.insert("userPrincipalName".into(), json!(name));
    }
    turn.record(What::UserRestored, &id, Value::Null);
    let mut view = default_view(turn.tenant(), turn.user(&id)?);
    view.insert("@odata.type".into(), json!("#microsoft.graph.user"));
    let context = turn.context("directoryObjects/$entity");
    view.insert("@odata.context".into(), json!(context));
    Reply::ok(Value::Object(view))
}

/// `DELETE /directory/deletedItems/{id}`: documented for people only.
pub(super) fn purge(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&DELETE)?;
    let id = in_bin(turn)?;
    if !turn.world.knobs.permanent_delete_app_allowed {
        return Err(Refusal::denied());
    }
    turn.may_manage(&id)?;
    turn.tenant_mut().forget_user(&id);
    turn.record(What::UserPurged, &id, Value::Null);
    Reply::no_content()
}

fn in_bin(turn: &Turn<'_>) -> Result<String, Refusal> {
    let id = turn.segment(2);
    if turn.tenant().is_in_bin(id) { Ok(id.to_owned()) } else { Err(Refusal::not_found(id)) }
}
