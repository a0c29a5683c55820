//! What becomes of a line that is tried out is what the daemon makes of it, whatever the settings are.

use std::sync::Arc;

use super::{Ground, groups};
use crate::inbox::{Raw, Sample};
use crate::intake::admission::admit_waiting;
use crate::intake::line::Reading;
use crate::intake::listener::Protocol;
use crate::intake::pipeline::Pipeline;
use crate::intake::shared::Lines;
use crate::intake::{Active, Shared};
use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
use crate::lookup::hosts::Hosts;
use crate::lookup::zones::zones;
use crate::message::{Message, Source};
use crate::mib::Mib;
use crate::rules::compile::{RuleFile, compile};
use crate::rules::{MessageContext, Scratch};
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Section};
use crate::sys::Arrival;
use crate::syslog::framing::of_datagram;
use crate::time::clock::SystemClock;

const RULES: &str = "[[rule]]\nid = \"line\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
                     output = \"{{ truncated }} {{ host }} {{ severity }} {{ program }} {{ message }}\"\n";
const FROM: &str = "192.0.2.7:514";

/// What the daemon makes of a datagram: outputs, or that its sender is not let in.
fn by_daemon(shared: &Arc<Shared>, octets: &[u8]) -> Vec<String> {
    let (from, now, before) = (shared.journal.next(), shared.now(), shared.stats.wrong_source.get());
    let mut pipeline = Pipeline::new(shared.clone());
    let arrival = Arrival { peer: FROM.parse().unwrap(), local: None };
    pipeline.datagram(Protocol::Syslog, of_datagram(octets), arrival, now);
    drop(pipeline.commit(now));
    if shared.stats.wrong_source.get() > before {
        return vec!["not let in: wrong_source".to_owned()];
    }
    let (mut reader, mut outputs) = (shared.journal.reader(from), Vec::new());
    let read = reader.read(10, |record| {
        outputs.push(record.outcome.common().output.to_string());
        true
    });
    read.unwrap();
    outputs
}

/// The same of one that is tried out, and of one that is kept.
fn tried(shared: &Arc<Shared>, octets: &[u8]) -> [Vec<String>; 2] {
    let in_force = shared.in_force();
    let ground = Ground::of(&in_force, None, &|_| None);
    let source = Source { peer: FROM.parse().unwrap(), received: shared.now().wall.micros() };
    let outputs = |context: &MessageContext<'_>| {
        let mut outputs = Vec::new();
        in_force.active.rules.apply(context, &mut Scratch::default(), |_, outcome| {
            outputs.push(outcome.common().output.to_string());
        });
        outputs
    };
    match ground.lines.datagram(octets, &source) {
        Err(denied) => {
            let said = vec![format!("not let in: {}", denied.reason())];
            [said.clone(), said]
        }
        Ok(line) => {
            let message = Message::Syslog(ground.lines.parse(&line, &source));
            let now = ground.with(&message, &source, false, |context, _| outputs(context));
            let (received, from, raw) = (source.received, source.address(), Raw::Line(line.text.to_string()));
            let sample = Sample { received, from, user: None, cut: line.truncated, raw };
            [now, ground.with_sample(&sample, |context, _| outputs(context)).unwrap()]
        }
    }
}

