//! What a PSA knows besides tickets: the things that mappings and records name by id.

use serde::{Deserialize, Serialize};

use super::Member;
use crate::{BoardId, CompanyId, FieldId, SourceId, StatusId, TypeId};

/// What admins map from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// What this PSA calls a board, for people: `board`, `queue`, `team`.
    pub board_noun: String,
    /// Boards with their statuses and types.
    pub boards: Vec<Board>,
    /// Companies.
    pub companies: Vec<Company>,
    /// Members, active or not.
    pub members: Vec<Member>,
    /// Custom fields of tickets.
    pub fields: Vec<Field>,
    /// Where tickets can come from; empty where the PSA does not let us read it.
    #[serde(default)]
    pub sources: Vec<TicketSource>,
}

/// A board with its own statuses and types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Immutable id.
    pub id: BoardId,
    /// As shown.
    pub name: String,
    /// May be used.
    pub is_active: bool,
    /// A status is valid only within its board.
    pub statuses: Vec<Status>,
    /// A type is valid only within its board.
    #[serde(default)]
    pub types: Vec<TicketType>,
}

/// A ticket type of one board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketType {
    /// Immutable id.
    pub id: TypeId,
    /// As shown.
    pub name: String,
    /// May be used.
    pub is_active: bool,
}

/// Where a ticket can come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSource {
    /// Immutable id.
    pub id: SourceId,
    /// As shown.
    pub name: String,
}

/// A status of one board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Immutable id.
    pub id: StatusId,
    /// As shown.
    pub name: String,
    /// A ticket in it counts as closed.
    pub is_closing: bool,
    /// May be used.
    pub is_active: bool,
}

/// A PSA company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// Immutable id.
    pub id: CompanyId,
    /// As shown.
    pub name: String,
}

/// A custom field of tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Immutable id.
    pub id: FieldId,
    /// As shown.
    pub name: String,
    /// For lists: the allowed texts.
    pub options: Vec<String>,
}
