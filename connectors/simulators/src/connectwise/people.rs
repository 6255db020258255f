//! Members, API members, and who is asking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::api::Cx;
use super::errors::Refusal;
use super::paging::{self, Query};
use super::state::{Host, Member, Tenant};
use crate::server::{Request, Response};

const PROPERTIES: &[&str] = &[
    "id",
    "identifier",
    "firstName",
    "lastName",
    "officeEmail",
    "primaryEmail",
    "defaultEmail",
    "licenseClass",
    "inactiveFlag",
    "adminFlag",
    "securityRole",
];

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.members.iter().map(member).collect();
    cx.listed(all, PROPERTIES)
}

pub(super) fn count(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.members.iter().map(member).collect();
    Ok(paging::count(&paging::select(all, &Query::of(cx.request), PROPERTIES)?))
}

/// By id or by identifier.
pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let wanted = cx.params[0].as_str();
    let tenant = &*cx.desk.tenant;
    let found = match wanted.parse() {
        Ok(id) => tenant.member(id),
        Err(_) => tenant.member_named(wanted),
    };
    let found = found.ok_or_else(|| Refusal::not_found("Member", wanted))?;
    let whole = member(found);
    Ok(Response::json(200, &paging::only_fields(whole, cx.request.query("fields"))))
}

pub(super) fn api_members(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let of = |m: &&Member| m.license_class == "A";
    let all = cx.desk.tenant.members.iter().filter(of).map(member).collect();
    cx.listed(all, PROPERTIES)
}

/// The caller's own record.
pub(super) fn me(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let name = cx.desk.saver.identifier.as_str();
    let own = cx.desk.tenant.member_named(name);
    Ok(Response::json(200, &member(own.ok_or_else(|| Refusal::not_found("Member", name))?)))
}

fn member(m: &Member) -> Value {
    json!({
        "id": m.id, "identifier": m.identifier, "firstName": m.first_name,
        "lastName": m.last_name, "officeEmail": m.email, "primaryEmail": m.email,
        "defaultEmail": "Office", "defaultPhone": "Office", "licenseClass": m.license_class, "inactiveFlag": m.inactive,
        "adminFlag": false, "securityRole": {"id": 63, "name": "Service"},
        // Of no use here, but published clients refuse a member without them.
        "agreementInvoicingDisplayOptions": "RemainOnInvoicingScreen",
        "invoicingDisplayOptions": "RemainOnInvoicingScreen",
        "invoiceScreenDefaultTabFormat": "ShowInvoicingTab", "_info": {},
    })
}

/// Who a request's credentials belong to.
#[derive(Debug)]
pub(super) struct Caller {
    /// As configured, not as sent.
    pub(super) company_id: String,
    pub(super) identifier: String,
}

/// Checks `Authorization: Basic base64(company+public:private)` and, unless the caller says
/// otherwise, the `clientId` header, which must be a GUID. `no_client_id` is the status for a
/// request without one.
pub(super) fn authenticate(host: &Host, request: &Request, no_client_id: Option<u16>) -> Result<Caller, Refusal> {
    let header = request
        .header("authorization")
        .ok_or_else(|| Refusal::unauthorized(401, "Authorization has been denied for this request."))?;
    let (company, public, private) =
        credentials(header).ok_or_else(|| Refusal::unauthorized(401, "The authorization header is not understood."))?;
    let tenant = host.tenant(&company).ok_or_else(Refusal::not_authenticated)?;
    let member = owner_of_key(tenant, &public, &private).ok_or_else(Refusal::not_authenticated)?;
    if let Some(status) = no_client_id {
        let id = request.header("clientid").and_then(|id| uuid::Uuid::parse_str(id.trim()).ok());
        if id.is_none() {
            return Err(Refusal::unauthorized(status, "The clientId header is missing or invalid."));
        }
    }
    Ok(Caller { company_id: tenant.company_id.clone(), identifier: member.identifier.clone() })
}

fn credentials(header: &str) -> Option<(String, String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, private) = decoded.split_once(':')?;
    let (company, public) = user.split_once('+')?;
    Some((company.to_owned(), public.to_owned(), private.to_owned()))
}

fn owner_of_key<'t>(tenant: &'t Tenant, public: &str, private: &str) -> Option<&'t Member> {
    let key = tenant.api_keys.iter().find(|k| k.public == public && k.private == private)?;
    tenant.member(key.member).filter(|m| !m.inactive)
}
