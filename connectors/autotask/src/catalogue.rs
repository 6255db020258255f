//! What an admin maps from, read live: queues with the statuses and types there are, companies, resources, user-defined
//! fields, sources. Queues are no entity, only a picklist; statuses and types belong to no queue. [facts 4.1]

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, SourceId, StatusId, TypeId,
    outside::Urgency,
    ticket::{Board, Catalogue, Company, Field, Status, TicketSource, TicketType},
};

use crate::{
    Tenant,
    filter::Filter,
    metadata::{HOOK_UDF, TICKET, UDF, is_active},
    wire::{self, Pick},
};

const COMPANIES: &str = "POST /Companies/query";

pub(crate) async fn read(tenant: &Tenant) -> Result<Catalogue, CallError> {
    Ok(Catalogue {
        board_noun: crate::BOARD_NOUN.to_owned(),
        boards: queues(tenant).await?,
        companies: companies(tenant).await?,
        members: tenant.resources.all(&tenant.api, &tenant.meta).await?,
        fields: fields(tenant).await?,
        sources: sources(tenant).await?,
    })
}

pub(crate) async fn queues(tenant: &Tenant) -> Result<Vec<Board>, CallError> {
    let (statuses, types) = (statuses(tenant).await?, types(tenant).await?);
    let board = |pick: Pick| {
        Ok(Board {
            is_active: is_active(&pick),
            id: BoardId::parse(pick.value).map_err(bad)?,
            name: pick.label.unwrap_or_default(),
            statuses: statuses.clone(),
            types: types.clone(),
        })
    };
    picks(tenant, "queueID").await?.into_iter().map(board).collect()
}

pub(crate) async fn statuses(tenant: &Tenant) -> Result<Vec<Status>, CallError> {
    let is_closing = |id: &StatusId| tenant.settings.completed_statuses.contains(id);
    let status = |pick: Pick| {
        let is_active = is_active(&pick);
        let id = StatusId::parse(pick.value).map_err(bad)?;
        Ok(Status { is_closing: is_closing(&id), id, name: pick.label.unwrap_or_default(), is_active })
    };
    picks(tenant, "status").await?.into_iter().map(status).collect()
}

pub(crate) async fn types(tenant: &Tenant) -> Result<Vec<TicketType>, CallError> {
    let kind = |pick: Pick| {
        let is_active = is_active(&pick);
        Ok(TicketType { id: TypeId::parse(pick.value).map_err(bad)?, name: pick.label.unwrap_or_default(), is_active })
    };
    picks(tenant, "ticketType").await?.into_iter().map(kind).collect()
}

pub(crate) async fn sources(tenant: &Tenant) -> Result<Vec<TicketSource>, CallError> {
    let source = |pick: Pick| {
        Ok(TicketSource { id: SourceId::parse(pick.value).map_err(bad)?, name: pick.label.unwrap_or_default() })
    };
    picks(tenant, "source").await?.into_iter().map(source).collect()
}

/// User-defined fields, with the texts of a list.
pub(crate) async fn fields(tenant: &Tenant) -> Result<Vec<Field>, CallError> {
    let lists = tenant.meta.fields(&tenant.api, UDF).await?;
    let options = |name: &str| {
        let list = lists.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let picks = list.and_then(|field| field.picklist_values.clone()).unwrap_or_default();
        picks.into_iter().filter(is_active).map(|pick| pick.value).collect()
    };
    let field = |pick: Pick| {
        let name = pick.label.unwrap_or_default();
        let id = FieldId::parse(pick.value).map_err(|e| CallError::malformed(HOOK_UDF, e))?;
        Ok(Field { id, options: options(&name), name })
    };
    tenant.meta.udf_picks(&tenant.api, Urgency::Ordinary).await?.into_iter().map(field).collect()
}

async fn companies(tenant: &Tenant) -> Result<Vec<Company>, CallError> {
    let filters = [Filter::is("isActive", true)];
    let rows: Vec<wire::Company> =
        tenant.api.query(COMPANIES, &filters, &["id", "companyName"], Urgency::Ordinary).await?;
    let company = |row: wire::Company| {
        let id = CompanyId::parse(row.id.to_string()).map_err(|e| CallError::malformed(COMPANIES, e))?;
        Ok(Company { id, name: row.company_name.unwrap_or_default() })
    };
    rows.into_iter().map(company).collect()
}

async fn picks(tenant: &Tenant, field: &str) -> Result<Vec<Pick>, CallError> {
    tenant.meta.picks(&tenant.api, TICKET, field, Urgency::Ordinary).await
}

fn bad(error: latchkey_contract::BadId) -> CallError {
    CallError::malformed(TICKET, error)
}
