//! Escaping for the places where values stand in requests.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::outcome::name::{breaks_line, turns};
use crate::outcome::record::Record;

/// Percent-encoded (RFC 3986, section 2): all but unreserved characters.
pub fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Percent-encoded where `must` says so of a character, and `%` itself: different texts stay different.
pub fn percent_where(text: &str, must: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || must(c) {
            out.push_str(&percent_all(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn percent_all(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The longest key of a problem, in octets.
pub const MAX_KEY: usize = 255;

/// The key of a problem: its host and service, percent-encoded. A longer one than `most` keeps its start and gets a digest of the whole.
pub fn key_of(record: &Record<'_>, most: usize) -> String {
    let host = percent(record.outcome.host());
    let key = match record.outcome.service() {
        Some(service) => format!("{host}/{}", percent(service)),
        None => host,
    };
    if key.len() <= most {
        return key;
    }
    // No sender can make a name whose key is that of another problem.
    let suffix = format!("~{}", HEXLOWER.encode(&Sha256::digest(key.as_bytes())[..8]));
    format!("{}{suffix}", &key[..key.floor_char_boundary(most - suffix.len())])
}

/// What stands between the quotes of a JSON string.
pub fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What stands between the quotes of a JSON string that Slack shows as mrkdwn: `&`, `<` and `>` as entities, so that a value
/// makes no link and mentions nobody (Slack, Formatting message text, Escaping text).
pub fn in_slack(text: &str) -> String {
    in_json(&each(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }))
}

/// What stands between the quotes of a JSON string that is shown as Markdown, as Teams, Discord and Mattermost do: a backslash
/// before what begins a link, a mention in angle brackets, code or emphasis (CommonMark, section 2.4), and a zero-width space
/// behind `@`, so that a value mentions nobody.
pub fn in_markdown(text: &str) -> String {
    in_json(&each(text, |c| match c {
        '@' => Some("@\u{200b}"),
        '\\' => Some("\\\\"),
        '`' => Some("\\`"),
        '*' => Some("\\*"),
        '_' => Some("\\_"),
        '~' => Some("\\~"),
        '|' => Some("\\|"),
        '#' => Some("\\#"),
        '[' => Some("\\["),
        ']' => Some("\\]"),
        '<' => Some("\\<"),
        '>' => Some("\\>"),
        _ => None,
    }))
}

/// Text for people: without characters that control a terminal or turn others. Line breaks stay.
pub fn in_text(text: &str) -> String {
    each(text, |c| match c {
        '\n' | '\t' => None,
        c if turns(c) => Some(""),
        c if breaks_line(c) => Some(" "),
        _ => None,
    })
}

fn each(text: &str, escaped: impl Fn(char) -> Option<&'static str>) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match escaped(c) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_in_chats_mention_nobody() {
        let hostile = "<!channel> <https://evil|intranet> @everyone [x](y) *b* `c` \"q\" a_b & 1 > 0";
        assert_eq!(
            in_slack(hostile),
            "&lt;!channel&gt; &lt;https://evil|intranet&gt; @everyone [x](y) *b* `c` \\\"q\\\" a_b &amp; 1 &gt; 0"
        );
        let markdown: String = serde_json::from_str(&format!("\"{}\"", in_markdown(hostile))).unwrap();
        assert_eq!(
            markdown,
            "\\<!channel\\> \\<https://evil\\|intranet\\> @\u{200b}everyone \\[x\\](y) \\*b\\* \\`c\\` \"q\" a\\_b & 1 \\> 0"
        );
        assert_eq!(in_text("a\u{1b}[2J\u{202e}\r\nb\u{2028}c"), "a [2J \nb c");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(text in any::<String>()) {
            let json: serde_json::Value = serde_json::from_str(&format!("{{\"a\":\"{}\"}}", in_json(&text))).unwrap();
            prop_assert_eq!(json["a"].as_str().unwrap(), &text);
            prop_assert!(percent(&text).bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        }
    }
}
