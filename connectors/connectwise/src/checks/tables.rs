//! Every list that the lines speak of, each read once.

use std::collections::BTreeMap;

use latchkey_contract::{
    BoardId, CallError,
    ticket::{Field, Status, TicketSource, TicketType, WantedChecks},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{Api, Ask},
    callbacks::Callbacks,
    catalogue,
    errors::accepted,
    paging::LARGEST,
    status, wire,
};

type Read<T> = Result<T, CallError>;

/// What was read, or why not.
pub(super) struct Tables {
    /// The newest ticket we can see.
    pub(super) newest: Read<Option<wire::Row>>,
    pub(super) company: Read<Option<wire::Row>>,
    pub(super) member: Read<Option<wire::Row>>,
    pub(super) boards: Read<Vec<wire::Board>>,
    pub(super) fields: Read<Vec<Field>>,
    /// Read only where a mapping names one.
    pub(super) sources: Option<Read<Vec<TicketSource>>>,
    /// Of each wanted board that is there.
    pub(super) statuses: BTreeMap<BoardId, Read<Vec<Status>>>,
    /// Of each wanted board that is there, where a mapping names a type.
    pub(super) types: BTreeMap<BoardId, Read<Vec<TicketType>>>,
    /// At the wanted address, whatever their path secret; every one of ours by its description where there is none yet.
    pub(super) callbacks: Read<Vec<wire::Callback>>,
    /// Callbacks that carry our name and point to another address.
    pub(super) elsewhere: Read<Vec<wire::Callback>>,
    /// Our own rights; `None` where the instance does not tell.
    pub(super) rights: Option<Vec<wire::Right>>,
}

impl Tables {
    pub(super) async fn read(api: &Api, callbacks: &Callbacks<'_>, want: &WantedChecks) -> Self {
        let boards = catalogue::board_rows(api).await;
        let (mut statuses, mut types) = (BTreeMap::new(), BTreeMap::new());
        for id in boards.iter().flatten().filter_map(|row| BoardId::parse(row.id.to_string()).ok()) {
            if !want.boards.contains(&id) {
                continue;
            }
            if !want.types.is_empty() {
                types.insert(id.clone(), catalogue::types_of_board(api, id.as_str()).await);
            }
            let of_board = status::of_board(api, id.as_str()).await;
            statuses.insert(id, of_board);
        }
        Self {
            newest: first(api, Ask::new("GET /service/tickets", ["service", "tickets"]).query("orderBy", "id desc"))
                .await,
            company: first(api, Ask::new("GET /company/companies", ["company", "companies"])).await,
            member: first(api, Ask::new("GET /system/members", ["system", "members"])).await,
            boards,
            fields: catalogue::fields(api).await,
            sources: match want.sources.is_empty() {
                true => None,
                false => Some(catalogue::all_sources(api).await),
            },
            statuses,
            types,
            callbacks: match &want.hook {
                Some(url) => callbacks.below(url).await,
                None => callbacks.named_ours().await,
            },
            elsewhere: match &want.hook {
                Some(url) => callbacks.elsewhere(url).await,
                None => Ok(vec![]),
            },
            rights: rights(api).await,
        }
    }

    /// The lists that only *Table Setup* opens, by what they are called.
    pub(super) fn setup(&self) -> Vec<(&'static str, Option<&CallError>)> {
        let mut read = vec![
            ("boards", self.boards.as_ref().err()),
            ("callbacks", self.callbacks.as_ref().err()),
            ("custom fields", self.fields.as_ref().err()),
        ];
        let of_boards = self.statuses.values().find_map(|read| read.as_ref().err());
        read.push(("statuses", of_boards));
        read.push(("types", self.types.values().find_map(|read| read.as_ref().err())));
        if let Some(sources) = &self.sources {
            read.push(("sources", sources.as_ref().err()));
        }
        read
    }
}

async fn first<T: DeserializeOwned>(api: &Api, ask: Ask) -> Read<Option<T>> {
    let rows: Vec<T> = accepted(api.send(&ask.query("pageSize", "1").query("fields", "id")).await?)?.json()?;
    Ok(rows.into_iter().next())
}

/// Not every instance lets a member ask for its own rights; what is not told is not a failure.
async fn rights(api: &Api) -> Option<Vec<wire::Right>> {
    api.list(&Ask::new("GET /system/mySecurity", ["system", "mySecurity"]), LARGEST).await.ok()
}
