use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::search::{IsOver, Search, folder};
use super::series::{self, By};
use super::*;
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::time::clock::{Mono, Now, Wall};

pub(super) const START: i64 = 1_795_694_400_000_000;

pub(super) fn now(micros: i64) -> Now {
    Now { wall: Wall::from_micros(START + micros), mono: Mono::from_nanos(1_000_000 + micros as u64 * 1000) }
}

pub(super) fn settings(directory: &Path) -> Settings {
    Settings { max_size: settings::MIN_SIZE, ..Settings::default_in(directory) }
}

/// A check result, or an event if its host has an `e`.
pub(super) fn outcome(
    time: i64,
    rule: &str,
    host: &str,
    service: Option<&str>,
    state: State,
    output: &str,
) -> Outcome<'static> {
    let common = Common {
        time,
        rule: rule.to_owned().into(),
        state,
        output: output.to_owned().into(),
        long_output: Cow::Borrowed(""),
        source: Cow::Borrowed("192.0.2.1"),
        labels: Labels::Own(vec![("site".into(), format!("at {output}").into())]),
    };
    let service = service.map(|service| service.to_owned().into());
    if host.contains('e') {
        let fields = vec![("more".into(), format!("{output} too").into())];
        return Outcome::Event(Event {
            common,
            component: host.to_owned().into(),
            resource: service,
            fields,
        });
    }
    Outcome::CheckResult(CheckResult {
        common,
        host: host.to_owned().into(),
        service,
        perfdata: "a=1".into(),
    })
}

pub(super) fn take(writer: &mut Writer, sequence: u64, outcome: Outcome<'static>, now: Now) {
    let mut payload = Vec::new();
    codec::encode(&outcome, &mut payload);
    writer.take(&Record { epoch: 7, sequence, outcome }, &payload, now);
}

pub(super) fn all(directory: &Path, filter: Filter, oldest_first: bool, limit: usize) -> Vec<Row> {
    let folder = folder(directory).unwrap().unwrap();
    let search = Search { filter, oldest_first, is_over: None };
    let (mut rows, mut behind) = (Vec::new(), None);
    loop {
        let page = search.page(&folder, behind, limit).unwrap();
        assert_eq!((page.unreadable, page.partial), (Vec::<String>::new(), false));
        rows.extend(page.rows);
        behind = page.next;
        if behind.is_none() {
            return rows;
        }
    }
}

fn minutes(directory: &Path) -> u64 {
    let folder = folder(directory).unwrap().unwrap();
    let (points, whole) =
        series::points(&folder, By::Host, &series::Of::default(), (0, i64::MAX), 1, None).unwrap();
    assert!(whole);
    points.iter().map(|point| point.value).sum()
}

fn read(counters: &Counters) -> [u64; 4] {
    [&counters.read, &counters.rows, &counters.thinned, &counters.missed]
        .map(|one| one.load(Ordering::Relaxed))
}

const HOSTS: [&str; 4] = ["core-1", "core-2", "edge", "Zürich"];
const SERVICES: [Option<&str>; 4] = [None, Some("Interface Gi0/3"), Some("Fan"), Some("")];
const OUTPUTS: [&str; 6] =
    ["Link down on Gi0/3", "link up", "", "Größe 10 GB", "a-b_c d/e=f", "qzh1 qzt2 \u{130}x 'quote\" OR NOT"];
const SEARCHES: [&str; 12] = [
    "",
    "link",
    "Gi0/3",
    "GI0/3 down",
    "gr",
    "größe 1",
    "-",
    "a-b_c",
    "qzh1",
    "fan core",
    "i\u{307}x",
    "or not \"",
];