#[test]
fn a_line_that_is_tried_out_becomes_what_the_daemon_makes_of_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let options =
        Options { directory: dir.path().to_owned(), max_size: 1 << 24, when_full: WhenFull::DropOldest };
    let (journal, _) = Journal::open(options, 7).unwrap();
    let shared = Arc::new(Shared::new(journal, SyncPolicy::Never, Arc::new(SystemClock)));
    let long =
        |length: usize| [b"<36>Nov 20 12:00:01 db1 app[1]: ".to_vec(), b"\xc3\xa4".repeat(length)].concat();
    let counted = |line: &[u8]| [format!("{} ", line.len()).into_bytes(), line.to_vec()].concat();
    let lines: Vec<Vec<u8>> = vec![
        b"<36>Nov 20 12:00:01 db1 app[1]: hi".to_vec(),
        b"<36>Nov 20 12:00:01 db1 app[1]: hi\n\0".to_vec(),
        b"\xef\xbb\xbf<36>Nov 20 12:00:01 db1 app[1]: hi".to_vec(),
        b"<36>Nov 20 12:00:01 db1 app[1]: na\xefve".to_vec(),
        b"<36>1 2026-11-20T12:00:01Z db1 app 1 - - hi".to_vec(),
        b"no header at all".to_vec(),
        b"12 <13>not the".to_vec(),
        counted(b"<36>Nov 20 12:00:01 db1 app[1]: counted"),
        counted(b"12 <13>twice"),
        counted(&long(2000)),
        long(400),
        long(600),
        long(40_000),
        [long(600), b"\0\0".to_vec()].concat(),
    ];
    let net = |text: &str| Some(vec![text.parse().unwrap()]);
    let mut seen = std::collections::BTreeSet::new();
    for max_message in [1024, 1025, 65_536] {
        for syslog_allow in [None, Some(Vec::new()), net("192.0.2.0/24"), net("198.51.100.0/24")] {
            let compiled =
                compile(&[RuleFile { name: "rules.toml".into(), text: RULES.into() }], Arc::default());
            let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
            let lines_of = Lines { max_message, ..Lines::default() };
            let allow = syslog_allow.clone();
            shared.replace(Active { rules, syslog_allow, lines: lines_of, ..Active::default() });
            admit_waiting(&shared);
            for line in &lines {
                let made = by_daemon(&shared, line);
                let at = format!(
                    "{max_message} {allow:?} {:?}",
                    String::from_utf8_lossy(&line[..40.min(line.len())])
                );
                assert_eq!(made.len(), 1, "{at}");
                for tried in tried(&shared, line) {
                    assert_eq!(tried, made, "{at}");
                }
                seen.extend(made[0].split(' ').next().map(str::to_owned));
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["False", "True", "not"]);
}

/// A line that no rule takes is kept as it came. Who looks at it sees the time that the rules saw.
#[test]
fn a_line_that_is_kept_has_the_time_that_the_zone_of_its_sender_makes_of_it() {
    if jiff::tz::TimeZone::get("America/New_York").is_err() {
        eprintln!("SKIPPED: this machine has no tz database (Debian: package tzdata)");
        return;
    }
    let text = "zone = \"UTC\"\nzones = { \"192.0.2.0/24\" = \"America/New_York\" }";
    let (source, mut found) = (SourceText { file: "x.toml", text }, Diagnostics::default());
    let root = section::read(&source, &mut found).unwrap();
    let zones = zones(&Section::new(&source, root.get_ref(), root.span(), "[syslog]"), &mut found);
    let (hosts, mib) = (Hosts::default(), Mib::default());
    let lines = Reading { allow: None, max_message: 65_536, zones: &zones, hosts: &hosts };
    for (from, line, expected) in [
        ("192.0.2.7", "<36>Nov 20 12:00:01 db1 app[1]: hi", "2026-11-20T17:00:01Z"),
        ("198.51.100.7", "<36>Nov 20 12:00:01 db1 app[1]: hi", "2026-11-20T12:00:01Z"),
        ("192.0.2.7", "<36>1 2026-11-20T12:00:01Z db1 app 1 - - hi", "2026-11-20T12:00:01Z"),
    ] {
        let (from, raw) = (from.parse().unwrap(), Raw::Line(line.to_owned()));
        // 2026-11-20T12:00:05Z
        let sample = Sample { received: 1_795_176_005_000_000, from, user: None, cut: false, raw };
        let shown = groups::message(&sample, &lines, &mib);
        assert_eq!(shown["time"], expected, "{from} {line}: {shown}");
    }
}
