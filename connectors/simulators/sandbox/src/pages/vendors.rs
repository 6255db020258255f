//! The front page where the vendors run alone: what an administrator would note down in their portals.

use askama::Template;
use latchkey_simulators::server::Response;

use super::{
    front::{Desk, desks},
    page,
};
use crate::vendors::{Noted, Vendors};

#[derive(Debug, Template)]
#[template(path = "vendors.html")]
struct Front<'a> {
    psas: Vec<Desk>,
    noted: &'a Noted,
}

pub(super) fn show(vendors: &Vendors, noted: &Noted) -> Response {
    page(200, &Front { psas: desks(vendors), noted })
}
