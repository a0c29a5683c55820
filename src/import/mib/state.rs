//! The state that a rule gives a notification.

use crate::import::mib::comments::Comment;
use crate::import::mib::names::Name;
use crate::import::mib::vocabulary::{self, TEXT_SEVERITIES};
use crate::import::mib::words::split;
use crate::language::syntax;
use crate::mib::{Base, Object};
use crate::outcome::result::State;

/// The state of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The word or expression for `state`.
    pub expression: String,
    /// The state that a test with example values expects, by the value that is given to the object.
    pub expected: State,
    /// The object that decides, by its qualified name, and the value that a test gives it.
    pub read: Option<(String, String)>,
    /// The reason.
    pub because: String,
    /// Whether nothing says the state.
    pub is_guess: bool,
}

/// What is known about a notification.
pub struct Known<'k, 'm> {
    /// Its objects, each once.
    pub objects: &'k [&'m Object],
    /// What its name says.
    pub name: &'k Name,
    /// Whether another notification reports the opposite.
    pub is_pair: bool,
    /// Its comments.
    pub comment: Option<&'k Comment>,
}

/// The state: read from a severity that the notification carries; else by its name if a counterpart has the opposite
/// state; else from a status that it carries; else by its name alone; else by its comments.
pub fn choose(known: &Known<'_, '_>) -> Choice {
    let ends = known.is_pair && known.name.state == Some(State::Ok);
    if let Some(severity) = severity(known.objects, ends) {
        return severity;
    }
    if known.is_pair
        && let Some(choice) = by_name(known)
    {
        return choice;
    }
    if let Some(status) = by_status(known.objects) {
        return status;
    }
    by_name(known).or_else(|| by_comment(known.comment)).unwrap_or_else(|| Choice {
        is_guess: true,
        ..fixed(State::Warning, "nothing in the module says; warning, so that somebody looks".to_owned())
    })
}

fn fixed(state: State, because: String) -> Choice {
    Choice { expression: state.as_str().to_owned(), expected: state, read: None, because, is_guess: false }
}

fn words(object: &Object) -> Vec<String> {
    split(&object.name).iter().map(|word| word.to_lowercase()).collect()
}

/// Whether an object is about the past or about what somebody wants.
fn is_other(words: &[String]) -> bool {
    const OTHER: [&str; 18] = [
        "admin",
        "prev",
        "previous",
        "old",
        "last",
        "config",
        "cfg",
        "mode",
        "type",
        "requested",
        "target",
        "desired",
        "from",
        "before",
        "enable",
        "enabled",
        "control",
        "former",
    ];
    words.iter().any(|word| OTHER.contains(&word.as_str()))
}

/// An expression for the names of an enumeration, and the first name, which an example has.
fn by_names(
    object: &Object,
    known: &[(&str, Option<State>)],
    rest: State,
    because: String,
) -> Option<Choice> {
    let list = |wanted: State| -> Vec<String> {
        let of = |state: Option<State>| state.unwrap_or(rest) == wanted;
        known.iter().filter(|(_, state)| of(*state)).map(|(name, _)| syntax::quoted(name)).collect()
    };
    let value = format!("v[{}]", syntax::quoted(&object.qualified()));
    let mut parts = Vec::new();
    for state in [State::Ok, State::Warning, State::Critical] {
        let names = list(state);
        if !names.is_empty() {
            parts.push(format!("'{}' if {value} in [{}] else ", state.as_str(), names.join(", ")));
        }
    }
    let (first, state) = known.first()?;
    Some(Choice {
        expression: format!("{}'unknown'", parts.concat()),
        expected: state.unwrap_or(rest),
        read: Some((object.qualified(), (*first).to_owned())),
        because,
        is_guess: false,
    })
}

/// By a severity among objects; `ends` for the end of a trouble.
pub fn severity(objects: &[&Object], ends: bool) -> Option<Choice> {
    let mut candidates: Vec<(usize, &Object)> = Vec::new();
    for object in objects {
        let words = words(object);
        let has = |word: &str| words.iter().any(|w| w == word);
        let joined = words.concat();
        let rank = match () {
            () if is_other(&words) => 3,
            () if joined.contains("perceivedseverity") => 0,
            () if joined.contains("severity") => 1,
            () if has("level") || has("priority") || has("criticality") => 2,
            () => continue,
        };
        if rank == 2 || joined.contains("severity") {
            candidates.push((rank, object));
        }
    }
    candidates.sort_by_key(|(rank, _)| *rank);
    candidates.into_iter().find_map(|(rank, object)| of_severity(object, rank == 2, ends))
}

