//! A rule that lacks only what its test expects.

use std::fmt::Write as _;

use crate::settings::section::quoted;

/// A rule for a message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The comments, and the rule without tests, as TOML.
    pub rule: String,
    /// The message as a test has it: a line `packet = "..."` or `line = "..."`.
    pub message: String,
}

/// What a rule made of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The service; none for a result of a host.
    pub service: Option<String>,
    /// The state.
    pub state: String,
}

impl Draft {
    /// The rule with a test: the message makes this.
    pub fn with_test(&self, expected: &Expected) -> String {
        let mut text = self.rule.clone();
        let _ = writeln!(text, "[[rule.test]]\n{}", self.message);
        let service = expected.service.as_ref().map(|service| format!("service = {}, ", quoted(service)));
        let _ = writeln!(
            text,
            "expect = {{ {}state = {} }}",
            service.unwrap_or_default(),
            quoted(&expected.state)
        );
        text
    }
}

impl Draft {
    /// The rule with a test: it drops the message.
    pub fn with_drop_test(&self) -> String {
        format!("{}[[rule.test]]\n{}\nexpect = {{ drop = true }}\n", self.rule, self.message)
    }
}

/// Lower-case words with `-` between, at most so many characters.
pub(super) fn slug(words: &str, most: usize) -> String {
    let mut slug = String::new();
    for c in words.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= most {
            break;
        }
    }
    slug.trim_matches('-').to_owned()
}
