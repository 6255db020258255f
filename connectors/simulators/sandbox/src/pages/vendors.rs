//! The front page where the vendors run alone: what an administrator would note down in their portals.

use askama::Template;
use latchkey_simulators::server::Response;

use super::page;
use crate::vendors::Noted;

#[derive(Debug, Template)]
#[template(path = "vendors.html")]
struct Front<'a> {
    noted: &'a Noted,
}

pub(super) fn show(noted: &Noted) -> Response {
    page(200, &Front { noted })
}
