//! `[[reports]]`: reports that are made at certain times. Pure: time is an argument.

use std::path::PathBuf;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::figures::Report;
use super::{csv, html, json};
use crate::rules::hours;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::{Located, Section};

/// What stands for the first day of the time in the name of a file.
const DATE: &str = "{{ date }}";
/// How many days are looked at for one on which a report is made: more than a month.
const DAYS: usize = 40;

/// How often a report is made, which is also the time that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// Each day, on the day before.
    Day,
    /// On Mondays, on the week before.
    Week,
    /// On the first of a month, on the month before.
    Month,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// A table.
    Csv,
    /// A document.
    Json,
}

impl Form {
    /// The end of the names of its files.
    pub fn end(self) -> &'static str {
        match self {
            Form::Html => "html",
            Form::Csv => "csv",
            Form::Json => "json",
        }
    }

    /// Its media type.
    pub fn kind(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Csv => "text/csv; charset=utf-8",
            Form::Json => "application/json",
        }
    }

    /// The report in this form.
    pub fn write(self, report: &Report) -> String {
        match self {
            Form::Html => html::page(report),
            Form::Csv => csv::text(report),
            Form::Json => json::text(report),
        }
    }
}

/// A report that is made at certain times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// At which time of day.
    pub at: Time,
    /// In which time zone.
    pub zone: TimeZone,
    /// As what.
    pub form: Form,
    /// The folder of the files; none if it is only sent.
    pub folder: Option<PathBuf>,
    /// The name of a file, with `{{ date }}` for the first day of its time.
    pub name: String,
    /// By which sink it is sent.
    pub mail: Option<Mail>,
}

/// How a report is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The name of an email sink.
    pub sink: String,
    /// The recipients; empty for those of the sink.
    pub to: Vec<String>,
}

/// What the reader must know of sinks.
#[derive(Clone, Copy)]
pub struct Mailers<'m> {
    /// Whether a sink of this name sends mail; none if there is no such sink.
    pub is_mailer: &'m dyn Fn(&str) -> Option<bool>,
    /// Whether a text is an address of mail.
    pub is_address: fn(&str) -> bool,
}

impl std::fmt::Debug for Mailers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailers")
    }
}

/// A time at which a report is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When, in microseconds since 1970 UTC.
    pub at: i64,
    /// From and before which time it is.
    pub range: (i64, i64),
    /// The first day of that.
    pub date: Date,
}

impl Schedule {
    /// By what the time of its last report is remembered.
    pub fn key(&self) -> String {
        match (&self.folder, &self.mail) {
            (Some(folder), None) => format!("{:?} {}", self.every, folder.join(&self.name).display()),
            (folder, mail) => {
                let path = folder.as_ref().map(|folder| folder.join(&self.name).display().to_string());
                let mail = mail.as_ref().map(|mail| format!("{} {}", mail.sink, mail.to.join(",")));
                format!("{:?} {} by {}", self.every, path.unwrap_or_default(), mail.unwrap_or_default())
            }
        }
    }

    /// The name of the file of a time.
    pub fn file(&self, due: &Due) -> String {
        self.name.replace(DATE, &due.date.to_string())
    }

