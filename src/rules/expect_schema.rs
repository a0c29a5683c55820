//! Reads `[rule.expect]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::rules::hours;
use crate::rules::plan::When;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::{Located, Section};
use crate::settings::values::duration;
use crate::time::calendar::Daily;

/// The shortest and the longest duration.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(366 * 24);
/// The most keys that are known before any message: half of what a rule may keep, so that there is room for each to be late.
const MOST_KEYS: usize = 50_000;

/// `[rule.expect]`. Durations are microseconds.
#[derive(Debug)]
pub struct ExpectText {
    /// `every`, or `by` with `days`, `except` and `zone`
    pub when: When,
    /// `grace`
    pub grace: i64,
    /// `key`
    pub key: Option<Located<String>>,
    /// `keys`
    pub keys: Vec<String>,
    /// `learn`
    pub learn: bool,
    /// `forget`
    pub forget: Option<i64>,
    /// `host`
    pub host: Option<Located<String>>,
    /// `service`
    pub service: Option<Located<String>>,
    /// `state`
    pub state: Option<Located<String>>,
    /// `output`
    pub output: Option<Located<String>>,
}

/// A duration in microseconds.
pub fn time(section: &Section<'_, '_>, key: &'static str, found: &mut Diagnostics) -> Option<i64> {
    let time = duration(section, key, TIMES, found)?;
    Some(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// Reads it; none if it does not say when.
pub fn expect(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<ExpectText> {
    let every = time(&section, "every", found);
    let by = section.string("by", found);
    let grace = time(&section, "grace", found).unwrap_or(0);
    let keys = section.strings("keys", found).unwrap_or_default();
    let learn = section.boolean("learn", found).map(|learn| learn.value);
    let text = |key: &'static str, found: &mut Diagnostics| section.string(key, found);
    let (key, host) = (text("key", found), text("host", found));
    let (service, state, output) = (text("service", found), text("state", found), text("output", found));
    let forget = time(&section, "forget", found);
    if keys.len() > MOST_KEYS {
        let message = format!("'keys' has more than {MOST_KEYS} keys");
        found.push(section.source().error(&section.key_span("keys"), message, None));
    }
    let calendar = ["days", "zone", "except"].into_iter().find(|key| section.get(key).is_some());
    let (has_every, has_by) = (section.get("every").is_some(), section.get("by").is_some());
    if has_every == has_by {
        found.push(section.error(
            "[rule.expect] needs either 'every' or 'by'",
            "write how often messages come, such as every = \"5m\", or a time of day, such as by = \"06:00\"",
        ));
    } else if let (true, Some(key)) = (has_every, calendar) {
        let message = format!("'{key}' belongs to 'by'");
        let hint = Some("remove it, or replace 'every' by a time of day, such as by = \"06:00\"".to_owned());
        found.push(section.source().error(&section.key_span(key), message, hint));
    }
    let when = match by {
        Some(by) => daily(&section, &by, found).map(When::By),
        None => every.map(When::Every),
    };
    let learn = learn.unwrap_or(keys.is_empty());
    let keys = keys.into_iter().map(|key| key.value).collect();
    section.finish(found);
    Some(ExpectText { when: when?, grace, key, keys, learn, forget, host, service, state, output })
}

fn daily(section: &Section<'_, '_>, by: &Located<String>, found: &mut Diagnostics) -> Option<Daily> {
    let time = hours::time_of_day(section, "by", by, found);
    let (days, zone) = (hours::days(section, found), hours::zone(section, found));
    Some(Daily { time: time?, days: days?, zone: zone? })
}
