//! Where a list goes on: the vendor's two ways of paging, read from the `Link` header.
//!
//! Only a page number or a page id is taken from a link. Its host and path are never followed.

use reqwest::header::{HeaderMap, LINK};
use url::form_urlencoded;

/// How a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// Numbered pages, for short lists.
    Navigable(usize),
    /// From page to page by id, for long ones. An endpoint that cannot do it is read by number.
    ForwardOnly(usize),
}

/// The largest page the vendor gives.
pub(crate) const LARGEST: Paging = Paging::ForwardOnly(1000);

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    Page(u32),
    After(String),
}

/// What an answer says about the rest of its list.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Page(u32),
    After(String),
    None,
    /// No `Link` at all: the page's length has to tell.
    Unsaid,
}

impl Paging {
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Navigable(size) | Self::ForwardOnly(size) => size,
        }
    }

    /// The place after `here`, given an answer of `rows` rows; `Ok(None)` at the end.
    ///
    /// # Errors
    /// When the links go backwards or in a circle.
    pub(crate) fn next(self, here: &Place, headers: &HeaderMap, rows: usize) -> Result<Option<Place>, &'static str> {
        let page = match here {
            Place::Page(n) => *n,
            Place::Start | Place::After(_) => 1,
        };
        let rest = rest(headers);
        match rest {
            Rest::None => Ok(None),
            Rest::Page(n) if n > page => Ok(Some(Place::Page(n))),
            Rest::After(id) if matches!(here, Place::After(last) if *last == id) => Err("the list goes in a circle"),
            Rest::After(id) => Ok(Some(Place::After(id))),
            Rest::Page(_) => Err("the list goes backwards"),
            Rest::Unsaid if rows < self.size() || matches!(here, Place::After(_)) => Ok(None),
            Rest::Unsaid => Ok(Some(Place::Page(page + 1))),
        }
    }
}

fn rest(headers: &HeaderMap) -> Rest {
    let lines: Vec<&str> = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok()).collect();
    if lines.is_empty() {
        return Rest::Unsaid;
    }
    let next = lines.iter().flat_map(|line| links(line)).find(|(_, rel)| rel.eq_ignore_ascii_case("next"));
    let Some((url, _)) = next else { return Rest::None };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.into_owned())
    };
    match (value("pageId"), value("page").and_then(|n| n.parse().ok())) {
        (Some(id), _) if !id.is_empty() && id.len() <= 200 => Rest::After(id),
        (_, Some(page)) => Rest::Page(page),
        _ => Rest::None,
    }
}

/// The `(url, rel)` pairs of one header line. URLs may hold commas, so the angle brackets lead.
fn links(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for part in line.split('<').skip(1) {
        let Some((url, params)) = part.split_once('>') else { continue };
        let rel = params.split(';').find_map(|p| p.trim().trim_end_matches(',').trim_end().strip_prefix("rel="));
        if let Some(rel) = rel {
            found.push((url, rel.trim_matches('"')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(link: Option<&str>) -> HeaderMap {
        link.map(|text| (LINK, text.parse().unwrap())).into_iter().collect()
    }

    fn next(paging: Paging, here: Place, link: Option<&str>, rows: usize) -> Result<Option<Place>, &'static str> {
        paging.next(&here, &headers(link), rows)
    }

    const NUMBERED: &str = "<https://host/v4_6_release/apis/3.0/service/tickets?fields=id,summary&pageSize=25&page=2>; rel=\"next\", <https://host/x?pageSize=25&page=9>; rel=\"last\"";

    #[test]
    fn the_next_number_is_taken_from_the_link() {
        let paging = Paging::Navigable(25);
        assert_eq!(next(paging, Place::Start, Some(NUMBERED), 25), Ok(Some(Place::Page(2))));
        let last = "<https://host/x?pageSize=25&page=8>; rel=\"prev\", <https://host/x?page=1>; rel=\"first\"";
        assert_eq!(next(paging, Place::Page(9), Some(last), 25), Ok(None));
        assert_eq!(next(paging, Place::Page(2), Some(NUMBERED), 25), Err("the list goes backwards"));
    }

    #[test]
    fn the_next_id_is_taken_from_the_link() {
        let link = Some("<https://evil.example/x?pageSize=1000&pageId=4711>; rel=\"next\"");
        assert_eq!(next(LARGEST, Place::Start, link, 1000), Ok(Some(Place::After("4711".into()))));
        assert_eq!(next(LARGEST, Place::After("4711".into()), link, 1000), Err("the list goes in a circle"));
        assert_eq!(next(LARGEST, Place::After("4711".into()), Some(""), 3), Ok(None));
        assert_eq!(next(LARGEST, Place::After("4711".into()), None, 1000), Ok(None));
    }

    #[test]
    fn without_a_link_the_length_of_the_page_tells() {
        assert_eq!(next(Paging::Navigable(25), Place::Start, None, 24), Ok(None));
        assert_eq!(next(Paging::Navigable(25), Place::Page(2), None, 25), Ok(Some(Place::Page(3))));
        assert_eq!(next(LARGEST, Place::Start, None, 1000), Ok(Some(Place::Page(2))));
    }
}
