//! What an admin maps from, read live: boards with their statuses and types, companies, members, ticket fields and
//! sources.

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, SourceId, TypeId,
    ticket::{Board, Catalogue, Company, Field, TicketSource, TicketType},
};

use crate::{
    api::{Api, Ask},
    conditions::Conditions,
    members,
    paging::LARGEST,
    status, wire,
};

const BOARDS: &str = "GET /service/boards";
const TYPES: &str = "GET /service/boards/{id}/types";
const SOURCES: &str = "GET /service/sources";
const COMPANIES: &str = "GET /company/companies";
const FIELDS: &str = "GET /system/userDefinedFields";

pub(crate) async fn read(api: &Api) -> Result<Catalogue, CallError> {
    Ok(Catalogue {
        board_noun: crate::BOARD_NOUN.to_owned(),
        boards: boards(api).await?,
        companies: companies(api).await?,
        members: all_members(api).await?,
        fields: fields(api).await?,
        sources: sources(api).await?,
    })
}

/// Service boards; the tickets of project boards live elsewhere.
pub(crate) async fn board_rows(api: &Api) -> Result<Vec<wire::Board>, CallError> {
    let rows: Vec<wire::Board> = api.list(&Ask::new(BOARDS, ["service", "boards"]), LARGEST).await?;
    Ok(rows.into_iter().filter(|board| board.project_flag != Some(true)).collect())
}

async fn boards(api: &Api) -> Result<Vec<Board>, CallError> {
    let mut boards = Vec::new();
    for row in board_rows(api).await? {
        let id = row.id.to_string();
        boards.push(Board {
            statuses: status::of_board(api, &id).await?,
            types: types_of_board(api, &id).await?,
            id: BoardId::parse(id).map_err(|e| CallError::malformed(BOARDS, e))?,
            name: row.name.unwrap_or_default(),
            is_active: !row.inactive_flag.unwrap_or(false),
        });
    }
    Ok(boards)
}

/// The types of one board; none when the board is gone.
pub(crate) async fn types_of_board(api: &Api, board: &str) -> Result<Vec<TicketType>, CallError> {
    let ask = Ask::new(TYPES, ["service", "boards", board, "types"]);
    let rows: Vec<wire::TypeRow> = api.list_if_any(&ask, LARGEST).await?.unwrap_or_default();
    rows.into_iter()
        .map(|row| {
            Ok(TicketType {
                id: TypeId::parse(row.id.to_string()).map_err(|e| CallError::malformed(TYPES, e))?,
                name: row.name.unwrap_or_default(),
                is_active: !row.inactive_flag.unwrap_or(false),
            })
        })
        .collect()
}

/// Where tickets can come from. An instance that does not let us read this has a catalogue all the same.
async fn sources(api: &Api) -> Result<Vec<TicketSource>, CallError> {
    let first = api.send(&sources_ask().query("pageSize", "1")).await?;
    match first.status.as_u16() {
        403 | 404 => Ok(vec![]),
        _ => all_sources(api).await,
    }
}

fn sources_ask() -> Ask {
    Ask::new(SOURCES, ["service", "sources"])
}

pub(crate) async fn all_sources(api: &Api) -> Result<Vec<TicketSource>, CallError> {
    let rows: Vec<wire::Reference> = api.list(&sources_ask(), LARGEST).await?;
    rows.into_iter()
        .map(|row| {
            let id = SourceId::parse(row.id.to_string()).map_err(|e| CallError::malformed(SOURCES, e))?;
            Ok(TicketSource { id, name: row.name.unwrap_or_default() })
        })
        .collect()
}

async fn companies(api: &Api) -> Result<Vec<Company>, CallError> {
    let ask = Ask::new(COMPANIES, ["company", "companies"])
        .query("conditions", Conditions::flag("deletedFlag", false).into_text())
        .query("fields", "id,name");
    let rows: Vec<wire::Reference> = api.list(&ask, LARGEST).await?;
    rows.into_iter()
        .map(|row| {
            let id = CompanyId::parse(row.id.to_string()).map_err(|e| CallError::malformed(COMPANIES, e))?;
            Ok(Company { id, name: row.name.unwrap_or_default() })
        })
        .collect()
}

async fn all_members(api: &Api) -> Result<Vec<latchkey_contract::ticket::Member>, CallError> {
    let rows: Vec<wire::Member> = api.list(&Ask::new(members::LIST, ["system", "members"]), LARGEST).await?;
    rows.into_iter().map(members::member).collect()
}

/// Fields on ticket screens. Where no description says "ticket" (another language), all fields are shown: mapping is
/// by id, so one too many does no harm and one too few does.
pub(crate) async fn fields(api: &Api) -> Result<Vec<Field>, CallError> {
    let rows: Vec<wire::FieldDefinition> =
        api.list(&Ask::new(FIELDS, ["system", "userDefinedFields"]), LARGEST).await?;
    let knows_tickets = rows.iter().any(is_of_tickets);
    rows.into_iter().filter(|row| !knows_tickets || is_of_tickets(row)).map(field).collect()
}

fn is_of_tickets(row: &wire::FieldDefinition) -> bool {
    [&row.pod_description, &row.screen_description]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains("ticket"))
}

fn field(row: wire::FieldDefinition) -> Result<Field, CallError> {
    let options = row.options.unwrap_or_default().into_iter().filter(|o| o.inactive_flag != Some(true));
    Ok(Field {
        id: FieldId::parse(row.id.to_string()).map_err(|e| CallError::malformed(FIELDS, e))?,
        name: row.caption.unwrap_or_default(),
        options: options.filter_map(|o| o.option_value).collect(),
    })
}
