use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::history::account::{Account, Most};
use crate::history::search::folder;
use crate::history::{Counters, Settings, Writer, settings};
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::time::clock::{Mono, Now, Wall};

const START: i64 = 1_795_694_400_000_000;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

fn now(micros: i64) -> Now {
    Now { wall: Wall::from_micros(START + micros), mono: Mono::from_nanos(1_000_000 + micros as u64 * 1000) }
}

fn outcome(time: i64, host: &str, service: &str, state: State, output: &str) -> Outcome<'static> {
    let common = Common {
        time: START + time,
        rule: Cow::Borrowed("link"),
        state,
        output: output.to_owned().into(),
        long_output: Cow::Borrowed(""),
        source: Cow::Borrowed("192.0.2.1"),
        labels: Labels::Own(Vec::new()),
    };
    let service = Some(service.to_owned().into());
    Outcome::CheckResult(CheckResult { common, host: host.to_owned().into(), service, perfdata: "".into() })
}

/// A history with these outcomes, and what a report says of it.
fn of(outcomes: Vec<Outcome<'static>>, rows_per_second: usize, skipped: u64, range: (i64, i64)) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Settings { max_size: settings::MIN_SIZE, rows_per_second, ..Settings::default_in(dir.path()) };
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    for (sequence, outcome) in (1..).zip(outcomes) {
        let mut payload = Vec::new();
        codec::encode(&outcome, &mut payload);
        let sequence = if sequence > 1 { sequence + skipped } else { sequence };
        writer.take(&Record { epoch: 7, sequence, outcome }, &payload, now(3 * HOUR));
    }
    writer.commit(now(3 * HOUR), &Counters::default()).unwrap();
    writer.close();
    let folder = folder(&settings.directory).unwrap().unwrap();
    gather(&folder, (START + range.0, START + range.1), START + 3 * HOUR, None).unwrap()
}

fn day() -> Report {
    let mut all = vec![outcome(MINUTE, "core-1", "Gi0/3", State::Ok, "link up")];
    for n in 0..6 {
        let state = if n % 2 == 0 { State::Critical } else { State::Ok };
        all.push(outcome((10 + n * 20) * MINUTE, "core-1", "Gi0/3", state, "link <flaps> & more"));
    }
    all.push(outcome(2 * HOUR, "core-2", "Fan", State::Ok, "fan turns"));
    all.push(outcome(2 * HOUR + MINUTE, "core-2", "Fan", State::Critical, "fan broken"));
    all.push(outcome(2 * HOUR + 2 * MINUTE, "=core-3", "PSU \u{202e}1", State::Warning, "half of it"));
    of(all, 2000, 0, (0, 3 * HOUR))
}

#[test]
fn figures_are_those_of_the_outcomes() {
    let report = day();
    assert_eq!((report.outcomes(), report.changes(), report.steps.len()), (10, 7, 3));
    assert_eq!(report.steps.iter().map(|step| step.changes).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(report.hosts.first[0], ("core-1".to_owned(), 7));
    assert_eq!((report.flapped.len(), report.flapped[0].changes), (1, 6));
    let problems: Vec<_> = report.problems.iter().map(|problem| problem.host.as_str()).collect();
    assert_eq!(problems, ["core-2", "=core-3"], "the worst first");
    // The first row is a minute after the beginning of the time.
    assert_eq!(
        report.notes(),
        ["The oldest row is of 2026-11-26T12:01:00Z: changes of state before that are not in this report."]
    );
    let later = of(vec![outcome(0, "a", "b", State::Ok, "x")], 2000, 0, (HOUR, 2 * HOUR));
    assert_eq!((later.outcomes(), later.account.rows, later.notes().len()), (0, 0, 0));
}

#[test]
fn what_has_no_row_and_what_was_missed_is_said() {
    let many = (0..300).map(|n| outcome(n, "a", "b", State::Ok, "x")).collect();
    let report = of(many, 10, 5, (0, HOUR));
    assert_eq!((report.outcomes(), report.account.missed), (300, 5));
    let notes = report.notes().join("\n");
    for part in ["of 300 outcomes have a row of their own", "5 outcomes are in no figure"] {
        assert!(notes.contains(part), "{notes}");
    }
    assert!(html::page(&report).contains("5 outcomes are in no figure"));
}

#[test]
fn a_long_time_has_a_step_a_day() {
    let report = of(vec![outcome(0, "a", "b", State::Ok, "x")], 2000, 0, (-40 * 24 * HOUR, HOUR));
    assert_eq!((report.step_name(), report.steps.len(), report.outcomes()), ("day", 41, 1));
    assert_eq!(report.steps[40].states[0], 1);
}

#[test]
fn a_page_a_table_and_a_document_stay_as_they_are() {
    let report = day();
    insta::assert_snapshot!("page", html::page(&report));
    insta::assert_snapshot!("table", csv::text(&report));
    insta::assert_snapshot!("document", json::text(&report));
}

/// What a browser sees: the tags in order, and the text between them.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|part| part.split(['>', ' ']).next().unwrap_or_default()).collect()
}

