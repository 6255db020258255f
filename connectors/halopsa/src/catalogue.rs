//! What an admin maps from, read live: teams with the statuses and types that all of them share, clients, agents, ticket
//! fields.

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, StatusId, TypeId,
    outside::Urgency,
    ticket::{self, Board, Catalogue, Company, Field, TicketType},
};

use crate::{
    api::{Api, Ask, row_id},
    members::Agents,
    tables::{Known, Tables},
    wire,
};

const TYPES: &str = "GET /TicketType";
const CLIENTS: &str = "GET /Client";
const FIELDS: &str = "GET /FieldInfo";
const ONE_FIELD: &str = "GET /FieldInfo/{id}";
const TEAMS: &str = "GET /Team";
/// The area of tickets among all that have custom fields.
const TICKETS: i64 = 1;
/// Selects, as their types are commonly numbered.
const SELECTS: [i64; 2] = [2, 3];
/// How many selects are asked for their captions, one by one.
const MAX_SELECTS: usize = 60;

pub(crate) async fn read(api: &Api, tables: &Tables, agents: Agents<'_>) -> Result<Catalogue, CallError> {
    let known = tables.look(api, Urgency::Ordinary).await?;
    Ok(Catalogue {
        board_noun: crate::BOARD_NOUN.to_owned(),
        boards: boards(&known, &types(api).await?)?,
        companies: companies(api).await?,
        members: agents.all().await?,
        fields: fields(api, true).await?,
        // No table of sources is published.
        sources: vec![],
    })
}

fn boards(known: &Known, types: &[TicketType]) -> Result<Vec<Board>, CallError> {
    let statuses = statuses(known)?;
    let board = |team: &wire::Row| {
        Ok(Board {
            id: BoardId::parse(team.id.to_string()).map_err(|e| CallError::malformed(TEAMS, e))?,
            name: team.name.clone().unwrap_or_default(),
            is_active: team.inactive != Some(true),
            statuses: statuses.clone(),
            types: types.to_vec(),
        })
    };
    known.teams.iter().map(board).collect()
}

/// A status belongs to no team.
pub(crate) fn statuses(known: &Known) -> Result<Vec<ticket::Status>, CallError> {
    let status = |(id, status): (&i64, &crate::tables::Status)| {
        Ok(ticket::Status {
            id: StatusId::parse(id.to_string()).map_err(|e| CallError::malformed(TEAMS, e))?,
            name: status.name.clone(),
            is_closing: status.is_closing,
            is_active: true,
        })
    };
    known.statuses.iter().map(status).collect()
}

pub(crate) async fn types(api: &Api) -> Result<Vec<TicketType>, CallError> {
    let rows: Vec<wire::Row> = api.list(&Ask::new(TYPES, ["TicketType"]).query("showall", "true")).await?;
    rows.into_iter()
        .map(|row| {
            Ok(TicketType {
                id: TypeId::parse(row.id.to_string()).map_err(|e| CallError::malformed(TYPES, e))?,
                name: row.name.unwrap_or_default(),
                is_active: row.inactive != Some(true),
            })
        })
        .collect()
}

async fn companies(api: &Api) -> Result<Vec<Company>, CallError> {
    let rows: Vec<wire::Row> = api.pages(&Ask::new(CLIENTS, ["Client"]), row_id, |_| false).await?;
    rows.into_iter()
        .map(|row| {
            let id = CompanyId::parse(row.id.to_string()).map_err(|e| CallError::malformed(CLIENTS, e))?;
            Ok(Company { id, name: row.name.unwrap_or_default() })
        })
        .collect()
}

/// Fields of tickets. Where no definition says that it is one, all are shown: mapping is by id, so one too many does no harm
/// and one too few does.
pub(crate) async fn fields(api: &Api, with_options: bool) -> Result<Vec<Field>, CallError> {
    let rows: Vec<wire::FieldInfo> = api.list(&Ask::new(FIELDS, ["FieldInfo"])).await?;
    let knows_tickets = rows.iter().any(|row| row.usage == Some(TICKETS));
    let (mut fields, mut asked) = (Vec::new(), 0);
    for row in rows.into_iter().filter(|row| !knows_tickets || row.usage == Some(TICKETS)) {
        let is_select = row.kind.is_some_and(|kind| SELECTS.contains(&kind));
        let is_asked =
            with_options && is_select && row.values.is_none() | row.values.as_ref().is_some_and(Vec::is_empty);
        let options = match is_asked && asked < MAX_SELECTS {
            true => {
                asked += 1;
                captions(api, row.id).await?
            }
            false => row.values,
        };
        fields.push(Field {
            id: FieldId::parse(row.id.to_string()).map_err(|e| CallError::malformed(FIELDS, e))?,
            name: row.label.or(row.name).unwrap_or_default(),
            options: options.into_iter().flatten().filter_map(|o| o.name).collect(),
        });
    }
    Ok(fields)
}

/// The captions of one select; where a definition tells them is not published, so none is no error.
async fn captions(api: &Api, field: i64) -> Result<Option<Vec<wire::Row>>, CallError> {
    let found: Option<wire::FieldInfo> =
        api.call_if_any(&Ask::new(ONE_FIELD, ["FieldInfo", &field.to_string()])).await?;
    Ok(found.and_then(|f| f.values))
}
