//! Setting up the tables of a login company: companies, boards with statuses and types, sources, custom fields, and the
//! rights of its API members.

use uuid::Uuid;

use super::control::{FieldKind, Tenant};
use super::rights::{Level, Verb};
use super::state::{Board, Company, Field, Kind, Status, take};

impl Tenant {
    pub fn add_company(&self, identifier: &str, name: &str) -> i64 {
        self.add_company_of_types(identifier, name, &[])
    }

    pub fn add_company_of_types(&self, identifier: &str, name: &str, types: &[&str]) -> i64 {
        self.with(|t| {
            let id = take(&mut t.next.company);
            t.companies.push(Company {
                id,
                identifier: identifier.to_owned(),
                name: name.to_owned(),
                deleted: false,
                types: types.iter().map(ToString::to_string).collect(),
                groups: Vec::new(),
            });
            id
        })
    }

    /// Puts the company into these groups and no others.
    pub fn set_company_groups(&self, id: i64, groups: &[&str]) {
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        self.with(|t| {
            let company = t.companies.iter_mut().filter(|c| c.id == id);
            company.for_each(|c| c.groups.clone_from(&groups));
        });
    }

    /// Marks the company deleted; its tickets keep naming it.
    pub fn delete_company(&self, id: i64) {
        self.with(|t| t.companies.iter_mut().filter(|c| c.id == id).for_each(|c| c.deleted = true));
    }

    pub fn add_board(&self, name: &str) -> i64 {
        self.with(|t| {
            let id = take(&mut t.next.board);
            let name = name.to_owned();
            t.boards.push(Board { id, name, inactive: false, statuses: vec![], kinds: vec![] });
            id
        })
    }

    /// Adds a status; the first one is the board's default. 0 when there is no such board.
    pub fn add_status(&self, board: i64, name: &str, closed: bool) -> i64 {
        self.with(|t| {
            let Some(board) = t.boards.iter_mut().find(|b| b.id == board) else { return 0 };
            let id = take(&mut t.next.status);
            board.statuses.push(Status { id, name: name.to_owned(), closed, inactive: false });
            id
        })
    }

    /// Gives a status another name; its id stays.
    pub fn rename_status(&self, id: i64, name: &str) {
        self.with(|t| {
            let statuses = t.boards.iter_mut().flat_map(|b| &mut b.statuses).filter(|s| s.id == id);
            statuses.for_each(|s| name.clone_into(&mut s.name));
        });
    }

    /// Takes a status away as an administrator can; tickets in it are orphaned.
    pub fn remove_status(&self, id: i64) {
        self.with(|t| t.boards.iter_mut().for_each(|b| b.statuses.retain(|s| s.id != id)));
    }

    /// Adds a service type. 0 when there is no such board.
    pub fn add_type(&self, board: i64, name: &str) -> i64 {
        self.with(|t| {
            let Some(board) = t.boards.iter_mut().find(|b| b.id == board) else { return 0 };
            let id = take(&mut t.next.kind);
            board.kinds.push(Kind { id, name: name.to_owned(), inactive: false });
            id
        })
    }

    pub fn set_board_inactive(&self, id: i64, inactive: bool) {
        self.with(|t| t.boards.iter_mut().filter(|b| b.id == id).for_each(|b| b.inactive = inactive));
    }

    pub fn set_status_inactive(&self, id: i64, inactive: bool) {
        self.with(|t| {
            let statuses = t.boards.iter_mut().flat_map(|b| &mut b.statuses).filter(|s| s.id == id);
            statuses.for_each(|s| s.inactive = inactive);
        });
    }

    pub fn set_type_inactive(&self, id: i64, inactive: bool) {
        self.with(|t| {
            let kinds = t.boards.iter_mut().flat_map(|b| &mut b.kinds).filter(|k| k.id == id);
            kinds.for_each(|k| k.inactive = inactive);
        });
    }

    /// Takes a service type away; tickets of it keep naming it.
    pub fn remove_type(&self, id: i64) {
        self.with(|t| t.boards.iter_mut().for_each(|b| b.kinds.retain(|k| k.id != id)));
    }

    /// Adds a place that tickets can come from.
    pub fn add_source(&self, name: &str) -> i64 {
        self.with(|t| {
            let id = take(&mut t.next.source);
            t.sources.push((id, name.to_owned()));
            id
        })
    }

    pub fn remove_source(&self, id: i64) {
        self.with(|t| t.sources.retain(|(known, _)| *known != id));
    }

    /// Changes the security role of the API members; they begin with every right. `function` is named as in the
    /// vendor's role screen, such as `Service Tickets`.
    pub fn set_right(&self, function: &str, verb: Verb, level: Level) {
        self.with(|t| t.rights.set(function, verb, level));
    }

    /// Takes a board with its statuses away; tickets on it are orphaned.
    pub fn remove_board(&self, id: i64) {
        self.with(|t| t.boards.retain(|b| b.id != id));
    }

    /// Adds a custom field on tickets; `options` are for [`FieldKind::List`].
    pub fn add_field(&self, caption: &str, kind: FieldKind, options: &[&str]) -> i64 {
        let (kind, entry) = match kind {
            FieldKind::Text => ("Text", "EntryField"),
            FieldKind::TextArea => ("TextArea", "EntryField"),
            FieldKind::Number => ("Number", "EntryField"),
            FieldKind::Checkbox => ("Checkbox", "EntryField"),
            FieldKind::Date => ("Date", "Date"),
            FieldKind::List => ("Text", "List"),
        };
        let created_ms = self.sim.shared.clock.now_ms();
        self.with(|t| {
            let id = take(&mut t.next.field);
            t.fields.push(Field {
                id,
                caption: caption.to_owned(),
                kind: kind.to_owned(),
                entry: entry.to_owned(),
                options: options.iter().map(ToString::to_string).collect(),
                guid: Uuid::new_v4(),
                created_ms,
            });
            id
        })
    }

    pub fn rename_field(&self, id: i64, caption: &str) {
        self.with(|t| {
            let field = t.fields.iter_mut().filter(|f| f.id == id);
            field.for_each(|f| caption.clone_into(&mut f.caption));
        });
    }

    /// Takes a custom field away, with its values.
    pub fn remove_field(&self, id: i64) {
        self.with(|t| {
            t.fields.retain(|f| f.id != id);
            t.tickets.values_mut().for_each(|ticket| drop(ticket.values.remove(&id)));
        });
    }
}
