//! Translates regular expressions of Perl to those of the Rust crate regex.

use crate::import::snmptt::left_out::LeftOut;
use crate::language::syntax::quoted;
use crate::settings::values::in_a_line;

/// Translates a pattern.
///
/// # Errors
///
/// [`LeftOut::Pattern`], if the crate does not support it: look-around, back-references.
pub fn pattern(perl: &str, any_case: bool) -> Result<String, LeftOut> {
    let mut pattern = String::from(if any_case { "(?i)" } else { "" });
    let mut in_class = false;
    let mut chars = perl.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') => pattern.push_str("\\z"),
                Some('h') => pattern.push_str(if in_class { " \\t" } else { "[ \\t]" }),
                // In the crate, `\<` and `\>` are word boundaries.
                Some(sign @ ('<' | '>')) => pattern.push(sign),
                Some(c) => pattern.extend(['\\', c]),
                None => pattern.push_str("\\\\"),
            },
            '[' if in_class && chars.peek() != Some(&':') => pattern.push_str("\\["),
            '[' if !in_class => {
                in_class = true;
                pattern.push('[');
                if chars.peek() == Some(&'^') {
                    pattern.extend(chars.next());
                }
                // At the start of a class it is a literal.
                if chars.peek() == Some(&']') {
                    chars.next();
                    pattern.push_str("\\]");
                }
            }
            ']' if in_class => {
                // The end of [:alpha:] is not the end of the class.
                in_class = pattern.ends_with(':') && pattern.contains("[:");
                pattern.push(']');
            }
            '&' | '~' if in_class => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    match regex::Regex::new(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => Err(LeftOut::Pattern { pattern: perl.to_owned(), error: in_a_line(&error) }),
    }
}

/// Translates a REGEX line to a call of the filter `regex_replace`; none if the line is no REGEX.
///
/// # Errors
///
/// [`LeftOut`], if it cannot be translated.
pub fn replacement(line: &str, unsafe_allowed: bool) -> Result<Option<String>, LeftOut> {
    let line = line.trim();
    let Some(end) = line.rfind(')') else { return Ok(None) };
    let (both, modifiers) = line.split_at(end + 1);
    let Some(first) = bracketed(both) else { return Ok(None) };
    let second = both[first.len()..].trim_start();
    let inner = |text: &str| text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).map(str::to_owned);
    let (Some(search), Some(by)) = (inner(first), inner(second)) else { return Ok(None) };
    if search.is_empty() {
        return Ok(None);
    }
    if modifiers.contains('e') && unsafe_allowed {
        return Err(LeftOut::Code);
    }
    let pattern = pattern(&search, modifiers.contains('i'))?;
    let by = if unsafe_allowed { groups(&by) } else { by.replace('$', "$$") };
    let most = if modifiers.contains('g') { "" } else { ", 1" };
    Ok(Some(format!("regex_replace({}, {}{most})", quoted(&pattern), quoted(&by))))
}

/// The text up to the parenthesis that closes the first one.
fn bracketed(text: &str) -> Option<&str> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// Writes `$1` as `${1}`, so that the text behind it is not part of the name, and escapes other dollars.
fn groups(by: &str) -> String {
    let mut out = String::new();
    let mut rest = by;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            out.push_str(&format!("${{{}}}", &rest[..digits]));
        } else {
            out.push_str("$$");
        }
        rest = &rest[digits..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_perl() {
        for (perl, is) in [
            ("a\\Z", "a\\z"),
            ("\\<b\\>", "<b>"),
            ("[^[]x", "[^\\[]x"),
            ("[]a]", "[\\]a]"),
            ("[[:alpha:]x]+", "[[:alpha:]x]+"),
            ("[a&&b]", "[a\\&\\&b]"),
            ("\\d+\\.\\d", "\\d+\\.\\d"),
        ] {
            assert_eq!(pattern(perl, false).unwrap(), is, "{perl}");
        }
        assert!(matches!(pattern("(?!a)", false), Err(LeftOut::Pattern { .. })));
        assert!(matches!(pattern("(a)\\1", false), Err(LeftOut::Pattern { .. })));
    }

    #[test]
    fn replacements() {
        for (line, allowed, is) in [
            (
                "(Building alarm 3)(Computer room)",
                false,
                "regex_replace('Building alarm 3', 'Computer room', 1)",
            ),
            ("(roOm)(ROOM)ig", false, "regex_replace('(?i)roOm', 'ROOM')"),
            ("(\\(2\\))((Two))", false, "regex_replace('\\\\(2\\\\)', '(Two)', 1)"),
            ("(error (\\d+))(code $1)", false, "regex_replace('error (\\\\d+)', 'code $$1', 1)"),
            ("(error (\\d+))(code $1x)", true, "regex_replace('error (\\\\d+)', 'code ${1}x', 1)"),
            ("(a)(b)e", false, "regex_replace('a', 'b', 1)"),
        ] {
            assert_eq!(replacement(line, allowed).unwrap().unwrap(), is, "{line}");
        }
        assert_eq!(replacement("(a)(hex($1))e", true), Err(LeftOut::Code));
        assert_eq!(replacement("a b", false), Ok(None));
    }
}
