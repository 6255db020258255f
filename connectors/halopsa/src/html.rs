//! Notes as HTML and back: every character of ours is escaped, line breaks are kept.

/// A text as HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    html.push_str("<p>");
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' => html.push_str("<br>"),
            '\r' => {}
            other => html.push(other),
        }
    }
    html.push_str("</p>");
    html
}

/// The text of HTML that was made by [`escaped`], and that an editor may have touched since.
pub(crate) fn plain(html: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(html.len()), html);
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let Some((tag, after)) = after.split_once('>') else {
            rest = after;
            continue;
        };
        let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let is_end_of_block = tag.starts_with('/') && matches!(name.to_ascii_lowercase().as_str(), "p" | "div" | "li");
        if name.eq_ignore_ascii_case("br") || is_end_of_block {
            text.push('\n');
        }
        rest = after;
    }
    text.push_str(rest);
    decoded(&text)
}

/// The ampersand last, so that an escaped entity stays one.
fn decoded(text: &str) -> String {
    const ENTITIES: [(&str, &str); 7] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let text = ENTITIES.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    text.trim_end().to_owned()
}

/// The last marker of a text on a line of its own, wherever its line breaks went.
pub(crate) fn marked_lines(text: &str) -> String {
    let text = text.trim_end();
    match text.rfind("[latchkey ").filter(|at| text[*at..].ends_with(']')) {
        Some(at) => format!("{}\n{}", text[..at].trim_end(), &text[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["a\nb", "p<a>ss&w\"o'rd", "&lt;b&gt;", "a < b > c", "x\n\ny"] {
            let html = escaped(text);
            assert_eq!(plain(&html), text, "{html}");
            assert!(!html.contains('\n') && !html["<p>".len()..].contains("<a"), "{html}");
        }
        assert_eq!(plain("<div>a</div><DIV>b<BR />c</DIV>"), "a\nb\nc");
    }

    #[test]
    fn a_marker_gets_its_line_back() {
        assert_eq!(marked_lines("text [latchkey k 1/1 x]"), "text\n[latchkey k 1/1 x]");
        assert_eq!(marked_lines("text\n[latchkey k 1/1 x]\n \n"), "text\n[latchkey k 1/1 x]");
        assert_eq!(marked_lines("[latchkey k 1/1 x] and more"), "[latchkey k 1/1 x] and more");
        assert_eq!(
            marked_lines("quoted [latchkey a 1/1 x] text [latchkey k 1/1 y]"),
            "quoted [latchkey a 1/1 x] text\n[latchkey k 1/1 y]"
        );
    }
}
