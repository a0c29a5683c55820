//! What is in memory, and what a restart makes of it: the table of `docs/architecture.md`, compared with the code. Each lock and each
//! static holds something that lives long. So each of them stands here with its row of the table, or with the reason why it has none.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clocks::program;
use crate::source::Sources;

/// The page with the table, and the heading above it.
const PAGE: &str = "docs/architecture.md";
const HEADING: &str = "## What is in memory, and what a restart makes of it";

/// Why something has a row, or has none.
enum Why {
    /// The first words of the row.
    Row(&'static str),
    /// It follows from the files of the configuration or from messages, is of a connection, or is of tests.
    No(&'static str),
}

use Why::{No, Row};

/// Locks and statics: the file, the names of the fields, and why.
const LOCKS: &[(&str, &[&str], Why)] = &[
    ("src/body/bodies.rs", &["Bodies"], No("the forms of one message")),
    ("src/capture/buffer.rs", &["waiting"], Row("captured messages")),
    ("src/capture/buffer.rs", &["wanted"], Row("rules, hosts, users, MIB names")),
    ("src/daemon/assembly.rs", &["parts"], Row("rules, hosts, users, MIB names")),
    ("src/daemon/awaited.rs", &["Awaited"], Row("rules, hosts, users, MIB names")),
    ("src/daemon/control.rs", &["bound"], No("the control socket, which is made anew")),
    ("src/daemon/slots.rs", &["begun"], No("a sink that starts or stops at a reload")),
    ("src/files/faulty.rs", &["state", "names", "safe_names", "removed", "content"], No("the disk of tests")),
    ("src/files/system.rs", &["root"], No("the handle of a directory")),
    ("src/history/counters.rs", &["error"], Row("refused senders by reason")),
    ("src/inbound/accept.rs", &["Table"], Row("refused senders by reason")),
    ("src/inbound/places.rs", &["Places"], No("the streams that are open")),
    ("src/inbox/store.rs", &["state"], Row("unmatched messages")),
    ("src/intake/board.rs", &["entries"], Row("refused senders by reason")),
    ("src/intake/commit.rs", &["informs"], Row("informs that were answered")),
    ("src/intake/commit.rs", &["waiting"], Row("outcomes that the journal refuses")),
    ("src/intake/correlation.rs", &["state"], Row("state of rules")),
    ("src/intake/forward/desk.rs", &["jobs"], Row("packets that wait to be forwarded")),
    ("src/intake/forward/desk.rs", &["counts"], Row("refused senders by reason")),
    ("src/intake/http/desk.rs", &["pipeline", "sent"], No("the requests that are open")),
    ("src/intake/http/latest.rs", &["state"], Row("the last report of each service")),
    ("src/intake/mutes.rs", &["state"], Row("mutes by command")),
    ("src/intake/mutes.rs", &["order"], No("who writes into the journal at the moment")),
    ("src/intake/refused.rs", &["Refusals"], Row("senders: first and last message")),
    ("src/intake/senders.rs", &["table"], Row("senders: first and last message")),
    ("src/intake/serve.rs", &["file"], No("a socket file, which is made anew")),
    ("src/intake/shared.rs", &["reports"], Row("how many Reports")),
    ("src/intake/shared.rs", &["in_force"], Row("rules, hosts, users, MIB names")),
    ("src/intake/shared.rs", &["beats"], No("the threads that run")),
    ("src/intake/storms.rs", &["kinds", "open"], Row("storms under way")),
    ("src/intake/taken.rs", &["files"], Row("informs that were answered")),
    ("src/intake/taken.rs", &["syncing"], No("who syncs at the moment")),
    ("src/intake/tap.rs", &["state"], No("those who look on at the moment")),
    ("src/intake/untold.rs", &["state"], Row("messages that made nothing")),
    ("src/intake/waiting.rs", &["state"], Row("datagrams that wait")),
    ("src/journal/cursor.rs", &["kept"], Row("what each sink has delivered")),
    ("src/journal/log.rs", &["syncing", "locked"], Row("outcomes that were committed")),
    ("src/journal/log.rs", &["receipts"], Row("when outcomes of the journal were received")),
    ("src/journal/spare.rs", &["COUNT"], No("a number that makes names of files differ")),
    ("src/journal/visible.rs", &["state"], Row("outcomes that were committed")),
    ("src/language/jinja.rs", &["calls"], No("the functions of one template")),
    ("src/maker/workshop.rs", &["full"], Row("rules, hosts, users, MIB names")),
    ("src/lookup/board.rs", &["Board"], Row("tables of `[[lookups]]`")),
    ("src/lookup/reverse.rs", &["state"], Row("names by reverse DNS")),
    ("src/rules/looks.rs", &["used", "newest", "Lookers"], Row("tables of `[[lookups]]`")),
    ("src/sinks/stats.rs", &["error"], Row("refused senders by reason")),
    ("src/snmp/usm/memory.rs", &["senders"], Row("clocks of SNMPv3 senders")),
    ("src/snmp/usm/open.rs", &["cache"], Row("rules, hosts, users, MIB names")),
    ("src/status.rs", &["reloads", "Health"], Row("refused senders by reason")),
    ("src/status.rs", &["recent"], Row("losses of the last ten minutes")),
    ("src/status.rs", &["minutes"], Row("what came in each of the last 60 minutes")),
    ("src/status.rs", &["sinks", "workshop"], Row("rules, hosts, users, MIB names")),
    ("src/terminal.rs", &["ONLY_PRINTS"], No("whether a command has other work than to print")),
    ("src/time/clock.rs", &["TestClock"], No("the clock of tests")),
    ("src/time/log_limit.rs", &["Line", "known"], Row("refused senders by reason")),
    ("src/web/api/access.rs", &["state"], Row("sessions of the console")),
    ("src/web/api/access.rs", &["writing"], No("who writes the file of sessions at the moment")),
    ("src/web/api/limits.rs", &["turns"], No("requests that are at work")),
    ("src/web/feed.rs", &["inner"], Row("the last outcomes for streams")),
    ("src/web/server.rs", &["rules"], Row("rules, hosts, users, MIB names")),
];

/// What one thread or task has for itself: the file, the type, and the row.
const OWNED: &[(&str, &str, &str)] = &[
    ("src/history/part.rs", "Part", "the history"),
    ("src/daemon/reports.rs", "Done", "when the last report"),
    ("src/sinks/machine.rs", "Machine", "retries, pauses and order"),
    ("src/sinks/machine.rs", "Machine", "how long a server has refused"),
    ("src/sinks/memory.rs", "Memory", "what a sink has told its server"),
    ("src/intake/follow/store.rs", "Store", "where reading files goes on"),
    ("src/intake/streams.rs", "Stream", "messages of a stream"),
    ("src/snmp/usm/open.rs", "Usm", "engine id and boots"),
    ("src/snmp/usm/room.rs", "Room", "rules, hosts, users, MIB names"),
    ("src/intake/storm_buckets.rs", "Buckets", "how much a sender may send"),
];

/// The first cell of each row of the table.
fn rows(page: &str) -> Vec<&str> {
    let (_, behind) = page.split_once(HEADING).unwrap();
    let table = behind.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_start_matches('|').split('|').next().unwrap().trim()).collect()
}

/// The names of the fields, tuple structs and statics of a file that hold a lock or are changed by all.
fn locks(text: &str) -> Vec<&str> {
    let shared =
        |of: &str| ["Mutex<", "RwLock<", "AtomicU64", "AtomicBool"].iter().any(|kind| of.contains(kind));
    let name = |of: &'static str, line: &str| line.trim_start().starts_with(of);
    let mut found = Vec::new();
    for line in program(text) {
        let is_code = ["fn ", "->", "let ", "use ", "impl", "type ", "static METER"]
            .iter()
            .any(|word| line.contains(word));
        let (is_static, is_tuple) =
            (name("static ", line) || name("pub static ", line), line.contains("struct "));
        let lock = line.contains("Mutex<") || line.contains("RwLock<") || line.contains("(OnceLock<");
        if is_code || !(lock || (is_static && shared(line))) {
            continue;
        }
        let until = if is_tuple { '(' } else { ':' };
        let before = line.split(until).next().unwrap_or_default();
        found.extend(before.rsplit(' ').next().map(|name| name.split('<').next().unwrap_or(name)));
    }
    found
}

#[test]
fn what_is_in_memory_stands_in_the_table_of_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    let rows = rows(&page);
    let sources = Sources::read(root, &["src"]).unwrap();
    let is_test = |file: &str| file.ends_with("tests.rs") || file.ends_with("model.rs");
    let found: BTreeSet<(String, String)> = (sources.0.iter())
        .filter(|(file, _)| !is_test(file))
        .flat_map(|(file, text)| locks(text).into_iter().map(|name| (file.clone(), name.to_owned())))
        .collect();
    let listed: BTreeSet<(String, String)> = LOCKS
        .iter()
        .flat_map(|(file, names, _)| names.iter().map(|name| ((*file).to_owned(), (*name).to_owned())))
        .collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(
        new.is_empty(),
        "say in {PAGE} what a restart makes of these, and list them in this test: {new:#?}"
    );
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "these are not there any more: {gone:#?}");

    let of_locks = LOCKS.iter().filter_map(|(file, _, why)| match why {
        Row(row) => Some((*file, *row)),
        No(why) => {
            assert!(!why.is_empty());
            None
        }
    });
    let named: Vec<(&str, &str)> = of_locks.chain(OWNED.iter().map(|(file, _, row)| (*file, *row))).collect();
    for (file, row) in &named {
        assert!(rows.iter().any(|known| known.starts_with(row)), "{PAGE} has no row '{row}' of {file}");
    }
    for row in &rows {
        assert!(
            named.iter().any(|(_, named)| row.starts_with(named)),
            "what in the code is '{row}' of {PAGE}?"
        );
    }
    for (file, name, _) in OWNED {
        let there = sources.0.get(*file).is_some_and(|text| {
            ["struct", "enum"].iter().any(|kind| text.contains(&format!("{kind} {name}")))
        });
        assert!(there, "{file} has no {name}");
    }
}