/// What is searched for by the index is what a filter of all rows finds, in both orders, in pages of any size, across files.
#[test]
fn a_search_finds_what_a_naive_filter_finds() {
    let outcomes = prop::collection::vec((0..4usize, 0..4usize, 0..7usize, 0..6usize, -3i64..4), 1..60);
    let asked =
        (0..12usize, 0..5usize, 0..4usize, 0..3usize, any::<bool>(), 3..20usize, 0..80i64, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 3, ..Config::default() });
    let ran = runner.run(&(outcomes, prop::collection::vec(asked, 6)), |(outcomes, asked)| {
        let dir = tempfile::tempdir().unwrap();
        let (counters, mut at) = (Counters::default(), 0);
        let mut writer = Writer::open(settings(dir.path()), now(0)).unwrap();
        for (sequence, (host, service, state, output, step)) in outcomes.iter().enumerate() {
            // Time goes back now and then, and files change with the day.
            at += step * 9_000_000;
            let later = now(sequence as i64 * 6_000_000_000);
            let made = outcome(
                START + at,
                &format!("rule-{service}"),
                HOSTS[*host],
                SERVICES[*service],
                State::ALL[*state],
                OUTPUTS[*output],
            );
            take(&mut writer, sequence as u64 + 1, made, later);
            if sequence % 3 == 0 {
                writer.commit(later, &counters).unwrap();
            }
        }
        writer.commit(now(60 * 6_000_000_000), &counters).unwrap();
        let directory = settings(dir.path()).directory;
        let rows = all(&directory, Filter::default(), true, 1000);
        prop_assert_eq!(rows.len(), outcomes.len());
        prop_assert!(rows.is_sorted_by_key(|row| row.n) && rows.iter().all(|row| row.n >= row.time));
        prop_assert_eq!(
            rows.iter().map(|row| row.sequence).collect::<Vec<_>>(),
            (1..=rows.len() as u64).collect::<Vec<_>>()
        );
        for (words, host, service, state, changes, limit, from, oldest_first) in asked {
            let mut filter = Filter { changes, ..Filter::default() };
            filter.set("q", SEARCHES[words]).unwrap();
            if host > 0 {
                filter.set("host", ["CORE-1", "core-*", "*e*", "nowhere"][host - 1]).unwrap();
            }
            if service > 0 {
                filter.set("service", ["fan", "*", "interface ??0/3"][service - 1]).unwrap();
            }
            if state > 0 {
                filter.set("state", ["critical", "ok,down"][state - 1]).unwrap();
            }
            filter.from = (from > 20).then_some(START + from * 1_000_000);
            filter.to = (from < 60).then_some(START + from * 2_000_000);
            let mut expected: Vec<Row> = rows.iter().filter(|row| filter.matches(row)).cloned().collect();
            if !oldest_first {
                expected.reverse();
            }
            prop_assert_eq!(all(&directory, filter, oldest_first, limit), expected);
        }
        Ok(())
    });
    ran.unwrap();
}

