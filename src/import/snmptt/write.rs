//! Texts as the language of rules writes them.

use std::fmt::Write as _;

/// A string of the language of expressions.
pub fn jinja_string(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Text in a template: what would open an expression is written as a string.
pub fn template_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let opens = rest[at + 1..].starts_with(['{', '%', '#']);
        // At the end an expression may follow.
        if opens || at + 1 == rest.len() {
            let end = at + 1 + usize::from(opens);
            let _ = write!(out, "{{{{ {} }}}}", jinja_string(&rest[at..end]));
            rest = &rest[end..];
        } else {
            out.push('{');
            rest = &rest[at + 1..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_in_a_template_comes_out_as_it_was(text in "[a-z'\"\\\\\n{}%#$]{0,12}") {
            let template = format!("<{}>", template_text(&text));
            let environment = minijinja::Environment::new();
            prop_assert_eq!(environment.render_str(&template, ()).unwrap(), format!("<{text}>"));
            let string = format!("{{{{ {} }}}}", jinja_string(&text));
            prop_assert_eq!(environment.render_str(&string, ()).unwrap(), text);
        }
    }
}