/// The lines of a table and their fields (RFC 4180).
fn cells(table: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut field, mut is_open) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = table.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_open && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => is_open = !is_open,
            ',' if !is_open => line.push(std::mem::take(&mut field)),
            '\n' if !is_open => {
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            '\r' if !is_open => {}
            c => field.push(c),
        }
    }
    lines
}

/// A report in which each text of others is this one.
fn with(text: &str) -> Report {
    let named = || Most { first: vec![(text.to_owned(), 3)], names: 1 };
    let state = State::Critical;
    let account = Account { unreadable: vec![text.to_owned()], ..Account::default() };
    Report {
        from: START,
        to: START + HOUR,
        made: START + HOUR,
        step: HOUR,
        states: [3, 0, 0, 0, 0, 0, 0],
        rules: named(),
        hosts: named(),
        steps: vec![figures::Step { time: START, states: [3, 0, 0, 0, 0, 0, 0], changes: 1 }],
        problems: vec![figures::Problem {
            host: text.to_owned(),
            service: Some(text.to_owned()),
            state,
            since: "2026-11-26T12:00:00Z".to_owned(),
            last: "2026-11-26T12:00:00Z".to_owned(),
            rule: text.to_owned(),
            output: text.to_owned(),
        }],
        more_problems: false,
        flapped: vec![figures::Flap {
            host: text.to_owned(),
            service: Some(text.to_owned()),
            changes: 9,
            state,
        }],
        uncounted: 0,
        account,
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("<script>alert(1)</script>".to_owned()),
        Just("\"><img src=x>".to_owned()),
        Just("</td></tr></table>".to_owned()),
        Just("\r\n\"note\",=1+1".to_owned()),
        Just("&lt;".to_owned()),
        Just("\u{202e}\u{2066}\u{feff}\0\u{1b}[2J".to_owned()),
        Just("=cmd|' /C calc'!A0".to_owned()),
        "\\PC{0,8}",
        any::<String>(),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn names_forge_no_tag_no_cell_and_no_line(text in hostile()) {
        let (plain, forged) = (with("x"), with(&text));
        let page = html::page(&forged);
        let plain_page = html::page(&plain);
        prop_assert_eq!(tags(&page), tags(&plain_page));
        prop_assert_eq!(page.lines().count(), plain_page.lines().count());
        let hides = |c: char| c != '\n' && (crate::outcome::name::breaks_line(c) || crate::outcome::name::turns(c));
        prop_assert!(!page.chars().any(hides));
        prop_assert_eq!(page.matches('"').count(), plain_page.matches('"').count());

        let table = csv::text(&forged);
        let (own, like) = (cells(&table), cells(&csv::text(&plain)));
        prop_assert_eq!(table.lines().count(), own.len());
        prop_assert_eq!(own.len(), like.len());
        prop_assert!(own.iter().all(|line| line.len() == csv::COLUMNS.len()));
        let formula = |field: &String| field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        prop_assert!(!own.iter().flatten().any(formula));

        let read: serde_json::Value = serde_json::from_str(&json::text(&forged)).unwrap();
        prop_assert_eq!(&read["problems"][0]["host"], &serde_json::Value::from(text));
    }
}
