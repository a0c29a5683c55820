//! Hostile outcomes through every type of sink: no text of a message makes another record, field, header, mention, part of a
//! path, line or sequence for a terminal.
//!
//! Each sink encodes every hostile outcome, and one of the same shape whose texts are [`values::MARKED`]. What differs must
//! be what is marked. The sinks are those of the examples in docs/sinks/, so that a new type takes part without a change here.

mod formats;
mod syslog;
mod values;

use std::path::{Path, PathBuf};

use self::values::{Hostile, Random};
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Section};
use crate::sinks::piece::Piece;
use crate::sinks::registry::{KINDS, read};
use crate::sinks::settings::Configured;

/// What the examples leave out.
const VARIANTS: [&str; 23] = [
    "type = \"kafka\"\naddresses = [\"h\"]\ntopic = \"a.x{{ outcome.host }}.x{{ outcome.service or 'host' }}.x{{ outcome.output[:20]|upper }}.b\"",
    "type = \"mqtt\"\nurl = \"mqtt://h\"\ntopic = \"a/x{{ outcome.host }}/{{ outcome.service or 'host' }}/{{ outcome.output|upper }}/b\"\nretain = true",
    "type = \"nats\"\nurl = \"nats://h\"\nsubject = \"a.x{{ outcome.host }}.x{{ outcome.service or 'host' }}.x{{ outcome.output|upper }}.b\"",
    "type = \"influxdb\"\nurl = \"http://h\"\nbucket = \"b/&x\"\norg = \"o\"\ntoken = \"t\"",
    "type = \"webhook\"\nurl = \"http://h\"\nfind = { path = \"?q=a^b={{ key }}&l=1\", id = \"/r/0/i\" }\nopen = { path = \"/o\", body = '{\"a\": \"{{ outcome.output }}\", \"k\": \"{{ key }}\"}' }\nclose = { path = \"/{{ found }}/{{ outcome.service or 'x' }}\", body = '{\"a\": \"{{ outcome.output }}\"}' }",
    "type = \"webhook\"\nurl = \"http://h\"\nformat = \"ndjson\"\nbatch = 10",
    "type = \"snmp\"\nto = \"h\"\nsend = \"outcome\"\nuser = \"u\"\nauth = \"SHA-256\"\nauth_password = \"12345678\"\npriv = \"AES-128\"\npriv_password = \"12345678\"",
    "type = \"nagios\"\nmethod = \"centcore\"\npoller = 3\ndirectory = \"d\"",
    "type = \"alertmanager\"\nurls = [\"http://h\"]\nlabels = { text = \"t {{ outcome.output }}\" }\nannotations = { own = \"{{ outcome.host|upper }} x\" }",
    "type = \"email\"\nserver = \"smtp://127.0.0.1\"\nfrom = \"a@b\"\nto = [\"c@d\"]\nsubject = \"{{ outcome.output }}\"\nbody = \"{{ outcome.host }}\\n{{ outcome.long_output }}\"",
    "type = \"zabbix\"\naddresses = [\"h\"]\nhost = \"net-{{ outcome.host }}\"\ndiscovery = false",
    "type = \"syslog\"\nto = \"tcp://h\"\nformat = \"cef\"",
    "type = \"syslog\"\nto = \"tcp://h\"\nformat = \"leef\"",
    "type = \"nagios\"\nmethod = \"spool\"\ncheck_result_path = \"d\"",
    "type = \"nsca\"\naddress = \"h\"\nencryption_method = 1\npassword = \"p\"\noutput_size = 512",
    "type = \"alignak\"\nmethod = \"host\"\nurl = \"http://h\"",
    "type = \"canopsis\"\nurl = \"amqp://h/v\"",
    "type = \"canopsis\"\nurl = \"http://h/v\"",
    "type = \"amqp\"\nurl = \"amqp://h/v\"\nrouting_key = \"a.{{ outcome.host }}.{{ outcome.service or 'host' }}.b\"",
    "type = \"webhook\"\nurl = \"http://h\"\npath = \"/h/{{ outcome.host }}/s/{{ outcome.service or 'host' }}?o={{ outcome.output }}&x=1\"\nbody = \"h={{ outcome.host }}&o={{ outcome.output|upper }}&x=1\"\nformat = \"form\"",
    "type = \"webhook\"\nurl = \"http://h\"\nformat = \"text\"\nbody = \"{{ outcome.host }} {{ outcome.output }}\"",
    "type = \"webhook\"\nurl = \"http://h\"\nformat = \"slack\"\nbody = '''{\"text\": \"<!here> *{{ outcome.host }}* {{ outcome.output|replace('&', '<')|safe }}\"}'''",
    "type = \"webhook\"\nurl = \"http://h\"\nformat = \"markdown\"\nbody = '{\"text\": \"**{{ outcome.host }}** {{ outcome.output[:40] }} [a](b)\"}'",
];

