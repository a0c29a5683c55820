//! What is meant by what does not parse: the parser says where it is at a loss, which is the end where something was left open.

use std::ops::Range;

/// A mistake: where, what, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The bytes that it is about.
    pub within: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: String,
}

/// Operators of other languages, and what to write in their place. Of two that begin alike the longer one comes first.
const OPERATORS: [(&str, &str); 13] = [
    ("===", "write == to compare"),
    ("!==", "write != to compare"),
    ("<>", "write !="),
    ("<<", "write < to compare; there are no operations on bits"),
    (">>", "write > to compare; there are no operations on bits"),
    ("=<", "write <="),
    ("=>", "write >="),
    ("=~", "write: x is matching('...')"),
    ("!~", "write: x is not matching('...')"),
    ("&&", "write: and"),
    ("||", "write: or"),
    ("=", "write == to compare"),
    ("!", "write: not x"),
];

/// Operators that there are, which are looked over as a whole.
const KNOWN: [&str; 8] = ["==", "!=", "<=", ">=", "//", "**", "{{", "}}"];

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text with `{{ }}` in it.
    Template,
    /// A condition, or another expression alone.
    Expression,
}

/// What is wrong in a source, of which the parser says `message` at a place.
pub fn mistake(form: Form, source: &str, at: Range<usize>, message: &str) -> Mistake {
    let whole = 0..source.len();
    let begin = floor(source, at.start);
    if form == Form::Expression {
        if let Some(mistake) = in_braces(source) {
            return mistake;
        }
        return in_code(source, whole, begin).unwrap_or_else(|| plain(form, source, at, message));
    }
    let all = tags(source);
    if message.contains("end of input") && all.iter().all(|tag| tag.is_closed) {
        let open =
            all.into_iter().rev().find(|tag| tag.open == "{%" && !is_inner(&source[tag.within.clone()]));
        let within = open.map_or(at, |tag| tag.within);
        let message = "a statement has no end".to_owned();
        let hint = "write {% if x %}...{% endif %}, {% for a in b %}...{% endfor %}".to_owned();
        return Mistake { within, message, hint };
    }
    let tag = all.iter().find(|tag| begin < tag.within.end || !tag.is_closed);
    if let Some(mistake) = tag.and_then(|tag| in_tag(source, tag, begin)) {
        return mistake;
    }
    plain(form, source, at, message)
}

/// Whether a statement stands within another one, or ends it.
fn is_inner(statement: &str) -> bool {
    let word = statement.trim_start_matches(['{', '%', '-', '+', ' ']);
    ["el", "end"].iter().any(|begin| word.starts_with(begin))
}

/// Something between `{{` and `}}`, `{%` and `%}`, `{#` and `#}`.
struct Tag {
    /// With its brackets.
    within: Range<usize>,
    open: &'static str,
    close: &'static str,
    is_closed: bool,
}

/// All of a template, in their order. One that has no end goes to the next one, or to the end.
fn tags(source: &str) -> Vec<Tag> {
    let mut all = Vec::new();
    let mut from = 0;
    while let Some((begin, (open, close))) = next_tag(source, from) {
        let inner = begin + open.len();
        let end = if open == "{#" {
            source[inner..].find(close).map(|at| inner + at)
        } else {
            code_end(source, inner, close)
        };
        let (end, is_closed) = match end {
            Some(end) => (end + close.len(), true),
            None => (next_tag(source, inner).map_or(source.len(), |(next, _)| next), false),
        };
        all.push(Tag { within: begin..end, open, close, is_closed });
        from = end;
    }
    all
}

fn next_tag(source: &str, from: usize) -> Option<(usize, (&'static str, &'static str))> {
    let each = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")].into_iter();
    each.filter_map(|tag| Some((from + source[from..].find(tag.0)?, tag))).min()
}

