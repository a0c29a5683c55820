//! A sink of one file and one line: `toy.rs`, and the line in `KINDS` below. It delivers to a socket.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use trapline::journal::{Batch, Journal, Options, WhenFull};
use trapline::outcome::{CheckResult, Common, Labels, Outcome, State};
use trapline::settings::diagnostic::{Diagnostics, SourceText};
use trapline::settings::section::{self, Section};
use trapline::sinks::registry;
use trapline::sinks::settings::{Kind, SinkConfig};
use trapline::sinks::{Running, deliver};
use trapline::world::World;

/// The registry with one line more.
const KINDS: &[Kind] = &[toy::KIND];

fn configured(text: &str) -> Result<SinkConfig, String> {
    let source = SourceText { file: "trapline.toml", text };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap();
    let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
    let section = root.sections("sinks", &mut found).remove(0);
    let resolve = |path: &str| PathBuf::from(path);
    let sink = registry::read(KINDS, &section, &resolve, &mut found);
    section.finish(&mut found);
    sink.filter(|_| found.is_empty()).ok_or_else(|| found.to_text())
}

fn outcome(host: &str, output: &str) -> Outcome<'static> {
    let common = Common {
        time: 1_700_000_000_000_000,
        rule: "r".into(),
        state: State::Critical,
        output: output.to_owned().into(),
        long_output: "".into(),
        source: "192.0.2.1".into(),
        labels: Labels::default(),
    };
    Outcome::CheckResult(CheckResult {
        common,
        host: host.to_owned().into(),
        service: None,
        perfdata: "".into(),
    })
}

fn journal(directory: &Path) -> Arc<Journal> {
    let options =
        Options { directory: directory.to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
    Journal::open(options, 1).unwrap().0
}

#[test]
fn mistakes_are_reported_with_hints() {
    let error = |text| configured(text).unwrap_err();
    assert!(error("[[sinks]]\ntype = \"tyo\"\n").contains("did you mean 'toy'?"));
    assert!(error("[[sinks]]\ntype = \"toy\"\n").contains("add address = \"127.0.0.1:7\""));
    let unknown = error("[[sinks]]\ntype = \"toy\"\naddress = \"h:7\"\nadress = 1\n");
    assert!(unknown.contains("trapline.toml:4:1: error: unknown key 'adress'"), "{unknown}");
}

#[test]
fn outcomes_get_to_the_socket() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let config = configured(&format!(
        "[[sinks]]\ntype = \"toy\"\naddress = \"{address}\"\nonly = \"outcome.host != 'h2'\"\n"
    ))
    .unwrap();
    assert_eq!(config.name, "toy");

    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let running = Running::open("toy", &journal).unwrap();
    let mut batch = Batch::default();
    for (host, output) in [("h1", "first"), ("h2", "left out"), ("h3", "no\nsuch"), ("h1", "second")] {
        batch.push(&outcome(host, output));
    }
    journal.append(&batch).unwrap();

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (sink, on_journal) = (running.clone(), journal.clone());
    let delivery = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(deliver(&config, sink, on_journal, World::default(), stopped));
    });
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut got: Vec<String> = lines.by_ref().take(2).collect();
    got.sort();
    // Of one host in order; what the toy refuses is a dead letter.
    assert_eq!(got, ["h1 critical first", "h1 critical second"]);
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while running.cursor.position() < journal.next() {
        assert!(std::time::Instant::now() < deadline, "the cursor does not move on");
        std::thread::sleep(Duration::from_millis(5));
    }
    stop.send(true).unwrap();
    delivery.join().unwrap();
    let letters = std::fs::read_to_string(dir.path().join("dead/toy.jsonl")).unwrap();
    assert!(letters.contains("more than one line") && letters.contains("no\\nsuch"), "{letters}");
}