/// A sink and the lines that configure it.
struct Target {
    lines: String,
    sink: Configured,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn configured(lines: &str, folder: &Path) -> Target {
    let source = SourceText { file: "t.toml", text: lines };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap_or_else(|| panic!("{}", found.to_text()));
    let section = Section::new(&source, root.get_ref(), root.span(), "[[sinks]]");
    let resolve = |path: &str| -> PathBuf {
        let certificate = path.ends_with("crt") || path.ends_with("pem");
        if certificate { repository().join("tests/e2e/authority.pem") } else { folder.join("secret") }
    };
    let sink = read(KINDS, &section, &resolve, &mut found);
    assert!(!found.has_errors(), "{lines}\n{}", found.to_text());
    Target { lines: lines.to_owned(), sink: sink.unwrap().sink }
}

/// The `[[sinks]]` entries of a page.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1).filter_map(|block| block.split("\n```").next());
    let entries = blocks.flat_map(|block| block.split("[[sinks]]\n").skip(1));
    entries.map(|entry| entry.split("\n[").next().unwrap_or_default().to_owned()).collect()
}

fn targets(folder: &Path) -> Vec<Target> {
    std::fs::write(folder.join("secret"), "a long enough secret\n").unwrap();
    let mut all = Vec::new();
    for kind in KINDS {
        let page = repository().join(format!("docs/sinks/{}.md", kind.name));
        let page =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let own = format!("type = \"{}\"", kind.name);
        let examples = examples(&page);
        assert!(
            examples.iter().any(|lines| lines.contains(&own)),
            "docs/sinks/{}.md has no example",
            kind.name
        );
        all.extend(examples);
    }
    all.extend(VARIANTS.map(str::to_owned));
    all.iter().map(|lines| configured(lines, folder)).collect()
}

fn pieces(target: &Target, outcome: &Outcome<'_>) -> Option<Vec<Piece>> {
    let record = Record { epoch: 1, sequence: 2, outcome: outcome.clone() };
    // What cannot be sent is a dead letter; that its reason is one clean line is a property of its type.
    target.sink.pieces(&record)?.map_err(|reason| assert!(!reason.as_str().is_empty())).ok()
}

/// One hostile outcome through every sink. Returns how many send it.
fn hold(targets: &[Target], hostile: &Hostile) -> usize {
    let outcome = hostile.outcome();
    let marked = hostile.marked();
    let mut payload = Vec::new();
    codec::encode(&outcome, &mut payload);
    assert_eq!(codec::decode(&payload).as_ref(), Some(&outcome));
    let mut sent = 0;
    for target in targets {
        let Some(pieces) = pieces(target, &outcome) else { continue };
        let expected =
            self::pieces(target, &marked).unwrap_or_else(|| panic!("{}: not even marks", target.lines));
        let context = || format!("{}\n{hostile:?}", target.lines);
        assert_eq!(pieces.len(), expected.len(), "{}", context());
        for (piece, expected) in pieces.iter().zip(&expected) {
            if let Err(why) = formats::differs(expected, piece, hostile) {
                panic!("{}\nsent: {}\n{why}", context(), String::from_utf8_lossy(&piece.bytes));
            }
        }
        sent += 1;
    }
    sent
}

#[test]
fn no_value_leaves_its_place_in_any_sink() {
    let number = std::env::var("TRAPLINE_HOSTILE_OUTCOMES").ok().and_then(|text| text.parse().ok());
    let number: u64 = number.unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    let mut targets = targets(folder.path());
    // Some types only, as in `TRAPLINE_HOSTILE_SINKS=kafka,nats`.
    if let Ok(types) = std::env::var("TRAPLINE_HOSTILE_SINKS") {
        let is_of = |lines: &str, name: &str| lines.contains(&format!("type = \"{name}\""));
        targets.retain(|target| types.split(',').any(|name| is_of(&target.lines, name)));
    }
    let mut sent = 0;
    for seed in 0..number {
        sent += hold(&targets, &Hostile::new(&mut Random::new(seed)));
    }
    println!("{number} hostile outcomes, {} sinks: {sent} times sent", targets.len());
    // Most are sent all the same: names that do not fit are a part only.
    assert!(sent as u64 > number * targets.len() as u64 / 4, "{sent}");
}

#[test]
fn octets_that_are_no_utf8_are_no_outcome() {
    let hostile = Hostile::new(&mut Random::new(1));
    let mut payload = Vec::new();
    codec::encode(&hostile.marked(), &mut payload);
    let at = payload.windows(4).position(|window| window == b"MARK").unwrap();
    payload[at] = 0xff;
    assert_eq!(codec::decode(&payload), None);
}