    /// The last time at which a report was to be made, at a time or before it.
    pub fn last(&self, now: i64) -> Option<Due> {
        let mut date = self.today(now)?.tomorrow().ok()?;
        for _ in 0..DAYS {
            if let Some(due) = self.on(date).filter(|due| due.at <= now) {
                return Some(due);
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    /// The first time at which a report is to be made after a time.
    pub fn next(&self, now: i64) -> Option<Due> {
        let mut date = self.today(now)?.yesterday().ok()?;
        for _ in 0..DAYS {
            if let Some(due) = self.on(date).filter(|due| due.at > now) {
                return Some(due);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn today(&self, now: i64) -> Option<Date> {
        Some(Timestamp::from_microsecond(now).ok()?.to_zoned(self.zone.clone()).date())
    }

    /// The report of a day; none if none is made on it.
    fn on(&self, day: Date) -> Option<Due> {
        let first = match self.every {
            Every::Day => day.yesterday().ok()?,
            Every::Week if day.weekday() == Weekday::Monday => day.checked_sub(7.days()).ok()?,
            Every::Month if day.day() == 1 => day.checked_sub(1.month()).ok()?,
            Every::Week | Every::Month => return None,
        };
        let at = |date: Date, time: Time| {
            let at = self.zone.to_ambiguous_timestamp(date.to_datetime(time)).later().ok()?;
            Some(at.as_microsecond())
        };
        // A day begins with its first moment, also where clocks are put back over midnight.
        let begins = |date: Date| {
            let at =
                self.zone.to_ambiguous_timestamp(date.to_datetime(Time::midnight())).compatible().ok()?;
            Some(at.as_microsecond())
        };
        Some(Due { at: at(day, self.at)?, range: (begins(first)?, begins(day)?), date: first })
    }
}

/// Reads all of them.
pub fn read(
    root: &Section<'_, '_>,
    has_history: bool,
    resolve: &dyn Fn(&str) -> PathBuf,
    mailers: Mailers<'_>,
    found: &mut Diagnostics,
) -> Vec<Schedule> {
    let sections = root.sections("reports", found);
    if let Some(first) = sections.first().filter(|_| !has_history) {
        found.push(first.error("[[reports]] without a history", "add [history]: reports are made of it"));
    }
    let mut all: Vec<Schedule> = Vec::new();
    for section in sections {
        let (place, read) = (
            section.error("two reports would be the same", "give each its 'path', or its 'to'"),
            one(section, resolve, mailers, found),
        );
        let Some(schedule) = read else { continue };
        let is_same = |other: &Schedule| match (&other.folder, &schedule.folder) {
            (Some(one), Some(two)) => (one, &other.name) == (two, &schedule.name),
            _ => other.key() == schedule.key(),
        };
        if all.iter().any(is_same) {
            found.push(place);
        }
        all.push(schedule);
    }
    all
}

fn one(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    mailers: Mailers<'_>,
    found: &mut Diagnostics,
) -> Option<Schedule> {
    let every = match section.string("every", found) {
        Some(text) => match text.value.as_str() {
            "day" => Some(Every::Day),
            "week" => Some(Every::Week),
            "month" => Some(Every::Month),
            _ => wrong(&section, &text, "'every' must be day, week or month", "write every = \"day\"", found),
        },
        None => {
            found.push(
                section.error("[[reports]] without 'every'", "add every = \"day\", \"week\" or \"month\""),
            );
            None
        }
    };
    let at = section.string("at", found);
    let at = at
        .map_or(Some(jiff::civil::time(6, 0, 0, 0)), |text| hours::time_of_day(&section, "at", &text, found));
    let zone = hours::zone(&section, found);
    let form = section.string("format", found).map_or(Some(Form::Html), |text| match text.value.as_str() {
        "html" => Some(Form::Html),
        "csv" => Some(Form::Csv),
        "json" => Some(Form::Json),
        _ => wrong(&section, &text, "'format' must be html, csv or json", "write format = \"html\"", found),
    });
    let mail = mail(&section, mailers, found);
    let path = match section.string("path", found) {
        Some(text) => file(&section, &text, found).map(|(folder, name)| (Some(resolve(&folder)), name)),
        None if section.get("sink").is_some() => {
            Some((None, format!("trapline-{DATE}.{}", form.map_or("html", Form::end))))
        }
        None => {
            let hint =
                "add path = \"reports/{{ date }}.html\", or the name of an email sink: sink = \"mail\"";
            found.push(section.error("[[reports]] without 'path' or 'sink'", hint));
            None
        }
    };
    section.finish(found);
    let (folder, name) = path?;
    Some(Schedule { every: every?, at: at?, zone: zone?, form: form?, folder, name, mail: mail? })
}

/// How a report is sent, if it is; none if that is wrong.
fn mail(section: &Section<'_, '_>, mailers: Mailers<'_>, found: &mut Diagnostics) -> Option<Option<Mail>> {
    let (sink, to) = (section.string("sink", found), section.strings("to", found));
    let Some(sink) = sink else {
        if to.is_some() {
            found
                .push(section.error("'to' without 'sink'", "add the name of an email sink: sink = \"mail\""));
        }
        return Some(None);
    };
    let why = match (mailers.is_mailer)(&sink.value) {
        Some(true) => None,
        Some(false) => Some(format!("the sink '{}' does not send mail", sink.value)),
        None => Some(format!("there is no sink '{}'", sink.value)),
    };
    if let Some(why) = why {
        let hint = "name one of [[sinks]] with type = \"email\"";
        return wrong(section, &sink, &why, hint, found);
    }
    let to = to.unwrap_or_default();
    let is_wrong = to.iter().find(|to| !(mailers.is_address)(&to.value));
    if let Some(text) = is_wrong {
        let hint = "write it as in noc@example.org, without a name and angle brackets";
        return wrong(section, text, &format!("'{}' is no address of mail", text.value), hint, found);
    }
    Some(Some(Mail { sink: sink.value.clone(), to: to.into_iter().map(|to| to.value).collect() }))
}

/// The folder and the name of a path.
fn file(
    section: &Section<'_, '_>,
    text: &Located<String>,
    found: &mut Diagnostics,
) -> Option<(String, String)> {
    let (folder, name) = text.value.rsplit_once('/').unwrap_or((".", &text.value));
    let folder = if folder.is_empty() { "/" } else { folder };
    let hint = "write a path such as \"reports/{{ date }}.html\"";
    let rest = name.replace(DATE, "");
    let is_plain = |text: &str| !text.contains(['{', '}']) && !text.chars().any(char::is_control);
    if rest.is_empty() && !name.contains(DATE) || matches!(name, "." | "..") {
        return wrong(section, text, "'path' does not name a file", hint, found);
    }
    if !is_plain(folder) || !is_plain(&rest) || name.len() > 200 {
        let message = "'path' can only have {{ date }}, in the name of the file, beside plain text";
        return wrong(section, text, message, hint, found);
    }
    Some((folder.to_owned(), name.to_owned()))
}

fn wrong<T>(
    section: &Section<'_, '_>,
    text: &Located<String>,
    message: &str,
    hint: &str,
    found: &mut Diagnostics,
) -> Option<T> {
    found.push(section.source().error(&text.span, message, Some(hint.to_owned())));
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    fn schedule(every: Every, at: &str, zone: &str) -> Schedule {
        Schedule {
            every,
            at: at.parse().unwrap(),
            zone: TimeZone::get(zone).unwrap(),
            form: Form::Html,
            folder: Some("/r".into()),
            name: "{{ date }}.html".to_owned(),
            mail: None,
        }
    }

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn the_time_of_a_report_is_the_day_week_or_month_before() {
        let now = micros("2026-11-26T12:00:00Z");
        for (every, at, from, to, date) in [
            (
                Every::Day,
                "2026-11-26T05:00:00Z",
                "2026-11-24T23:00:00Z",
                "2026-11-25T23:00:00Z",
                "2026-11-25",
            ),
            (
                Every::Week,
                "2026-11-23T05:00:00Z",
                "2026-11-15T23:00:00Z",
                "2026-11-22T23:00:00Z",
                "2026-11-16",
            ),
            (
                Every::Month,
                "2026-11-01T05:00:00Z",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
                "2026-10-01",
            ),
        ] {
            let schedule = schedule(every, "06:00", "Europe/Vienna");
            let due = schedule.last(now).unwrap();
            assert_eq!((due.at, due.range), (micros(at), (micros(from), micros(to))), "{every:?}");
            assert_eq!(schedule.file(&due), format!("{date}.html"));
        }
    }

    #[test]
    fn where_clocks_change_each_day_has_one_report() {
        // 02:30 is put forward on March 29 and comes twice on October 25.
        let daily = schedule(Every::Day, "02:30", "Europe/Vienna");
        for (now, at) in [
            ("2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T01:30:00Z"),
        ] {
            assert_eq!(daily.next(micros(now)).unwrap().at, micros(at));
        }
    }

    proptest! {
        #[test]
        fn the_next_report_follows_the_last_one_and_goes_on_where_it_ends(
            now in 1_700_000_000i64..2_000_000_000, every in 0usize..3, minute in 0i8..60, hour in 0i8..24,
        ) {
            let every = [Every::Day, Every::Week, Every::Month][every];
            let mut schedule = schedule(every, "06:00", "America/Santiago");
            schedule.at = jiff::civil::time(hour, minute, 0, 0);
            let now = now * 1_000_000;
            let (last, next) = (schedule.last(now).unwrap(), schedule.next(now).unwrap());
            prop_assert!(last.at <= now && now < next.at);
            prop_assert_eq!(last.range.1, next.range.0);
            prop_assert_eq!(schedule.next(last.at), Some(next));
            prop_assert_eq!(schedule.last(next.at), Some(next));
        }
    }

    fn read_text(text: &str, has_history: bool) -> (Vec<Schedule>, String) {
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let root = Section::new(&source, root.get_ref(), root.span(), "");
        let is_mailer = |name: &str| match name {
            "mail" => Some(true),
            "bus" => Some(false),
            _ => None,
        };
        let mailers = Mailers { is_mailer: &is_mailer, is_address: |text| text.contains('@') };
        let all = read(&root, has_history, &|text| Path::new("/etc").join(text), mailers, &mut found);
        (all, found.to_text())
    }

    #[test]
    fn keys_defaults_and_mistakes() {
        let text = "[[reports]]\nevery = \"week\"\nzone = \"UTC\"\npath = \"r/{{ date }}.html\"\n";
        let (all, found) = read_text(text, true);
        assert_eq!(found, "");
        assert_eq!(
            (all[0].folder.as_deref(), all[0].name.as_str()),
            (Some(Path::new("/etc/r")), "{{ date }}.html")
        );
        assert_eq!((all[0].at, all[0].form), (jiff::civil::time(6, 0, 0, 0), Form::Html));
        assert!(read_text(text, false).1.contains("add [history]"));
        assert!(read_text(&text.repeat(2), true).1.contains("would be the same"));
        let sent = "[[reports]]\nevery = \"week\"\nformat = \"csv\"\nsink = \"mail\"\nto = [\"a@b\"]\n";
        let (all, found) = read_text(sent, true);
        assert_eq!(
            (found.as_str(), &all[0].folder, all[0].name.as_str()),
            ("", &None, "trapline-{{ date }}.csv")
        );
        assert_eq!(all[0].mail, Some(Mail { sink: "mail".to_owned(), to: vec!["a@b".to_owned()] }));
        assert!(read_text(&sent.repeat(2), true).1.contains("would be the same"));
        for (text, part) in [
            ("path = \"a\"", "without 'every'"),
            ("every = \"day\"", "without 'path' or 'sink'"),
            ("every = \"day\"\nsink = \"maul\"", "there is no sink 'maul'"),
            ("every = \"day\"\nsink = \"bus\"", "does not send mail"),
            ("every = \"day\"\nsink = \"mail\"\nto = [\"a\"]", "is no address of mail"),
            ("every = \"day\"\npath = \"a\"\nto = [\"a@b\"]", "'to' without 'sink'"),
            ("every = \"year\"\npath = \"a\"", "must be day, week or month"),
            ("every = \"day\"\npath = \"r/\"", "does not name a file"),
            ("every = \"day\"\npath = \"r/..\"", "does not name a file"),
            ("every = \"day\"\npath = \"{{ date }}/a\"", "can only have {{ date }}"),
            ("every = \"day\"\npath = \"{{ host }}\"", "can only have {{ date }}"),
            ("every = \"day\"\npath = \"a\"\nat = \"25:00\"", "time of day"),
            ("every = \"day\"\npath = \"a\"\nformat = \"pdf\"", "must be html, csv or json"),
            ("every = \"day\"\npath = \"a\"\npaht = \"a\"", "did you mean 'path'?"),
        ] {
            let (_, found) = read_text(&format!("[[reports]]\n{text}\n"), true);
            assert!(found.contains(part), "{part} in {found}");
        }
    }
}
