//! Reads parts of days: `when` of rules and sinks, `[[mute]]`, and the days of `[rule.expect]`.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::{Located, Section};
use crate::time::calendar::{Days, Hours};

/// The keys of a calendar.
pub const KEYS: [&str; 5] = ["days", "from", "to", "zone", "except"];

/// Reads `when`, if it is there.
pub fn when(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Hours> {
    let section = section.section("when", found)?;
    let hours = hours(&section, found);
    if KEYS[..3].iter().all(|key| section.get(key).is_none()) {
        found.push(section.error(
            "'when' does not say when",
            "write when = { days = \"mon-fri\", from = \"07:00\", to = \"19:00\" }",
        ));
    }
    section.finish(found);
    hours
}

/// Reads `days`, `from`, `to`, `zone` and `except`; none if one of them is wrong.
pub fn hours(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Hours> {
    let days = days(section, found);
    let zone = zone(section, found);
    let mut time = |key| match section.string(key, found) {
        None => Some(Time::midnight()),
        Some(text) => time_of_day(section, key, &text, found),
    };
    let (from, to) = (time("from"), time("to"));
    Some(Hours { days: days?, from: from?, to: to?, zone: zone? })
}

/// A time of day.
pub fn time_of_day(
    section: &Section<'_, '_>,
    key: &str,
    text: &Located<String>,
    found: &mut Diagnostics,
) -> Option<Time> {
    let time = text.value.parse::<Time>().ok();
    if time.is_none() {
        let hint = format!("write hours and minutes, such as {key} = \"06:00\"");
        wrong(section, text, "time of day", hint, found);
    }
    time
}

/// Reads `days` and `except`.
pub(super) fn days(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Days> {
    let text = section.string("days", found);
    let except = section.strings("except", found).unwrap_or_default();
    let mut days = match text.as_ref().map(|text| (text, Days::of_week(&text.value))) {
        None => Some(Days::default()),
        Some((_, Ok(days))) => Some(days),
        Some((text, Err(_))) => {
            let hint = "write days = \"mon-fri\" or \"mon,wed,sat-sun\"";
            wrong(section, text, "list of days", hint.to_owned(), found);
            None
        }
    };
    for text in except {
        match (text.value.parse::<Date>(), &mut days) {
            (Ok(date), Some(days)) => days.exclude(date),
            (Ok(_), None) => {}
            (Err(_), _) => {
                let hint = "write year, month and day, such as \"2026-12-25\"";
                wrong(section, &text, "date", hint.to_owned(), found);
            }
        }
    }
    days
}

/// Reads `zone`; without it, that of the machine.
pub fn zone(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<TimeZone> {
    let Some(text) = section.string("zone", found) else { return Some(TimeZone::system()) };
    let zone = TimeZone::get(&text.value).ok();
    if zone.is_none() {
        let hint = "write a name such as \"Europe/Vienna\"; is the package tzdata installed?";
        wrong(section, &text, "time zone that this machine knows", hint.to_owned(), found);
    }
    zone
}

fn wrong(
    section: &Section<'_, '_>,
    text: &Located<String>,
    what: &str,
    hint: String,
    found: &mut Diagnostics,
) {
    let message = format!("'{}' is no {what}", text.value);
    found.push(section.source().error(&text.span, message, Some(hint)));
}
