//! The history of outcomes, with a daemon and without.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{port, remove_folder, run, wait_until};
use crate::watching::get;

/// A pump that stops is critical, whatever else it says is ok.
pub const RULES: &str = r#"
[[rule]]
id = "pump-stopped"
syslog = { program = "pump", message = 'stopped' }
[rule.check]
service = "Pump"
state = "critical"
output = "{{ message }}"

[[rule]]
id = "pump"
syslog = { program = "pump" }
[rule.check]
service = "Pump"
state = "ok"
output = "{{ message }}"
"#;

fn start(history: &str) -> Daemon {
    let mut daemon =
        Daemon::prepare(&format!("[rules]\npaths = [\"own.toml\"]\npacks = []\n{FILE_SINK}{history}"));
    std::fs::write(daemon.path("own.toml"), RULES).unwrap();
    daemon.restart();
    daemon
}

fn send(daemon: &Daemon, text: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!("<13>Nov 20 12:00:01 h1 pump[1]: {text}");
    socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
}

fn history(daemon: &Daemon, args: &[&str]) -> Output {
    trapline().arg("history").args(args).arg("--config").arg(daemon.path("trapline.toml")).output().unwrap()
}

fn printed(daemon: &Daemon, args: &[&str]) -> String {
    let output = history(daemon, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn kept(daemon: &Daemon, count: u64) {
    wait_until("the history has it", || daemon.status()["history"]["rows"] == count);
}

#[test]
fn what_came_is_found_while_the_daemon_runs_and_when_it_does_not() {
    let mut daemon = start("[history]\nmax_size = \"16MiB\"\n");
    wait_until("it begins", || daemon.path("var/history/rollup.db").exists());
    assert!(printed(&daemon, &[]).contains("no outcome is in the history"));
    send(&daemon, "stopped by Operator");
    send(&daemon, "=HYPERLINK(\"http://evil.example\")");
    kept(&daemon, 2);
    let folder = daemon.path("var/history");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let found = printed(&daemon, &["oper", "--host", "H?", "--format", "json"]);
    let row: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&row["state"], &row["output"]), (&"critical".into(), &"stopped by Operator".into()));
    assert_eq!((&row["endpointId"], &row["count"]), (&"h1/Pump".into(), &1.into()));
    let outcomes = daemon.outcomes("out.jsonl");
    assert!(outcomes.iter().any(|outcome| outcome["id"] == row["id"]), "{row}");
    let csv = printed(&daemon, &["--format", "csv", "--state", "ok"]);
    assert!(csv.contains(",\"'=HYPERLINK(\"\"http://evil.example\"\")\","), "{csv}");
    let text = printed(&daemon, &["--changes", "--since", "1h"]);
    assert!(text.contains(" ok (was critical) h1 / Pump: =HYPER"), "{text}");
    assert!(text.contains(" critical h1 / Pump: stopped by") && text.lines().count() == 2, "{text}");
    assert!(!history(&daemon, &["--since", "soon"]).status.success());

    let page = daemon.path("day.html");
    let report = |args: &[&str]| {
        let config = daemon.path("trapline.toml");
        trapline().arg("report").args(args).arg("--config").arg(config).output().unwrap()
    };
    let made = report(&["--output", page.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(std::fs::read_to_string(&page).unwrap().contains("<bdi>h1</bdi></td><td class=\"n\">2</td>"));
    let document: Value = serde_json::from_slice(&report(&["--format", "json"]).stdout).unwrap();
    assert_eq!((&document["outcomes"], &document["changes"]), (&2.into(), &1.into()));
    assert!(!report(&["--since", "soon"]).status.success());

    // A crash: what was written is there, and the next run goes on behind it.
    daemon.kill();
    assert_eq!(printed(&daemon, &["--format", "json"]).lines().count(), 2);
    daemon.restart();
    send(&daemon, "stopped again");
    kept(&daemon, 1);
    assert_eq!(daemon.status()["history"]["missed"], 0);
    daemon.stop();
    let all = printed(&daemon, &["--format", "json", "--reverse"]);
    let rows: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        rows.iter().map(|row| row["state"].as_str().unwrap()).collect::<Vec<_>>(),
        ["critical", "ok", "critical"]
    );
    assert_eq!(rows[2]["previous"], "ok");
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(
        files.iter().all(|file| std::path::Path::new(file).extension().is_some_and(|e| e == "db")),
        "{files:?}"
    );
}

#[test]
fn what_made_nothing_is_in_the_history_with_the_reason() {
    let mut daemon = Daemon::prepare(&format!(
        "[rules]\npaths = [\"own.toml\"]\npacks = []\n{FILE_SINK}[history]\n[[mute]]\nhost = \"h2\"\n"
    ));
    let rules = r#"
        [[rule]]
        id = "again"
        syslog = { program = "pump" }
        dedup = { window = "1h" }
        [rule.check]
        service = "Pump"
        state = "critical"
        output = "{{ message }}"
        [[rule]]
        id = "held"
        syslog = { program = "fan" }
        hold = { for = "1h" }
        [rule.check]
        service = "Fan"
        state = "warning"
        [[rule]]
        id = "noise"
        syslog = { program = "noise" }
        drop = true
    "#;
    std::fs::write(daemon.path("own.toml"), rules).unwrap();
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lines = [
        ("h1", "pump"),
        ("h1", "pump"),
        ("h1", "pump"),
        ("h1", "fan"),
        ("h1", "noise"),
        ("h1", "other"),
        ("h2", "pump"),
    ];
    for (host, program) in lines {
        let line = format!("<13>Nov 20 12:00:01 {host} {program}[1]: stopped");
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    }
    let rows = |args: &[&str]| -> Vec<Value> {
        let printed = printed(&daemon, &[args, &["--format", "json"]].concat());
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let reasons = |args: &[&str]| {
        let mut all: Vec<(String, String, u64)> = Vec::new();
        for row in rows(args) {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            let (why, rule, count) = (text("why"), text("rule"), row["count"].as_u64().unwrap());
            // Where a minute has ended meanwhile there are two rows.
            match all.iter_mut().find(|one| (&one.0, &one.1) == (&why, &rule)) {
                Some(known) => known.2 += count,
                None => all.push((why, rule, count)),
            }
        }
        all.sort();
        all
    };
    let of = |why: &str, rule: &str, count| (why.to_owned(), rule.to_owned(), count);
    let all = [
        of("-", "again", 1),
        of("dropped", "noise", 1),
        of("duplicate", "again", 2),
        of("held", "held", 1),
        of("muted", "again", 1),
        of("unmatched", "", 1),
    ];
    wait_until("every message has its reason", || reasons(&["--untold"]) == all);
    assert_eq!(reasons(&["--why", "held,muted"]), [of("held", "held", 1), of("muted", "again", 1)]);
    assert_eq!(reasons(&[]), [of("-", "again", 1), of("muted", "again", 1)], "only what was asked for");
    let held = rows(&["--why", "held"]).remove(0);
    assert_eq!((&held["state"], &held["service"]), (&"warning".into(), &"Fan".into()), "{held}");
    let dropped = rows(&["--why", "dropped"]).remove(0);
    assert_eq!((&dropped["state"], &dropped["host"]), (&Value::Null, &"h1".into()), "{dropped}");
    let text = printed(&daemon, &["--why", "duplicate"]);
    assert!(text.contains("the same state was told within the window of dedup"), "{text}");
    assert!(!history(&daemon, &["--why", "nothing"]).status.success());
    let kept = daemon.status()["history"].clone();
    assert_eq!((&kept["read"], &kept["rows"]), (&2.into(), &2.into()), "{kept}");
}

#[test]
fn a_history_that_cannot_be_written_stops_nothing_else() {
    let daemon = start("[history]\ndirectory = \"kept\"\n");
    send(&daemon, "one");
    kept(&daemon, 1);
    let folder = daemon.path("kept");
    remove_folder(&folder);
    std::fs::write(&folder, "in the way").unwrap();
    let mut sent = 1;
    wait_until("the failure is said", || {
        send(&daemon, "two");
        sent += 1;
        !daemon.status()["history"]["error"].is_null()
    });
    send(&daemon, "three");
    wait_until("delivery goes on", || daemon.outcomes("out.jsonl").len() == sent + 1);
    daemon.wait_log("the history cannot be written");
    std::fs::remove_file(&folder).unwrap();
    wait_until("it is written again", || daemon.status()["history"]["error"].is_null());
    wait_until("with what the journal still has", || printed(&daemon, &["three"]).contains("three"));

    let config = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("[history]\ndirectory = \"kept\"\n", "");
    std::fs::write(&config, text).unwrap();
    run(trapline().arg("reload").arg("--config").arg(&config));
    wait_until("nothing is kept any more", || daemon.status()["history"].is_null());
}

#[test]
fn what_is_not_ok_is_a_metric_where_that_is_wanted() {
    let (http, closed) = (port(), port());
    let daemon = start(&format!("[history]\n[http]\nlisten = \"127.0.0.1:{http}\"\noutcomes = true\n"));
    let is_listed = || {
        let (status, text) = get(http, "/metrics/outcomes");
        status == 200
            && text.contains(
                "trapline_open_problem_since_seconds{host=\"h1\",service=\"Pump\",state=\"critical\"} ",
            )
    };
    send(&daemon, "stopped by Operator");
    wait_until("it is listed", is_listed);
    send(&daemon, "runs again");
    wait_until("it is gone", || !is_listed());
    assert!(get(http, "/metrics/outcomes").1.contains("trapline_open_problems_cut 0\n"));
    let other = start(&format!("[history]\n[http]\nlisten = \"127.0.0.1:{closed}\"\n"));
    assert_eq!(get(closed, "/metrics/outcomes").0, 404);
    drop(other);
}

#[test]
fn a_report_that_was_missed_is_made_at_the_start_and_once() {
    let reports =
        "[history]\n[[reports]]\nevery = \"day\"\nzone = \"UTC\"\npath = \"made/{{ date }}.html\"\n";
    let mut daemon = start(reports);
    let (state, made) = (daemon.path("var/reports.json"), daemon.path("made"));
    let due = || -> Option<serde_json::Map<String, Value>> {
        serde_json::from_slice(&std::fs::read(&state).ok()?).ok()
    };
    wait_until("its time is kept", || due().is_some());
    assert!(!made.exists(), "what is new begins with its next time");
    daemon.stop();
    let mut kept = due().unwrap();
    assert_eq!(kept.len(), 1);
    kept.values_mut().for_each(|time| *time = 0.into());
    std::fs::write(&state, Value::Object(kept).to_string()).unwrap();
    daemon.restart();
    wait_until("it is kept that it was made", || {
        due().is_some_and(|kept| kept.values().all(|time| *time != 0))
    });
    let files = || -> Vec<std::path::PathBuf> {
        std::fs::read_dir(&made).unwrap().map(|file| file.unwrap().path()).collect()
    };
    let file = files().pop().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains("</html>"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(file).unwrap();
    daemon.stop();
    daemon.restart();
    wait_until("it is ready", || daemon.status()["history"].is_object());
    daemon.stop();
    assert!(files().is_empty(), "it is not made again");
}

/// Programs that open the files to write, as most do that only read, and close them: nothing goes missing.
#[test]
fn other_programs_open_and_close_the_files_while_they_are_written() {
    let mut daemon = start("[history]\n");
    let files = || -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(daemon.path("var/history")).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|end| end == "db")).collect()
    };
    let rows = |path: &std::path::Path| {
        let of_rows = path.file_name().unwrap().to_str().unwrap().starts_with("outcomes");
        let view = if of_rows { "outcomes" } else { "states" };
        let database = rusqlite::Connection::open(path).unwrap();
        let count: i64 =
            database.query_row(&format!("SELECT count(*) FROM {view}"), [], |row| row.get(0)).unwrap();
        database.close().unwrap();
        if of_rows { u64::try_from(count).unwrap() } else { 0 }
    };
    let mut sent = 0;
    for _ in 0..6 {
        for _ in 0..10 {
            send(&daemon, &format!("{sent}"));
            sent += 1;
        }
        kept(&daemon, sent);
        let seen: u64 = files().iter().map(|path| rows(path)).sum();
        assert_eq!(seen, sent);
        for path in files() {
            let beside = path.with_extension("db-wal");
            assert!(beside.exists(), "{} was taken from the daemon", beside.display());
        }
    }
    daemon.kill();
    let printed = printed(&daemon, &["--limit", "100"]);
    assert_eq!(printed.lines().filter(|line| line.contains("Pump")).count() as u64, sent, "{printed}");
}
