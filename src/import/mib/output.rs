//! The text that a rule sends.

use std::fmt::Write as _;

use crate::import::mib::comments::Comment;
use crate::import::mib::words::{capital, common_start, plain, split};
use crate::language::syntax;
use crate::mib::Object;

/// The longest sentence of a DESCRIPTION that is short enough for an output, in characters.
const LONGEST_SENTENCE: usize = 110;
/// The most values in an output.
const MOST_VALUES: usize = 8;

/// The output, and where it comes from.
pub fn output(
    words: &[String],
    objects: &[&Object],
    description: Option<&str>,
    comment: Option<&Comment>,
) -> (String, String) {
    if let Some(comment) = comment
        && let Some(summary) = comment.summary.as_deref().filter(|summary| !summary.is_empty())
    {
        return (summarised(summary, &comment.arguments), "the comment SUMMARY".to_owned());
    }
    let sentence = description.and_then(first_sentence);
    let (text, from) = match &sentence {
        Some(sentence) => (escaped(sentence), "the first sentence of DESCRIPTION"),
        None => (escaped(&capital(&plain(words))), "the words of the name"),
    };
    if objects.is_empty() {
        return (text, from.to_owned());
    }
    (format!("{text}: {}", values(objects)), format!("{from} and the objects"))
}

/// The values with their labels.
pub fn values(objects: &[&Object]) -> String {
    let names: Vec<Vec<String>> = objects.iter().map(|object| split(&object.name)).collect();
    let shared = match names.as_slice() {
        [_] => 0,
        several => common_start(several).min(several.iter().map(|n| n.len() - 1).min().unwrap_or(0)),
    };
    let one = |(object, name): (&&Object, &Vec<String>)| {
        format!("{} {{{{ v[{}] }}}}", plain(&name[shared..]), syntax::quoted(&object.qualified()))
    };
    objects.iter().zip(&names).take(MOST_VALUES).map(one).collect::<Vec<_>>().join(", ")
}

/// The first sentence of a DESCRIPTION, without what only says that this is a notification; none if it is long.
pub fn first_sentence(description: &str) -> Option<String> {
    let text = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").unwrap_or(text.len());
    let sentence = text[..end].trim_end_matches('.');
    let sentence = without_preamble(sentence);
    let count = sentence.chars().count();
    (count > 3 && count <= LONGEST_SENTENCE).then(|| capital(sentence))
}

/// `This notification is generated when a fan fails` as `a fan fails`.
fn without_preamble(sentence: &str) -> &str {
    const SUBJECTS: [&str; 7] =
        ["notification", "trap", "event", "alarm", "alert", "message", "notifications"];
    const TELLS: [&str; 14] = [
        " when ",
        " whenever ",
        " if ",
        " signifies that ",
        " indicates that ",
        " indicating that ",
        " to indicate that ",
        " to notify that ",
        " to inform that ",
        " indicates ",
        " signifies ",
        " upon ",
        " once ",
        " because ",
    ];
    let lower = sentence.to_ascii_lowercase();
    // The preamble is short and speaks of the notification itself.
    let tells = TELLS.iter().filter_map(|tell| lower.find(tell).map(|at| (at, at + tell.len())));
    let early = tells.filter(|(start, _)| *start < 75);
    // Of those at one place the longest.
    let Some((start, end)) = early.min_by_key(|(start, end)| (*start, std::cmp::Reverse(*end))) else {
        return sentence;
    };
    let preamble = &lower[..start];
    let speaks =
        SUBJECTS.iter().any(|subject| preamble.split_whitespace().take(6).any(|word| word == *subject))
            || ["generated", "sent", "issued", "emitted"].contains(&preamble);
    match sentence.get(end..).map(str::trim_start) {
        Some(rest) if speaks && !rest.is_empty() => {
            rest.strip_prefix("that ").or_else(|| rest.strip_prefix("than ")).unwrap_or(rest)
        }
        _ => sentence,
    }
}

/// Text that is no template.
fn escaped(text: &str) -> String {
    text.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
}

/// A `--#SUMMARY` with its arguments.
pub fn summarised(summary: &str, arguments: &[usize]) -> String {
    let mut places = arguments.iter();
    let mut text = String::new();
    let summary = escaped(summary);
    let mut rest = summary.as_str();
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let after = rest[at + 1..].chars().next();
        match (after, places.clone().next()) {
            (Some('s' | 'd' | 'x' | 'c' | 'u' | 'i'), Some(place)) => {
                places.next();
                let _ = write!(text, "{{{{ v[{}] }}}}", place + 1);
                rest = &rest[at + 2..];
            }
            _ => {
                text.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    text + rest
}