/// Where code ends, outside of texts in quotes and before another tag.
fn code_end(source: &str, from: usize, close: &str) -> Option<usize> {
    let mut quote = None;
    let mut skip = false;
    let mut depth = 0_usize;
    for (at, c) in source[from..].char_indices() {
        let at = from + at;
        match quote {
            _ if skip => skip = false,
            Some(_) if c == '\\' => skip = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if depth == 0 && source[at..].starts_with(close) => return Some(at),
            None if source[at..].starts_with("{{") || source[at..].starts_with("{%") => return None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == '{' => depth += 1,
            None if c == '}' => depth = depth.saturating_sub(1),
            None => {}
        }
    }
    None
}

fn in_tag(source: &str, tag: &Tag, at: usize) -> Option<Mistake> {
    let Tag { within, open, close, is_closed } = tag;
    let inner = within.start + open.len()..within.end - if *is_closed { close.len() } else { 0 };
    let mistake = |within: Range<usize>, message: &str, hint: String| {
        Some(Mistake { within, message: message.to_owned(), hint })
    };
    if !is_closed {
        if let Some(open) = unclosed_text(source, inner.clone()) {
            return mistake(open..inner.end, TEXT.0, TEXT.1.to_owned());
        }
        let half = source[inner.clone()].find(&close[1..]);
        return match half {
            Some(at) => mistake(
                inner.start + at..inner.start + at + 1,
                &format!("a '{}' is missing here: '{open}' is closed by '{close}'", &close[..1]),
                format!("write {open} ... {close}"),
            ),
            None => mistake(
                within.start..inner.start,
                &format!("'{open}' is not closed"),
                format!("add {close} where it ends: {open} ... {close}"),
            ),
        };
    }
    if source[inner.clone()].trim_matches(['-', '+', ' ']).is_empty() {
        return mistake(
            within.clone(),
            &format!("there is nothing between {open} and {close}"),
            format!("write {open} host {close}, or remove both"),
        );
    }
    in_code(source, inner, at)
}

const TEXT: (&str, &str) = ("a text in quotes is not closed", "add the same quote where it ends: 'text'");

/// An expression alone that is written as in a template.
fn in_braces(source: &str) -> Option<Mistake> {
    let plain = outside_texts(source, 0..source.len());
    let is = |(at, _): &(usize, char), sign: &str| source[*at..].starts_with(sign);
    let open = plain.iter().find(|one| is(one, "{{") || is(one, "{%"))?.0;
    let message = "this is an expression, not a template: {{ }} and {% %} are not written in it".to_owned();
    let inner = source.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
    let hint = match inner.filter(|inner| !inner.is_empty() && !inner.contains(['{', '}'])) {
        Some(inner) => format!("leave {{{{ }}}} out: {inner}"),
        None => "leave {{ }} out, join parts with ~, and choose with: 'a' if x == 1 else 'b'".to_owned(),
    };
    Some(Mistake { within: open..source.len(), message, hint })
}

/// A mistake in an expression that stands in a part of the source.
fn in_code(source: &str, part: Range<usize>, at: usize) -> Option<Mistake> {
    let mistake = |within: Range<usize>, message: &str, hint: &str| {
        Some(Mistake { within, message: message.to_owned(), hint: hint.to_owned() })
    };
    let code = &source[part.clone()];
    if code.trim().is_empty() {
        return mistake(
            part,
            "the expression is empty",
            "write a condition such as ifIndex == 3, or leave the key out",
        );
    }
    if let Some(open) = unclosed_text(source, part.clone()) {
        return mistake(open..part.end, TEXT.0, TEXT.1);
    }
    let plain = outside_texts(source, part.clone());
    if let Some((within, operator, hint)) = operator(&plain, source, at) {
        let message = format!("there is no operator '{operator}'");
        return mistake(within, &message, hint);
    }
    let mut open: Vec<(usize, char)> = Vec::new();
    for (at, c) in plain {
        match c {
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => {
                let opening = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                match open.pop() {
                    Some((_, open)) if open == opening => {}
                    Some((at, c)) => return Some(unclosed(at, c)),
                    None => {
                        let message = format!("the '{c}' closes nothing");
                        let hint = format!("remove it, or add {opening} where it begins");
                        return mistake(at..at + 1, &message, &hint);
                    }
                }
            }
            _ => {}
        }
    }
    if let Some((at, c)) = open.pop() {
        return Some(unclosed(at, c));
    }
    let rest = source[at.min(part.end)..part.end].trim();
    if rest.is_empty() {
        return mistake(
            at..at,
            "something is missing at the end",
            "write a value there, such as a name, a number or 'text'",
        );
    }
    None
}