/// Whatever is committed, lost to a crash, read again or missed: every outcome counts once, in the counts of minutes and in rows,
/// and what was missed is counted exactly.
#[test]
fn every_outcome_counts_once_across_crashes_and_gaps() {
    #[derive(Debug, Clone)]
    enum Step {
        Take(usize, usize),
        Commit,
        Crash,
        Restart,
        Gap(u64),
    }
    let step = prop_oneof![
        12 => (0..3usize, 0..2usize).prop_map(|(host, state)| Step::Take(host, state)),
        3 => Just(Step::Commit),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => (1..50u64).prop_map(Step::Gap),
    ];
    let mut runner = TestRunner::new(Config { cases: 4, ..Config::default() });
    let ran = runner.run(&prop::collection::vec(step, 1..120), |steps| {
        let dir = tempfile::tempdir().unwrap();
        // Few rows: most outcomes are counted in those of others.
        let settings = Settings { rows_per_second: 1, ..settings(dir.path()) };
        let mut counters = Counters::default();
        let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
        // The journal: numbers and outcomes from the oldest that is there.
        let (mut journal, mut next, mut read_to): (Vec<(u64, usize, usize)>, u64, u64) = (Vec::new(), 1, 1);
        let (mut counted, mut missed, mut from) = (0, 0, 1);
        for step in steps.into_iter().chain([Step::Commit]) {
            match step {
                Step::Take(host, state) => {
                    journal.push((next, host, state));
                    next += 1;
                }
                // The journal removes what was read and not committed, too.
                Step::Gap(numbers) => {
                    journal.clear();
                    next += numbers;
                }
                Step::Crash | Step::Restart => {
                    if matches!(step, Step::Restart) {
                        writer.close();
                    } else {
                        drop(writer);
                    }
                    counters = Counters::default();
                    writer = Writer::open(settings.clone(), now(0)).unwrap();
                    read_to = writer.resume(|_, next| next).unwrap_or(1);
                    prop_assert_eq!(read_to, from);
                }
                Step::Commit => {
                    for (sequence, host, state) in journal.iter().filter(|one| one.0 >= read_to) {
                        let made = outcome(START, "r", HOSTS[*host], Some("s"), State::ALL[*state], "o");
                        take(&mut writer, *sequence, made, now(0));
                        // Before the first record nothing is known to be missing.
                        if counted > 0 {
                            missed += sequence - from;
                        }
                        counted += 1;
                        from = sequence + 1;
                    }
                    writer.commit(now(0), &counters).unwrap();
                    read_to = from;
                }
            }
        }
        prop_assert_eq!(minutes(&settings.directory), counted);
        let folder = folder(&settings.directory).unwrap().unwrap();
        let mut sums = [0; 4];
        for name in parts::all(&folder).unwrap() {
            let (connection, _) = schema::readable(&folder, &name.file()).unwrap();
            let tally = part::tally(&connection).unwrap();
            let rows: i64 = connection
                .query_row("SELECT coalesce(sum(count), 0) FROM outcome", [], |row| row.get(0))
                .unwrap();
            for (sum, part) in sums.iter_mut().zip([tally.read, tally.missed, tally.unstored, rows as u64]) {
                *sum += part;
            }
        }
        let [read, lost, unstored, rows] = sums;
        prop_assert_eq!((read, rows + unstored), (counted, counted));
        prop_assert_eq!(lost, missed);
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn changes_of_state_have_the_state_before_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let mut writer = Writer::open(settings(dir.path()), now(0)).unwrap();
    let states = [State::Critical, State::Critical, State::Ok, State::Ok, State::Warning];
    for (at, state) in states.into_iter().enumerate() {
        take(
            &mut writer,
            at as u64 + 1,
            outcome(START + at as i64, "r", "h", Some("s/1"), state, "o"),
            now(0),
        );
        writer.commit(now(0), &counters).unwrap();
        if at == 3 {
            writer.close();
            writer = Writer::open(settings(dir.path()), now(0)).unwrap();
            assert_eq!(writer.resume(|epoch, next| next + epoch - 7), Some(5));
        }
    }
    let directory = settings(dir.path()).directory;
    let previous: Vec<_> =
        all(&directory, Filter::default(), true, 9).iter().map(|row| row.previous).collect();
    assert_eq!(previous, [None, None, Some(State::Critical), None, Some(State::Ok)]);
    let folder = folder(&directory).unwrap().unwrap();
    let (states, more) = series::states(&folder, &series::Wanted::default(), 10, None).unwrap();
    assert!(!more && states.len() == 1);
    assert_eq!((&states[0]["endpointId"], &states[0]["status"]), (&"h/s%2F1".into(), &"warning".into()));
    assert_eq!(states[0]["since"], "2026-11-26T12:00:00.000004Z");
}

#[test]
fn a_flood_is_thinned_and_every_change_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = Settings { rows_per_second: 10, ..settings(dir.path()) };
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    for sequence in 0..3000u64 {
        let state = if sequence % 300 == 299 { State::Critical } else { State::Ok };
        take(&mut writer, sequence + 1, outcome(START, "r", "h", None, state, "o"), now(0));
    }
    writer.commit(now(0), &counters).unwrap();
    let [read, rows, thinned, missed] = read(&counters);
    assert_eq!((read, rows + thinned, missed), (3000, 3000, 0));
    assert!((50..=100).contains(&rows), "{rows}");
    let rows = all(&settings.directory, Filter { changes: true, ..Filter::default() }, true, 100);
    assert_eq!(rows.iter().filter(|row| row.state == State::Critical).count(), 10);
    assert_eq!(minutes(&settings.directory), 3000);
}

fn bytes(directory: &Path) -> u64 {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_files_never_have_more_than_their_size_and_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = Settings { rows_per_second: 50_000, ..settings(dir.path()) };
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    let text = "x".repeat(8000);
    let mut sequence = 0;
    for round in 0..150 {
        // Hosts that nobody has seen before, as a forger makes them.
        while !writer.is_full() {
            sequence += 1;
            let host = format!("host-{sequence}-{}", "h".repeat(90));
            take(
                &mut writer,
                sequence,
                outcome(START + round, "r", &host, None, State::Critical, &text),
                now(round),
            );
        }
        writer.commit(now(round), &counters).unwrap();
        assert!(bytes(&settings.directory) <= settings.max_size);
        if round % 15 == 0 {
            writer.tend(&counters).unwrap();
            assert_eq!(counters.bytes.load(Ordering::Relaxed), bytes(&settings.directory));
        }
    }
    let rows = all(&settings.directory, Filter::default(), false, 10_000);
    assert_eq!(rows[0].sequence, sequence);
    let oldest = rows.last().unwrap().sequence;
    assert!(oldest > 1 && rows.len() as u64 == sequence - oldest + 1, "whole files went, the oldest first");
}

#[test]
fn what_is_too_old_goes_and_a_search_in_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let hour = 3_600_000_000;
    let settings = Settings {
        age: Duration::from_hours(48),
        rollup_age: Duration::from_hours(72),
        ..settings(dir.path())
    };
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    for day in 0..5i64 {
        let later = now(day * 24 * hour);
        take(
            &mut writer,
            day as u64 + 1,
            outcome(START + day * 24 * hour, "r", "h", None, State::Ok, "o"),
            later,
        );
        writer.commit(later, &counters).unwrap();
    }
    let directory = &settings.directory;
    let folder = folder(directory).unwrap().unwrap();
    assert_eq!(parts::all(&folder).unwrap().len(), 4, "the first went when the last was begun");
    let (first, _) = schema::readable(&folder, &parts::all(&folder).unwrap()[0].file()).unwrap();
    let mut select = first.prepare("SELECT sequence FROM outcome").unwrap();
    let mut rows = select.query([]).unwrap();
    writer.retain(now(4 * 24 * hour + hour)).unwrap();
    assert!(rows.next().unwrap().is_some(), "who reads a file has it to its end");
    let left: Vec<u64> = all(directory, Filter::default(), true, 9).iter().map(|row| row.sequence).collect();
    assert_eq!(left, [4, 5]);
    assert_eq!(minutes(directory), 3);
}

