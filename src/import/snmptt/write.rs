//! Writes text as a template.

use std::fmt::Write as _;

use crate::language::syntax::quoted;

/// A template that prints a text: what would start a tag is written as a string.
pub fn template_text(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        let opens = rest[at + 1..].starts_with(['{', '%', '#']);
        // Behind a `{` at the end an expression could follow.
        if opens || at + 1 == rest.len() {
            let end = at + 1 + usize::from(opens);
            let _ = write!(out, "{{{{ {} }}}}", quoted(&rest[at..end]));
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
            let string = format!("{{{{ {} }}}}", quoted(&text));
            prop_assert_eq!(environment.render_str(&string, ()).unwrap(), text);
        }
    }
}
