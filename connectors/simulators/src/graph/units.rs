//! Administrative units, the tenant itself, its domains, applications and service principals.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::odata::{Object, Shape, object};
use super::options::Licence;
use super::state::{Registration, Unit};
use super::turn::Turn;
use super::users;

const READ_UNITS: [&str; 4] = [
    "AdministrativeUnit.Read.All",
    "AdministrativeUnit.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const READ_APPS: [&str; 5] = [
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const WRITE_APPS: [&str; 2] = ["Application.ReadWrite.All", "Application.ReadWrite.OwnedBy"];

/// Small collections: everything is returned, selectable and filterable by id and name.
const SMALL: Shape = Shape {
    resource: "DirectoryObject",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| ["id", "displayName", "appId", "name"].contains(&path),
    largest_page: 999,
    is_uniform: true,
    expands: &[],
};

/// `GET /directory/administrativeUnits`
pub(super) fn list(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_UNITS)?;
    let items = turn.tenant().units.iter().map(Unit::view).collect();
    SMALL.list(turn.ask, &turn.place("directory/administrativeUnits"), items)
}

/// `GET /directory/administrativeUnits/{id}`
pub(super) fn get(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_UNITS)?;
    let item = unit(turn)?.view();
    SMALL.one(turn.ask, &turn.place("directory/administrativeUnits"), item)
}

/// `GET /directory/administrativeUnits/{id}/members[/microsoft.graph.user]`
pub(super) fn members(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_UNITS)?;
    let cast = turn.ask.segments.get(4).map(String::as_str);
    if let Some(other) = cast.filter(|name| *name != "microsoft.graph.user") {
        return Err(Refusal::no_segment(other));
    }
    let tenant = turn.tenant();
    let items = unit(turn)?
        .members
        .iter()
        .filter_map(|id| {
            let mut view = tenant.user(id)?.view(tenant);
            view.insert("@odata.type".into(), json!("#microsoft.graph.user"));
            Some(view)
        })
        .collect();
    users::USER.list(turn.ask, &turn.place("directoryObjects"), items)
}

fn unit<'t>(turn: &'t Turn<'_>) -> Result<&'t Unit, Refusal> {
    let id = turn.segment(2);
    turn.tenant().unit(id).ok_or_else(|| Refusal::not_found(id))
}

impl Unit {
    fn view(&self) -> Object {
        object(json!({
            "id": self.id,
            "displayName": self.display_name,
            "description": null,
            "visibility": null,
            "isMemberManagementRestricted": self.is_restricted,
        }))
    }
}

/// `GET /organization`
pub(super) fn organization(turn: &mut Turn<'_>) -> Answer {
    const READ: [&str; 1] = ["Organization.Read.All"];
    if !turn.caller.has_any(&READ) {
        turn.caller.needs(&users::READ)?;
    }
    let tenant = turn.tenant();
    let plan = match tenant.licence {
        Licence::Free => None,
        Licence::P1 => Some("41781fb2-bc02-4b7c-bd55-b576c07bb09d"),
        Licence::P2 => Some("eec0eb4f-6444-4f95-aba0-50c24d67f998"),
    };
    let plans: Vec<Value> = plan
        .into_iter()
        .map(|id| json!({"servicePlanId": id, "service": "AADPremiumService", "capabilityStatus": "Enabled"}))
        .collect();
    let domains: Vec<Value> = tenant
        .domains
        .iter()
        .enumerate()
        .filter(|(_, domain)| domain.is_verified)
        .map(|(at, domain)| {
            let kind = if domain.is_federated { "Federated" } else { "Managed" };
            json!({"name": domain.name, "isInitial": at == 0, "isDefault": at == 0, "type": kind, "capabilities": "Email, OfficeCommunicationsOnline"})
        })
        .collect();
    let item = object(json!({
        "id": tenant.id,
        "displayName": tenant.display_name,
        "assignedPlans": plans,
        "onPremisesSyncEnabled": null,
        "tenantType": "AAD",
        "verifiedDomains": domains,
    }));
    SMALL.list(turn.ask, &turn.place("organization"), vec![item])
}

/// `GET /domains`
pub(super) fn domains(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&["Domain.Read.All", "Domain.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"])?;
    let tenant = turn.tenant();
    let items = tenant
        .domains
        .iter()
        .enumerate()
        .map(|(at, domain)| {
            object(json!({
                "id": domain.name,
                "authenticationType": if domain.is_federated { "Federated" } else { "Managed" },
                "isDefault": tenant.default_domain.as_deref().map_or(at == 0, |name| name == domain.name),
                "isInitial": at == 0,
                "isRoot": true,
                "isVerified": domain.is_verified,
                "isAdminManaged": true,
                "supportedServices": ["Email", "OfficeCommunicationsOnline"],
            }))
        })
        .collect();
    SMALL.list(turn.ask, &turn.place("domains"), items)
}

