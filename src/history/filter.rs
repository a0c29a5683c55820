//! Which rows somebody asks for. Pure.

use super::row::{Mark, Row};
use super::why::Why;
use super::words::Words;
use crate::outcome::result::State;
use crate::rules::matching::Glob;

/// Which rows somebody asks for: all that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Received at this time or later, in microseconds since 1970 UTC.
    pub from: Option<i64>,
    /// Received before this time.
    pub to: Option<i64>,
    /// With all of these words.
    pub words: Words,
    /// Of this host or component.
    pub host: Option<Glob>,
    /// Of this service or resource.
    pub service: Option<Glob>,
    /// Without a service.
    pub no_service: bool,
    /// Made by this rule.
    pub rule: Option<Glob>,
    /// Of a message of this address.
    pub source: Option<Glob>,
    /// With one of these states; any if none is given.
    pub states: Vec<State>,
    /// Only events, or only check results.
    pub is_event: Option<bool>,
    /// Only changes of state, and the first outcome of each host and service.
    pub changes: bool,
    /// Also messages that made no outcome.
    pub untold: bool,
    /// Only those that nobody was told of for one of these reasons; all if none is given.
    pub marks: Vec<Mark>,
}

impl Filter {
    /// Sets a part by its name, as parameters and options have it: `from`, `to` (RFC 3339, or seconds or milliseconds since 1970),
    /// `q`, `host`, `service`, `rule`, `source` (`*` and `?` are wildcards; case does not matter but in `rule`), `state` (with commas
    /// between), `kind`, `changes`, `untold`, `why` (reasons with commas between). Whether there is a part of this name.
    ///
    /// # Errors
    ///
    /// What is wrong with the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let glob = |fold| Some(Glob::new(value, fold));
        match name {
            "from" => self.from = Some(time(value)?),
            "to" => self.to = Some(time(value)?),
            "q" => self.words = Words::new(value)?,
            "host" => self.host = glob(true),
            "service" => self.service = glob(true),
            "rule" => self.rule = glob(false),
            "source" => self.source = glob(true),
            "state" => self.states = value.split(',').map(state).collect::<Result<_, _>>()?,
            "kind" => {
                self.is_event = match value {
                    "event" => Some(true),
                    "check_result" => Some(false),
                    _ => {
                        return Err(format!(
                            "kind '{}' is neither check_result nor event",
                            value.escape_debug()
                        ));
                    }
                }
            }
            "changes" => self.changes = flag(name, value)?,
            "untold" => self.untold = flag(name, value)?,
            "why" => self.marks = value.split(',').map(mark).collect::<Result<_, _>>()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether a row is one of those.
    pub fn matches(&self, row: &Row) -> bool {
        self.matches_but_words(row) && self.matches_words(row)
    }

    /// Whether a row has the words.
    pub(super) fn matches_words(&self, row: &Row) -> bool {
        self.words.match_texts(row.texts())
    }

    /// Whether everything but the words fits.
    pub(super) fn matches_but_words(&self, row: &Row) -> bool {
        let fits = |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        self.from.is_none_or(|from| row.time >= from)
            && self.to.is_none_or(|to| row.time < to)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && self.is_event.is_none_or(|is_event| row.is_event == is_event)
            && (!self.changes || row.is_change())
            && (self.untold || !self.marks.is_empty() || !matches!(row.mark, Mark::Untold(_)))
            && (self.marks.is_empty() || self.marks.contains(&row.mark))
            && fits(&self.host, &row.host)
            && !(self.no_service && row.service.is_some())
            && (self.service.is_none()
                || row.service.as_deref().is_some_and(|service| fits(&self.service, service)))
            && fits(&self.rule, &row.rule)
            && fits(&self.source, &row.source)
    }
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{name} is 1 or 0")),
    }
}

/// The mark of a word.
fn mark(word: &str) -> Result<Mark, String> {
    Mark::of_name(word.trim()).ok_or_else(|| {
        let all: Vec<&str> = Why::ALL.iter().map(|why| why.name()).chain(["muted"]).collect();
        format!("'{}' is no reason; there are {}", word.escape_debug(), all.join(", "))
    })
}

/// The state of a word.
fn state(word: &str) -> Result<State, String> {
    let known = State::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(word.trim()));
    known.ok_or_else(|| {
        let all: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("'{}' is no state; there are {}", word.escape_debug(), all.join(", "))
    })
}

/// A time in microseconds since 1970 UTC: RFC 3339, or seconds or milliseconds since 1970.
///
/// # Errors
///
/// What is wrong.
pub fn time(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "'{}' is no time; write 2026-11-26T12:00:00Z, or milliseconds since 1970",
            text.chars().take(64).collect::<String>().escape_debug()
        )
    };
    if let Ok(number) = text.parse::<i64>() {
        // A number of seconds has less than twelve digits for the next thousand years.
        let scale = if number.unsigned_abs() < 100_000_000_000 { 1_000_000 } else { 1000 };
        return number.checked_mul(scale).ok_or_else(wrong);
    }
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_set_by_name_and_mistakes_said() {
        let mut filter = Filter::default();
        for (name, value) in [
            ("from", "2026-11-26T12:00:00Z"),
            ("to", "1795694400"),
            ("q", "link down"),
            ("host", "CORE-*"),
            ("state", "critical,Down"),
            ("kind", "event"),
            ("changes", "1"),
        ] {
            assert_eq!(filter.set(name, value), Ok(true), "{name}");
        }
        assert_eq!((filter.from, filter.to), (Some(1_795_694_400_000_000), Some(1_795_694_400_000_000)));
        assert_eq!(time("1795694400000"), time("1795694400"));
        assert!(filter.host.as_ref().unwrap().matches("core-1"));
        assert_eq!(filter.states, [State::Critical, State::Down]);
        for (name, value) in [
            ("from", "yesterday"),
            ("to", "9223372036854775807"),
            ("state", "bad"),
            ("kind", "x"),
            ("changes", "?"),
        ] {
            assert!(filter.set(name, value).is_err(), "{name}");
        }
        assert_eq!(filter.set("hots", "x"), Ok(false));
    }
}