#[test]
fn files_that_are_gone_or_broken_are_noticed_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = settings(dir.path());
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    take(&mut writer, 1, outcome(START, "r", "h", None, State::Ok, "one"), now(0));
    writer.commit(now(0), &counters).unwrap();
    let name = writer_file(&settings.directory);
    std::fs::remove_file(settings.directory.join(&name)).unwrap();
    let error = writer.tend(&counters).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("removed"), "{error}");
    drop(writer);
    for file in [&name, "rollup.db"] {
        let path = settings.directory.join(file);
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(settings.directory.join(format!("{file}{end}")));
        }
        std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
        let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
        assert!(settings.directory.join(format!("{file}.unreadable")).exists());
        take(&mut writer, 2, outcome(START, "r", "h", None, State::Ok, "two"), now(0));
        writer.commit(now(0), &counters).unwrap();
        writer.close();
    }
    assert_eq!(all(&settings.directory, Filter::default(), true, 9)[0].output, "two");
    // A link in the place of a file is not followed.
    let outside = dir.path().join("outside");
    let name = writer_file(&settings.directory);
    std::fs::rename(settings.directory.join(&name), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, settings.directory.join(&name)).unwrap();
    assert!(Writer::open(settings, now(0)).is_err());
}

pub(super) fn writer_file(directory: &Path) -> String {
    let folder = folder(directory).unwrap().unwrap();
    parts::all(&folder).unwrap().last().unwrap().file()
}

#[test]
fn a_search_whose_time_is_over_says_so_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = settings(dir.path());
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    for sequence in 1..=20 {
        take(&mut writer, sequence, outcome(START + sequence as i64, "r", "h", None, State::Ok, "o"), now(0));
    }
    writer.commit(now(0), &counters).unwrap();
    let folder = folder(&settings.directory).unwrap().unwrap();
    let is_over: IsOver = std::sync::Arc::new(|| true);
    let mut filter = Filter::default();
    filter.set("source", "192.0.2.?").unwrap();
    let search = Search { filter, oldest_first: true, is_over: Some(is_over) };
    let (mut behind, mut rows) = (None, 0);
    for _ in 0..20 {
        let page = search.page(&folder, behind, 100).unwrap();
        assert!(page.partial);
        behind = page.next;
        rows += page.rows.len();
    }
    assert_eq!(rows, 20, "each part of a search gets on");
}

/// Both views are what the page says, and are read with SQL alone.
#[test]
fn the_views_can_be_read_with_sql() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = settings(dir.path());
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    take(&mut writer, 1, outcome(START + 5, "r", "edge", Some("s"), State::Down, "o"), now(0));
    writer.commit(now(0), &counters).unwrap();
    writer.close();
    let folder = folder(&settings.directory).unwrap().unwrap();
    let (connection, _) = schema::readable(&folder, &writer_file(&settings.directory)).unwrap();
    let line: String = connection
        .query_row("SELECT time || ' ' || id || ' ' || kind || ' ' || state || ' ' || rule || ' ' || host || ' ' || service || ' ' || source || ' ' || count || fields FROM outcomes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        line,
        "2026-11-26T12:00:00.000005Z 0000000000000007-1 event down r edge s 192.0.2.1 1[[\"more\",\"o too\"]]"
    );
    let (connection, _) = schema::readable(&folder, rollup::FILE).unwrap();
    for view in ["states", "minutes"] {
        let count: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {view}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, 1, "{view}");
    }
    let files: Vec<_> =
        std::fs::read_dir(&settings.directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "closed files need no others beside them: {files:?}");
}