/// `GET /servicePrincipals(appId='…')` and `GET /servicePrincipals/{id}`
pub(super) fn service_principal(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_APPS)?;
    let key = turn.segment(1);
    let item = service_principals(turn)
        .into_iter()
        .find(|sp| match key.strip_prefix("appId=") {
            Some(app) => sp["appId"] == app,
            None => sp["id"] == key,
        })
        .ok_or_else(|| Refusal::not_found(key))?;
    SMALL.one(turn.ask, &turn.place("servicePrincipals"), item)
}

/// `GET /servicePrincipals`
pub(super) fn list_service_principals(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_APPS)?;
    let items = service_principals(turn);
    SMALL.list(turn.ask, &turn.place("servicePrincipals"), items)
}

fn service_principals(turn: &Turn<'_>) -> Vec<Object> {
    turn.tenant()
        .principals
        .iter()
        .map(|(client_id, sp)| {
            object(json!({
                "id": sp.id,
                "appId": client_id,
                "displayName": client_id,
                "accountEnabled": sp.is_enabled,
                "servicePrincipalType": "Application",
            }))
        })
        .collect()
}

/// `GET /applications`: those at home in this tenant.
pub(super) fn list_applications(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_APPS)?;
    let items = turn
        .world
        .registrations
        .iter()
        .filter(|(_, app)| app.home_tenant == turn.caller.tenant)
        .map(|(client_id, app)| object(json!({"id": app.object_id, "appId": client_id, "displayName": client_id})))
        .collect();
    SMALL.list(turn.ask, &turn.place("applications"), items)
}

/// `GET /applications/{id}/extensionProperties`
pub(super) fn list_extensions(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ_APPS)?;
    let (_, app) = application(turn)?;
    let items = app.extensions.iter().map(|n| extension(n)).collect();
    SMALL.list(turn.ask, &turn.place("applications/extensionProperties"), items)
}

/// `POST /applications/{id}/extensionProperties`
pub(super) fn add_extension(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&WRITE_APPS)?;
    let body = turn.ask.object()?;
    let name = body
        .get("name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
        .ok_or_else(|| {
            Refusal::bad_request("Invalid value specified for property 'name' of resource 'ExtensionProperty'.")
        })?;
    let fits = body.get("dataType") == Some(&json!("String")) && body.get("targetObjects") == Some(&json!(["User"]));
    if !fits {
        return Err(Refusal::bad_request("One or more property values specified are invalid."));
    }
    let (client_id, app) = application(turn)?;
    let full = extension_name(&client_id, name);
    if app.extensions.contains(&full) {
        let message = format!(
            "An extension property exists with the name {full}. To add a new extension property, specify a different name."
        );
        return Err(Refusal::bad_request(message));
    }
    if let Some(app) = turn.world.registrations.get_mut(&client_id) {
        app.extensions.insert(full.clone());
    }
    turn.record(What::ExtensionDefined, &client_id, json!({"name": full}));
    let location = turn.url(&format!("applications/{client_id}/extensionProperties/{full}"));
    Reply::created(Value::Object(extension(&full)), location)
}

/// `extension_{client id without dashes}_{name}`
pub(super) fn extension_name(client_id: &str, name: &str) -> String {
    format!("extension_{}_{name}", client_id.replace('-', ""))
}

fn extension(name: &str) -> Object {
    object(json!({
        "id": name,
        "name": name,
        "dataType": "String",
        "isMultiValued": false,
        "isSyncedFromOnPremises": false,
        "targetObjects": ["User"],
    }))
}

/// The application in the path, by object id or `appId`, if this tenant is its home.
fn application<'t>(turn: &'t Turn<'_>) -> Result<(String, &'t Registration), Refusal> {
    let key = turn.segment(1);
    turn.world
        .registrations
        .iter()
        .filter(|(_, app)| app.home_tenant == turn.caller.tenant)
        .find(|(client_id, app)| match key.strip_prefix("appId=") {
            Some(app_id) => client_id.eq_ignore_ascii_case(app_id),
            None => app.object_id == key,
        })
        .map(|(client_id, app)| (client_id.clone(), app))
        .ok_or_else(|| Refusal::not_found(key))
}