fn unclosed(at: usize, c: char) -> Mistake {
    let close = match c {
        '(' => ')',
        '[' => ']',
        _ => '}',
    };
    let (message, hint) = (format!("the '{c}' is not closed"), format!("add {close} where it ends"));
    Mistake { within: at..at + 1, message, hint }
}

/// An operator of another language, near the place where the parser is at a loss.
fn operator<'s>(
    plain: &[(usize, char)],
    source: &'s str,
    at: usize,
) -> Option<(Range<usize>, &'s str, &'static str)> {
    let mut skip = 0;
    for (begin, c) in plain {
        if *begin < skip || !"=!<>&|".contains(*c) {
            continue;
        }
        let rest = &source[*begin..];
        let other = OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator));
        let known = KNOWN.iter().find(|known| rest.starts_with(**known));
        match (other, known) {
            (Some((operator, hint)), known) if known.is_none_or(|known| known.len() < operator.len()) => {
                let end = begin + operator.len();
                // The `=` of a named argument is right; the parser is not at a loss there.
                if (*begin..=end).contains(&at) {
                    return Some((*begin..end, &source[*begin..end], hint));
                }
                skip = end;
            }
            (_, Some(known)) => skip = begin + known.len(),
            _ => {}
        }
    }
    None
}

/// The characters of a part that are in no text in quotes.
fn outside_texts(source: &str, part: Range<usize>) -> Vec<(usize, char)> {
    let mut quote = None;
    let mut skip = false;
    let outside = |(at, c): (usize, char)| {
        match quote {
            _ if skip => skip = false,
            Some(_) if c == '\\' => skip = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => return Some((part.start + at, c)),
        }
        None
    };
    source[part.clone()].char_indices().filter_map(outside).collect()
}

/// Where a text in quotes begins that has no end.
fn unclosed_text(source: &str, part: Range<usize>) -> Option<usize> {
    let mut open: Option<(usize, char)> = None;
    let mut skip = false;
    for (at, c) in source[part.clone()].char_indices() {
        match open {
            _ if skip => skip = false,
            Some(_) if c == '\\' => skip = true,
            Some((_, quote)) if c == quote => open = None,
            None if matches!(c, '"' | '\'') => open = Some((part.start + at, c)),
            _ => {}
        }
    }
    open.map(|(at, _)| at)
}

/// What the parser says, with what can be written at all.
fn plain(form: Form, source: &str, at: Range<usize>, message: &str) -> Mistake {
    let here = &source[floor(source, at.start)..];
    let (message, hint) = if message.starts_with("unexpected input after expression") {
        ("there is more behind the expression", "join two values with ~, two conditions with and, or")
    } else if message.starts_with("unexpected end of") {
        ("something is missing behind this", "write a value there, such as a name, a number or 'text'")
    } else if message.starts_with("unknown statement") {
        (message, "there are if, for, set, with and filter: {% if x == 1 %}...{% endif %}")
    } else if message.starts_with("unexpected character") && here.starts_with('`') {
        ("unexpected character '`'", "write texts in quotes: 'text'")
    } else if form == Form::Template {
        (message, "write {{ name }}, {{ name|filter }} or {% if x == 1 %}...{% endif %}")
    } else {
        (message, "write a condition such as ifIndex == 3 and ifOperStatus in ['up', 'down']")
    };
    Mistake { within: at, message: message.to_owned(), hint: hint.to_owned() }
}

fn floor(source: &str, at: usize) -> usize {
    source.floor_char_boundary(at.min(source.len()))
}