/// What made nothing is found when it is asked for, also by the index, in its place among the outcomes, and nowhere else.
#[test]
fn what_made_nothing_has_rows_that_count_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = settings(dir.path());
    let directory = &settings.directory;
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    let untold = |why, host: &str, time, count| Untold {
        host: host.to_owned(),
        time: START + time,
        count,
        ..Untold::others(why, 0, 0)
    };
    // There may be no outcome yet.
    assert!(writer.tell(vec![untold(Why::Held, "core-1", 5, 3)], now(10)));
    writer.commit(now(10), &counters).unwrap();
    for sequence in 1..20 {
        let at = sequence as i64 * 1_000_000;
        let host = format!("core-{}", sequence % 3);
        take(
            &mut writer,
            sequence,
            outcome(START + at, "r", &host, Some("Fan"), State::Critical, "o"),
            now(at),
        );
        assert!(writer.tell(vec![untold(Why::Dropped, &host, at + 1, 1)], now(at)));
        writer.commit(now(at), &counters).unwrap();
    }
    assert!(!writer.tell(Vec::new(), now(20_000_000)));
    let search = |filter| all(directory, filter, false, 5);
    let of = |marks: Vec<row::Mark>| Filter { marks, ..Filter::default() };
    assert_eq!(search(Filter::default()).len(), 19);
    let everything = search(Filter { untold: true, ..Filter::default() });
    assert_eq!(everything.len(), 19 + 1 + 3, "a row a kind in a minute");
    assert!(everything.is_sorted_by(|one, two| one.n > two.n));
    let held = search(of(vec![row::Mark::Untold(Why::Held)]));
    assert_eq!((held.len(), held[0].count, held[0].time), (1, 3, START + 5));
    let dropped = search(of(vec![row::Mark::Untold(Why::Dropped)]));
    assert_eq!(dropped.iter().map(|row| row.count).sum::<u64>(), 19);
    assert!(dropped.iter().all(|row| row.state_word().is_none() && row.previous.is_none()));
    assert_eq!(search(of(vec![row::Mark::Muted])).len(), 0);
    // The first of each service is a change, and nothing else.
    assert_eq!(search(Filter { changes: true, ..Filter::default() }).len(), 3);
    assert_eq!((minutes(directory), read(&counters)[1]), (19, 19));
    assert_eq!(counters.untold.load(Ordering::Relaxed), 4);
    writer.close();
    let file = rusqlite::Connection::open(directory.join(writer_file(directory))).unwrap();
    let count = |view: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {view}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(
        (count("outcomes"), count("untold"), count("untold WHERE why = 'held' AND count = 3")),
        (19, 4, 1)
    );
    // What comes after a restart has higher keys.
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    assert!(writer.tell(vec![untold(Why::Held, "core-1", 5, 1)], now(10)));
    writer.commit(now(10), &counters).unwrap();
    assert_eq!(search(of(vec![row::Mark::Untold(Why::Held)])).len(), 2);
}

/// A file of an earlier release is read as it is, and another one is begun.
#[test]
fn files_of_earlier_releases_are_read_and_not_written_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let counters = Counters::default();
    let settings = settings(dir.path());
    let directory = &settings.directory;
    let mut writer = Writer::open(settings.clone(), now(0)).unwrap();
    for (sequence, state) in [State::Ok, State::Critical].into_iter().enumerate() {
        take(&mut writer, sequence as u64 + 1, outcome(START, "r", "core-1", None, state, "o"), now(0));
    }
    writer.commit(now(0), &counters).unwrap();
    writer.close();
    let first = directory.join(writer_file(directory));
    let file = rusqlite::Connection::open(&first).unwrap();
    file.execute_batch("UPDATE outcome SET kind = 0; PRAGMA user_version = 1").unwrap();
    drop(file);
    let mut writer = Writer::open(settings.clone(), now(1)).unwrap();
    assert_eq!(writer.resume(|_, next| next), Some(3), "it goes on where the other one ended");
    take(&mut writer, 3, outcome(START + 1, "r", "core-1", None, State::Ok, "o"), now(1));
    writer.commit(now(1), &counters).unwrap();
    assert_eq!(parts::all(&folder(directory).unwrap().unwrap()).unwrap().len(), 2);
    let changes = all(directory, Filter { changes: true, ..Filter::default() }, true, 10);
    let states: Vec<State> = changes.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Critical, State::Ok], "without the tokens of the index");
}