fn of_severity(object: &Object, is_level: bool, ends: bool) -> Option<Choice> {
    let names: Vec<&str> = object.syntax.enums.iter().map(|(_, name)| &**name).collect();
    if names.is_empty() {
        let is_text = object.syntax.base == Base::Octets && object.syntax.bits.is_empty() && !is_level;
        return is_text.then(|| of_text(object));
    }
    let graded = vocabulary::is_graded(&names);
    let known = vocabulary::known_names(&names, |word| vocabulary::severity(word, graded));
    let has = |wanted: State| known.iter().any(|(_, state)| *state == Some(wanted));
    let is_severity = has(State::Critical) && (has(State::Ok) || has(State::Warning));
    if !is_severity && (is_level || known.iter().all(|(_, state)| state.is_none())) {
        return None;
    }
    if ends && !has(State::Ok) {
        return Some(fixed(
            State::Ok,
            format!("the notification ends a trouble, and {} has no value for that", object.qualified()),
        ));
    }
    by_names(object, &known, State::Unknown, format!("read from {}", object.qualified()))
}

fn of_text(object: &Object) -> Choice {
    let value = format!("v[{}]|lower", syntax::quoted(&object.qualified()));
    let one = |(state, words): &(State, &[&str])| {
        let words: Vec<String> = words.iter().map(|word| syntax::quoted(word)).collect();
        format!("'{}' if {value} in [{}] else ", state.as_str(), words.join(", "))
    };
    Choice {
        expression: format!("{}'unknown'", TEXT_SEVERITIES.iter().map(one).collect::<String>()),
        expected: State::Critical,
        read: Some((object.qualified(), "critical".to_owned())),
        because: format!("read from the text of {}", object.qualified()),
        is_guess: false,
    }
}

/// By an enumerated status or a truth among objects.
pub fn by_status(objects: &[&Object]) -> Option<Choice> {
    let mut candidates: Vec<(bool, &Object)> = Vec::new();
    for object in objects.iter().filter(|object| object.syntax.enums.len() >= 2) {
        let words = words(object);
        if is_other(&words) {
            continue;
        }
        let by_name = ["status", "state", "condition", "health", "oper"];
        candidates.push((!words.iter().any(|word| by_name.contains(&word.as_str())), object));
    }
    candidates.sort_by_key(|(unnamed, _)| *unnamed);
    candidates.into_iter().find_map(|(_, object)| of_truth(object).or_else(|| of_status(object)))
}

fn of_status(object: &Object) -> Option<Choice> {
    let names: Vec<&str> = object.syntax.enums.iter().map(|(_, name)| &**name).collect();
    let known = vocabulary::known_names(&names, vocabulary::status);
    let has = |wanted: State| known.iter().any(|(_, state)| *state == Some(wanted));
    if !has(State::Ok) || !(has(State::Critical) || has(State::Warning)) {
        return None;
    }
    by_names(object, &known, State::Warning, format!("read from {}", object.qualified()))
}

/// A truth whose name says what is true: `rttMonCtrlOperTimeoutOccurred`, `cswRingRedundant`.
fn of_truth(object: &Object) -> Option<Choice> {
    if &*object.syntax.convention != "TruthValue" {
        return None;
    }
    let (names, _) = super::names::read(&[&*object.name], &[]);
    let (if_true, if_false) = match names.first()?.state? {
        State::Ok => (State::Ok, State::Critical),
        bad => (bad, State::Ok),
    };
    let known = [("true", Some(if_true)), ("false", Some(if_false))];
    by_names(object, &known, State::Unknown, format!("read from {}", object.qualified()))
}

/// The state that the name says; how bad it is, the comments may say better.
fn by_name(known: &Known<'_, '_>) -> Option<Choice> {
    let state = known.name.state?;
    let because = format!("by the word {} in the name", known.name.because);
    let severity = known.comment.and_then(|comment| comment.severity.as_deref());
    match severity.and_then(severity_word).filter(|said| *said != state && *said != State::Ok) {
        Some(said) if state != State::Ok => Some(fixed(
            said,
            format!("{because}, its degree by the comment SEVERITY {}", severity.unwrap_or_default()),
        )),
        _ => Some(fixed(state, because)),
    }
}

fn severity_word(word: &str) -> Option<State> {
    let bare: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    vocabulary::severity(&bare.to_lowercase(), false)
}

fn by_comment(comment: Option<&Comment>) -> Option<Choice> {
    let comment = comment?;
    if let Some(word) = comment.severity.as_deref()
        && let Some(state) = severity_word(word)
    {
        return Some(fixed(state, format!("by the comment SEVERITY {word}")));
    }
    let unknown = match &comment.severity {
        Some(word) if !word.is_empty() => format!(" (SEVERITY {word} is no known severity)"),
        _ => String::new(),
    };
    let word = comment.state.as_deref()?;
    let state = match word.to_uppercase().as_str() {
        "OPERATIONAL" => State::Ok,
        "DEGRADED" => State::Warning,
        "NONOPERATIONAL" => State::Critical,
        _ => return None,
    };
    // The agent works, which says nothing about what it reports, unless no severity was given.
    if state == State::Ok && !unknown.is_empty() {
        let because = format!("nothing in the module says; warning, so that somebody looks{unknown}");
        return Some(Choice { is_guess: true, ..fixed(State::Warning, because) });
    }
    Some(fixed(state, format!("by the comment STATE {word}{unknown}")))
}
