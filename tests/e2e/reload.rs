//! Reloads: what changes, what goes on, what is refused.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use trapline::message::{NotificationKind, Version};
use trapline::snmp::encode;

use crate::daemon::{Daemon, FILE_SINK, json_lines, output};
use crate::hostile::notification;
use crate::support::{Ends, Random, let_pass, pace, port, read, run, times, wait_until};

/// Traps become events with their text, lines `sN NUMBER` a result of service sN.
const RULES: &str = "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ v[1] }}\"\n\
    [[rule]]\nid = \"n\"\nsyslog = { message = '^(?<service>s\\d+) (?<number>\\d+)$' }\n[rule.check]\nhost = \"h\"\n\
    service = \"{{ service }}\"\nstate = \"ok\"\noutput = \"{{ number }}\"\n";

/// How long the longest pause may be on a loaded machine.
const PAUSE: Duration = Duration::from_secs(5);

pub fn prepare(rest: &str) -> Daemon {
    let daemon = Daemon::prepare(&format!("{rest}\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon
}

fn file_sink(name: &str) -> String {
    format!("[[sinks]]\nname = \"{name}\"\ntype = \"file\"\npath = \"DIR/{name}.jsonl\"\n")
}

fn pipe_sink(name: &str) -> String {
    format!("[[sinks]]\nname = \"{name}\"\ntype = \"nagios\"\ncommand_file = \"DIR/{name}.pipe\"\n")
}

fn config(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.path("trapline.toml")).unwrap()
}

/// Replaces a part of the configuration, which must be there.
fn edit(daemon: &Daemon, from: &str, to: &str) {
    let dir = daemon.dir.path().to_str().unwrap();
    let (from, to, text) = (from.replace("DIR", dir), to.replace("DIR", dir), config(daemon));
    assert!(text.contains(&from), "{from} in {text}");
    std::fs::write(daemon.path("trapline.toml"), text.replacen(&from, &to, 1)).unwrap();
}

fn command(daemon: &Daemon, args: &[&str]) -> Output {
    let config = daemon.path("trapline.toml").display().to_string();
    output(&[args, &["--config", &config]].concat())
}

fn reload(daemon: &Daemon) -> Value {
    let done = command(daemon, &["reload", "--json"]);
    assert!(done.status.success(), "{done:?}\n{}", daemon.log());
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What a reload says that is refused.
fn refused(daemon: &Daemon) -> String {
    let before = daemon.status();
    let done = command(daemon, &["reload"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let after = daemon.status();
    assert_eq!(names(&before["sinks"]), names(&after["sinks"]));
    let count = |status: &Value| status["reloads"]["refused"].as_u64().unwrap();
    assert_eq!(count(&after), count(&before) + 1);
    String::from_utf8(done.stderr).unwrap()
}

fn names(sinks: &Value) -> Vec<String> {
    sinks.as_array().unwrap().iter().map(|sink| sink["name"].as_str().unwrap().to_owned()).collect()
}

fn unconfigured(daemon: &Daemon) -> Vec<(String, u64)> {
    let status = daemon.status();
    let sinks = status["unconfigured_sinks"].as_array().unwrap();
    let one = |sink: &Value| (sink["name"].as_str().unwrap().to_owned(), sink["behind"].as_u64().unwrap());
    sinks.iter().map(one).collect()
}

fn cursors(daemon: &Daemon) -> Vec<String> {
    let entries = std::fs::read_dir(daemon.path("var/cursors")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sends lines with these numbers by TCP, on a stream of their own.
pub fn lines(port: u16, numbers: std::ops::Range<u64>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for n in numbers {
        writeln!(stream, "<13>Nov 20 12:00:00 h t: s{} {n}", n % 10).unwrap();
    }
}

/// The numbers of the outcomes in a file, in their order.
fn sequences(path: &Path) -> Vec<u64> {
    let id = |outcome: &Value| outcome["id"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap();
    json_lines(path).iter().map(id).collect()
}

fn contiguous(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Reads a command file: the number of each result, and when it came.
fn read_pipe(path: &Path) -> Arc<Mutex<Vec<(u64, Instant)>>> {
    run(Command::new("mkfifo").arg(path));
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let results = Arc::new(Mutex::new(Vec::new()));
    let kept = results.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(file).lines() {
            let number = line.unwrap().rsplit_once(';').unwrap().1.parse().unwrap();
            kept.lock().unwrap().push((number, Instant::now()));
        }
    });
    results
}

/// The median, the 99th percentile and the largest of some durations, in milliseconds.
fn percentiles(mut all: Vec<Duration>) -> String {
    if all.is_empty() {
        return "nothing came".to_owned();
    }
    all.sort();
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms", at(0.5), at(0.99), at(1.0))
}

#[test]
fn a_reload_under_20_000_a_second_loses_nothing_repeats_nothing_and_pauses_nobody() {
    const A_SECOND: u64 = 20_000;
    /// Lines that are received before the reload, and after it.
    const EACH: u64 = 2 * A_SECOND;
    let sinks = ["kept", "gone", "changed"].map(file_sink).concat() + &pipe_sink("core");
    let mut daemon = prepare(&sinks);
    let results = read_pipe(&daemon.path("core.pipe"));
    daemon.restart();
    let new = port();
    let done = AtomicBool::new(false);
    let (sent, traps, reloaded) = std::thread::scope(|scope| {
        let ends = Ends(&done);
        // One stream, so that its order is that of the numbers.
        let lines = scope.spawn(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
            let (start, mut sent) = (Instant::now(), Vec::new());
            while !done.load(Ordering::Relaxed) {
                let due = (start.elapsed().as_secs_f64() * A_SECOND as f64) as usize;
                let mut text = String::new();
                for n in sent.len()..due {
                    text.push_str(&format!("<13>Nov 20 12:00:00 h t: s{} {n}\n", n % 100));
                }
                stream.write_all(text.as_bytes()).unwrap();
                sent.resize(due.max(sent.len()), Instant::now());
                pace(Duration::from_millis(1));
            }
            sent
        });
        let traps = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (start, mut sent) = (Instant::now(), 0);
            while !done.load(Ordering::Relaxed) {
                while sent < (start.elapsed().as_secs_f64() * 1000.0) as i32 {
                    let text = sent.to_string();
                    let trap = notification(NotificationKind::Trap, Version::V2c, &text, sent);
                    socket.send_to(&encode::encode(&trap), ("127.0.0.1", daemon.snmp)).unwrap();
                    sent += 1;
                }
                pace(Duration::from_millis(1));
            }
            sent as u64
        });
        daemon.wait_count("syslog_received", EACH);
        edit(&daemon, &file_sink("gone"), &file_sink("added"));
        edit(&daemon, "changed.jsonl", "changed-2.jsonl");
        let listen = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
        edit(&daemon, &listen, &format!("{listen}, \"tcp://127.0.0.1:{new}\""));
        let start = Instant::now();
        let result = reload(&daemon);
        let reloaded = (start, Instant::now());
        assert_eq!(result["sinks"]["added"], serde_json::json!(["added"]));
        assert_eq!(result["sinks"]["removed"], serde_json::json!(["gone"]));
        assert_eq!(result["sinks"]["changed"], serde_json::json!(["changed"]));
        assert_eq!(result["listeners"]["added"], serde_json::json!([format!("syslog 127.0.0.1:{new}/tcp")]));
        let received = daemon.status()["intake"]["syslog_received"].as_u64().unwrap();
        daemon.wait_count("syslog_received", received + EACH);
        drop(ends);
        (lines.join().unwrap(), traps.join().unwrap(), reloaded)
    });
    // The new listener takes lines, too.
    let count = sent.len() as u64;
    daemon.wait_count("syslog_received", count);
    lines(new, count..count + 100);
    daemon.wait_count("syslog_received", count + 100);
    wait_until("all is delivered", || {
        daemon.status()["sinks"].as_array().unwrap().iter().all(|sink| sink["behind"] == 0)
    });
    let status = daemon.status();
    assert_eq!(names(&status["sinks"]), ["kept", "added", "changed", "core"]);
    assert_eq!(status["problems"], serde_json::json!([]));
    let intake = |counter: &str| status["intake"][counter].as_u64().unwrap();
    assert_eq!(intake("syslog_received"), count + 100);
    wait_until("all traps are accounted for", || {
        let intake = daemon.status()["intake"].clone();
        intake["snmp_received"].as_u64().unwrap() + intake["kernel_drops"].as_u64().unwrap() == traps
    });
    let next = daemon.status()["journal"]["next"].as_u64().unwrap();
    assert_eq!(next - 1, count + 100 + traps - intake("kernel_drops"), "an outcome for each");
    // Each sink has all that it should have, once, in order.
    let kept = sequences(&daemon.path("kept.jsonl"));
    assert!(contiguous(&kept) && kept.first() == Some(&1) && kept.last() == Some(&(next - 1)));
    let mut changed = sequences(&daemon.path("changed.jsonl"));
    let switched = changed.len();
    changed.extend(sequences(&daemon.path("changed-2.jsonl")));
    assert!(changed == kept, "each once, in order, before or behind the change");
    assert!(switched > 0 && switched < changed.len());
    let gone = sequences(&daemon.path("gone.jsonl"));
    assert!(gone == kept[..gone.len()] && !gone.is_empty(), "all that came before it ended");
    let added = sequences(&daemon.path("added.jsonl"));
    assert!(contiguous(&added) && added.last() == Some(&(next - 1)) && added.len() < kept.len());
    assert_eq!(unconfigured(&daemon), [("gone".to_owned(), next - 1 - gone.len() as u64)]);
    // The core has each result once, in order, and never waited long.
    wait_until("the core has read all", || results.lock().unwrap().len() as u64 >= count + 100);
    let results = results.lock().unwrap();
    let wrong = results.iter().map(|(number, _)| *number).enumerate().find(|(at, n)| *at as u64 != *n);
    assert_eq!((wrong, results.len() as u64), (None, count + 100));
    let window = (reloaded.0, reloaded.1 + Duration::from_millis(500));
    let (mut within, mut outside) = (Vec::new(), Vec::new());
    let mut longest = Duration::ZERO;
    for pair in results[..count as usize].windows(2) {
        let (number, came) = pair[1];
        let latency = came.saturating_duration_since(sent[number as usize]);
        if came > window.0 && came < window.1 {
            within.push(latency);
            longest = longest.max(came - pair[0].1);
        } else {
            outside.push(latency);
        }
    }
    println!(
        "{count} lines and {traps} traps; the reload took {:.0} ms; longest gap at the core during it {:.1} ms",
        (reloaded.1 - reloaded.0).as_secs_f64() * 1000.0,
        longest.as_secs_f64() * 1000.0
    );
    println!("from socket to core: during the reload {}; else {}", percentiles(within), percentiles(outside));
    assert!(longest < PAUSE, "{longest:?}");
}

#[test]
fn a_refused_reload_says_all_that_is_wrong_and_changes_nothing() {
    let http = port();
    let mut daemon = prepare(&format!("{FILE_SINK}[http]\nlisten = \"127.0.0.1:{http}\"\n"));
    daemon.restart();
    let good = config(&daemon);
    let before = cursors(&daemon);
    let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (UdpSocket::bind("127.0.0.1:0").unwrap(), tcp(), tcp());
    let of = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports = (taken.0.local_addr().unwrap().port(), of(&taken.1), of(&taken.2));
    // A rule, three ports, and sinks that would be new or changed.
    std::fs::write(daemon.path("rules.toml"), RULES.replacen("v[1]", "nonsens", 1)).unwrap();
    let listen = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
    edit(&daemon, &listen, &format!("\"udp://127.0.0.1:{}\",\n  \"tcp://127.0.0.1:{}\"", ports.0, ports.1));
    edit(&daemon, &format!("127.0.0.1:{http}"), &format!("127.0.0.1:{}", ports.2));
    edit(&daemon, "out.jsonl", "other.jsonl");
    edit(&daemon, FILE_SINK.lines().next().unwrap(), &format!("{}[[sinks]]", file_sink("new")));
    let said = refused(&daemon);
    let toml = config(&daemon);
    let place = |of: &str| {
        let (line, text) = toml.lines().enumerate().find(|(_, line)| line.contains(of)).unwrap();
        format!("trapline.toml:{}:{}: error: cannot listen on ", line + 1, text.find(of).unwrap() + 1)
    };
    for expected in [
        format!("{}127.0.0.1:{}/udp: ", place(&format!("\"udp://127.0.0.1:{}\"", ports.0)), ports.0),
        format!("{}127.0.0.1:{}/tcp: ", place(&format!("\"tcp://127.0.0.1:{}\"", ports.1)), ports.1),
        format!("{}127.0.0.1:{}/tcp: ", place(&format!("\"127.0.0.1:{}\"", ports.2)), ports.2),
        "rules.toml:6:14: error: unknown variable 'nonsens'".to_owned(),
        "not reloaded: the configuration and the rules from before stay in force".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    assert_eq!(cursors(&daemon), before, "no cursor of a sink that was not started");
    // Nothing has changed: the same ports, rules and sinks.
    lines(daemon.syslog_tcp, 0..3);
    daemon.trap(&["1.3.6.1.4.1.9.0.1", "1.3.6.1.4.1.9.1", "s", "x"]);
    wait_until("all of it came", || daemon.outcomes("out.jsonl").len() == 4);
    let ready =
        || Command::new("curl").args(["-sf", &format!("http://127.0.0.1:{http}/ready")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ready().stdout), "ready\n");
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    // What a section says that is wrong, and what needs a restart.
    let place = regex::Regex::new(r"trapline\.toml:\d+:\d+: error: ").unwrap();
    for (from, to, expected) in [
        ("type = \"file\"", "type = \"flie\"", "there is no sink of type 'flie'; did you mean 'file'?"),
        (
            "path = \"DIR/out.jsonl\"",
            "pth = \"DIR/out.jsonl\"",
            "unknown key 'pth' in [[sinks]]; did you mean 'path'?",
        ),
        (
            "[http]",
            "[journal]\nmax_size = \"2MiB\"\n[http]",
            "[journal] max_size cannot be changed by a reload; restart",
        ),
        (
            "[http]",
            "[journal]\nsync = \"never\"\n[http]",
            "[journal] sync cannot be changed by a reload; restart",
        ),
    ] {
        std::fs::write(daemon.path("trapline.toml"), &good).unwrap();
        edit(&daemon, from, to);
        let said = refused(&daemon);
        assert!(place.is_match(&said) && said.contains(expected), "{said}");
    }
    // The same by signal, and in the status.
    daemon.reload();
    wait_until("refused again", || daemon.status()["reloads"]["refused"] == 6);
    assert!(daemon.status()["reloads"]["error"].as_str().unwrap().contains("[journal] sync cannot"));
    std::fs::write(daemon.path("trapline.toml"), &good).unwrap();
    assert_eq!(reload(&daemon)["sinks"]["changed"], serde_json::json!([]));
    assert_eq!(daemon.status()["reloads"]["error"], Value::Null);
}

#[test]
fn a_port_goes_from_one_listener_to_another_in_two_reloads() {
    let mut daemon = prepare(FILE_SINK);
    daemon.restart();
    let udp = format!("\"udp://127.0.0.1:{}\", ", daemon.syslog_udp);
    let any = format!("\"udp://0.0.0.0:{}\", ", daemon.syslog_udp);
    edit(&daemon, &udp, &any);
    let said = refused(&daemon);
    assert!(said.contains("this daemon's own listener syslog 127.0.0.1:"), "{said}");
    edit(&daemon, &any, "");
    assert_eq!(reload(&daemon)["listeners"]["removed"].as_array().unwrap().len(), 1);
    edit(&daemon, "[syslog]\nlisten = [", &format!("[syslog]\nlisten = [{any}"));
    assert_eq!(reload(&daemon)["listeners"]["added"].as_array().unwrap().len(), 1);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"<13>Nov 20 12:00:00 h t: s1 7", ("127.0.0.1", daemon.syslog_udp)).unwrap();
    wait_until("it listens", || daemon.outcomes("out.jsonl").len() == 1);
}

#[test]
fn streams_stay_open_and_http_and_the_log_change() {
    let (old, new) = (port(), port());
    let mut daemon = prepare(&format!("{FILE_SINK}[http]\nlisten = \"127.0.0.1:{old}\"\n"));
    daemon.restart();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    writeln!(stream, "<13>Nov 20 12:00:00 h t: s1 1").unwrap();
    wait_until("it came", || daemon.outcomes("out.jsonl").len() == 1);
    edit(&daemon, &format!("127.0.0.1:{old}"), &format!("127.0.0.1:{new}"));
    edit(&daemon, "[http]", "[log]\nformat = \"json\"\n[http]");
    edit(&daemon, "[syslog]\n", "[syslog]\nmax_connections = 1\n");
    let result = reload(&daemon);
    assert_eq!(result["listeners"]["removed"], serde_json::json!([format!("HTTP 127.0.0.1:{old}/tcp")]));
    writeln!(stream, "<13>Nov 20 12:00:00 h t: s1 2").unwrap();
    wait_until("the stream is open still", || daemon.outcomes("out.jsonl").len() == 2);
    let get = |port: u16| {
        Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/ready")]).output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&get(new).stdout), "ready\n");
    wait_until("the port of before is closed", || !get(old).status.success());
    let last = daemon.log().lines().last().unwrap().to_owned();
    let last: Value = serde_json::from_str(&last).unwrap_or_else(|e| panic!("{e}: {last}"));
    assert!(last["message"].as_str().unwrap().starts_with("reloaded: "), "{last}");
}

#[test]
fn a_renamed_sink_goes_on_where_it_was() {
    let mut daemon = prepare(&(pipe_sink("old") + FILE_SINK));
    daemon.restart();
    lines(daemon.syslog_tcp, 0..50);
    daemon.wait_count("outcomes", 50);
    let letter = r#"{"id":"0000000000000001-1","sink":"old","died":"2026-01-01T00:00:00Z","reason":"no","outcome":{}}"#;
    std::fs::create_dir_all(daemon.path("var/dead")).unwrap();
    std::fs::write(daemon.path("var/dead/old.jsonl"), format!("{letter}\n")).unwrap();
    let behind = |name: &str| {
        let status = daemon.status();
        let sinks = status["sinks"].as_array().unwrap().iter();
        sinks.clone().find(|sink| sink["name"] == name).and_then(|sink| sink["behind"].as_u64())
    };
    // While it runs.
    edit(&daemon, "name = \"old\"", "name = \"new\"\nwas = \"old\"");
    let result = reload(&daemon);
    assert_eq!(result["sinks"]["renamed"], serde_json::json!(["old -> new"]));
    assert_eq!((result["unconfigured_sinks"].clone(), behind("new")), (serde_json::json!([]), Some(50)));
    assert_eq!(cursors(&daemon), ["new", "out"]);
    let listed = command(&daemon, &["dead", "list", "new"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("0000000000000001-1"), "{listed:?}");
    // A former name counts once: the sink has a cursor of its own now.
    assert_eq!(reload(&daemon)["sinks"]["renamed"], serde_json::json!([]));
    // While it does not run.
    daemon.stop();
    edit(&daemon, "name = \"new\"\nwas = \"old\"", "name = \"newest\"\nwas = \"new\"");
    daemon.restart();
    assert_eq!(cursors(&daemon), ["newest", "out"]);
    assert_eq!(unconfigured(&daemon), []);
    // A letter from before the start.
    let status = String::from_utf8(command(&daemon, &["status"]).stdout).unwrap();
    assert!(status.contains("    1 dead letters wait; see `trapline dead list newest`\n"), "{status}");
    let results = read_pipe(&daemon.path("old.pipe"));
    lines(daemon.syslog_tcp, 50..60);
    wait_until("the core has all", || results.lock().unwrap().len() >= 60);
    wait_until("all is delivered", || daemon.status()["sinks"][0]["behind"] == 0);
    // While nobody read the pipe, one service was tried before the others.
    let mut numbers: Vec<u64> = results.lock().unwrap().iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
}

#[test]
fn sinks_that_are_not_configured_keep_their_backlog_until_they_are_forgotten() {
    let mut daemon = prepare(&(pipe_sink("slow") + &pipe_sink("slower") + FILE_SINK));
    daemon.restart();
    lines(daemon.syslog_tcp, 0..50);
    daemon.wait_count("outcomes", 50);
    let both = pipe_sink("slow") + &pipe_sink("slower");
    edit(&daemon, &both, "");
    let result = reload(&daemon);
    assert_eq!(result["sinks"]["removed"], serde_json::json!(["slow", "slower"]));
    assert_eq!(result["unconfigured_sinks"], serde_json::json!(["slow", "slower"]));
    daemon.wait_log("sink 'slow' is not configured: the journal keeps 50 outcomes for it");
    lines(daemon.syslog_tcp, 50..60);
    daemon.wait_count("outcomes", 60);
    let sixty = [("slow".to_owned(), 60), ("slower".to_owned(), 60)];
    assert_eq!(unconfigured(&daemon), sixty);
    // So it is after a restart, which says so.
    daemon.stop();
    let said = daemon.log().matches("sink 'slow' is not configured").count();
    daemon.restart();
    wait_until("it is said again", || daemon.log().matches("sink 'slow' is not configured").count() > said);
    assert_eq!(unconfigured(&daemon), sixty);
    let list = |daemon: &Daemon| -> Vec<(String, bool, u64)> {
        let listed = command(daemon, &["sinks", "list", "--json"]);
        assert!(listed.status.success(), "{listed:?}");
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let one = |sink: &Value| {
            let (name, configured) = (sink["name"].as_str().unwrap(), sink["configured"].as_bool().unwrap());
            (name.to_owned(), configured, sink["behind"].as_u64().unwrap())
        };
        listed["sinks"].as_array().unwrap().iter().map(one).collect()
    };
    let all = [("out".to_owned(), true, 0), ("slow".to_owned(), false, 60), ("slower".to_owned(), false, 60)];
    assert_eq!(list(&daemon), all);
    // One that is configured again has lost nothing.
    edit(&daemon, FILE_SINK, &(pipe_sink("slow") + FILE_SINK));
    reload(&daemon);
    let results = read_pipe(&daemon.path("slow.pipe"));
    wait_until("the core has all", || results.lock().unwrap().len() == 60);
    wait_until("and the sink knows", || daemon.status()["sinks"][0]["behind"] == 0);
    // What is configured is not forgotten, nor what there is not.
    for (sink, expected) in [("slow", "is configured"), ("nobody", "there is no sink 'nobody'")] {
        let done = command(&daemon, &["sinks", "forget", sink]);
        assert_eq!(done.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&done.stderr).contains(expected), "{done:?}");
    }
    let done = command(&daemon, &["sinks", "forget", "slower", "--json"]);
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&answer["ok"], &answer["outcomes"]), (&true.into(), &60.into()));
    assert_eq!((unconfigured(&daemon), cursors(&daemon)), (vec![], vec!["out".into(), "slow".into()]));
    // The same without a daemon.
    edit(&daemon, &pipe_sink("slow"), "");
    daemon.stop();
    assert_eq!(list(&daemon), [("out".to_owned(), true, 0), ("slow".to_owned(), false, 0)]);
    let table = command(&daemon, &["sinks", "list"]);
    assert!(String::from_utf8_lossy(&table.stderr).contains("sinks forget slow"), "{table:?}");
    let refused = command(&daemon, &["sinks", "forget", "out"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is configured"), "{refused:?}");
    assert!(command(&daemon, &["sinks", "forget", "slow"]).status.success());
    assert_eq!(list(&daemon), [("out".to_owned(), true, 0)]);
    daemon.restart();
    assert_eq!((unconfigured(&daemon), cursors(&daemon)), (vec![], vec!["out".into()]));
}

#[test]
fn kills_in_the_middle_of_reloads_lose_nothing() {
    let kills = times(30);
    let mut daemon = prepare(&(file_sink("kept") + &file_sink("one") + &file_sink("three")));
    let first = config(&daemon);
    daemon.restart();
    edit(&daemon, &file_sink("one"), &file_sink("two"));
    edit(&daemon, "three.jsonl", "third.jsonl");
    edit(&daemon, "name = \"three\"", "name = \"third\"\nwas = \"three\"");
    let udp = format!("\"udp://127.0.0.1:{}\", ", daemon.syslog_udp);
    edit(&daemon, &udp, "");
    let second = config(&daemon);
    // Back again, with the former name the other way round.
    let first_again = first.replace("name = \"three\"", "name = \"three\"\nwas = \"third\"");
    let done = AtomicBool::new(false);
    let mut random = Random::new();
    let port = daemon.snmp;
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let trap = encode::encode(&notification(NotificationKind::Trap, Version::V2c, "x", 1));
            while !done.load(Ordering::Relaxed) {
                let _ = socket.send_to(&trap, ("127.0.0.1", port));
                pace(Duration::from_millis(1));
            }
        });
        for kill in 0..kills {
            let text = if kill % 2 == 0 { &second } else { &first_again };
            std::fs::write(daemon.path("trapline.toml"), text).unwrap();
            daemon.reload();
            let_pass(Duration::from_micros(random.below(60_000)));
            daemon.kill();
            daemon.restart();
            let status = daemon.status();
            let expected = if kill % 2 == 0 { ["kept", "two", "third"] } else { ["kept", "one", "three"] };
            assert_eq!(names(&status["sinks"]), expected);
            // The renamed sink has one cursor, under one of its names.
            let heirs = cursors(&daemon).into_iter().filter(|name| name.starts_with('t') && name != "two");
            assert_eq!(heirs.count(), 1, "{:?}", cursors(&daemon));
        }
    });
    wait_until("all is delivered", || {
        daemon.status()["sinks"].as_array().unwrap().iter().all(|sink| sink["behind"] == 0)
    });
    let next = daemon.status()["journal"]["next"].as_u64().unwrap();
    let delivered = |files: &[&str]| -> BTreeSet<u64> {
        let texts = files.iter().map(|file| read(&daemon.path(file)));
        let ids = texts.flat_map(|text| {
            let lines = text.lines();
            // One may be cut where the process was killed; its outcome comes again.
            let outcomes = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
            outcomes
                .map(|o| o["id"].as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap())
                .collect::<Vec<u64>>()
        });
        ids.collect()
    };
    let all: BTreeSet<u64> = (1..next).collect();
    let missing = |files: &[&str]| all.difference(&delivered(files)).count();
    assert_eq!(missing(&["kept.jsonl"]), 0);
    assert_eq!(missing(&["three.jsonl", "third.jsonl"]), 0, "under both of its names");
    println!("{kills} kills, {} outcomes", next - 1);
    assert!(next > u64::from(kills));
}
