//! Limits: descriptors, places for connections, and files of the journal that somebody removes.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{pace, port, remove_folder, run, wait_until};
use crate::watching::get;

/// A connection from one of the addresses 127.0.0.x.
pub fn connect_from(client: u8, port: u16) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, client], 0)).into())?;
    socket.connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)).into(), Duration::from_secs(5))?;
    Ok(socket.into())
}

fn line(n: usize) -> Vec<u8> {
    // Long, so that a small journal needs many segments.
    format!(
        "<36>Nov 20 12:00:01 db1 in.telnetd[{n}]: refused connect from h{n}.{}.example (203.0.113.9)\n",
        "x".repeat(400)
    )
    .into_bytes()
}

fn send_lines(daemon: &Daemon, count: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..count {
        socket.send_to(&line(n), ("127.0.0.1", daemon.syslog_udp)).unwrap();
        if n % 50 == 0 {
            pace(Duration::from_millis(1));
        }
    }
}

/// The lowest number that a new descriptor of the daemon would get. A limit is one of numbers: the daemon may have inherited
/// descriptors with higher ones.
fn free_descriptor(daemon: &Daemon) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let open: HashSet<String> = open.map(|fd| fd.unwrap().file_name().into_string().unwrap()).collect();
    (0..=open.len()).find(|number| !open.contains(&number.to_string())).unwrap()
}

fn set_limit(daemon: &Daemon, limit: usize) {
    // The soft one.
    run(Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), &format!("--nofile={limit}:")]));
}

#[test]
fn without_a_descriptor_every_listener_waits_and_goes_on() {
    let (http, snmp_tcp) = (port(), port());
    let daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[journal]\nmax_size = \"4MiB\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n"
    ));
    let config = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text =
        text.replace("[snmp]\nlisten = [", &format!("[snmp]\nlisten = [\"tcp://127.0.0.1:{snmp_tcp}\", "));
    std::fs::write(&config, text).unwrap();
    let mut daemon = daemon;
    daemon.restart();
    send_lines(&daemon, 10);
    wait_until("it works", || daemon.outcomes("out.jsonl").len() == 10);
    // The file of the next segment is there, and every file of the sink is open.
    set_limit(&daemon, free_descriptor(&daemon));
    let mut syslog = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    syslog.write_all(&line(1)).unwrap();
    let _snmp = TcpStream::connect(("127.0.0.1", snmp_tcp)).unwrap();
    let mut web = TcpStream::connect(("127.0.0.1", http)).unwrap();
    web.write_all(b"GET /alive HTTP/1.0\r\n\r\n").unwrap();
    let mut control = UnixStream::connect(daemon.path("var/control.sock")).unwrap();
    control.write_all(b"{\"command\":\"status\"}\n").unwrap();
    // More than a segment of half a MiB, within the one that is open and the one that is ready.
    send_lines(&daemon, 1200);
    wait_until("datagrams are journaled and delivered", || daemon.outcomes("out.jsonl").len() == 1210);
    wait_until("each listener has tried", || daemon.log().matches(" cannot accept").count() == 4);
    set_limit(&daemon, 1024);
    wait_until("the stream is read", || daemon.outcomes("out.jsonl").len() == 1211);
    let mut answer = String::new();
    web.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("alive\n"), "{answer}");
    answer.clear();
    control.read_to_string(&mut answer).unwrap();
    let status: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status["intake"]["outcomes_lost"], 0);
    // Each of the four has tried, and none of them without a pause.
    let connections = daemon.status()["connections"].as_object().unwrap().clone();
    assert_eq!(connections.len(), 4, "{connections:?}");
    for (name, counts) in &connections {
        let errors = counts["errors"].as_u64().unwrap();
        assert!((1..200).contains(&errors), "{name}: {errors}");
        let said = format!("{name} cannot accept");
        daemon.wait_log(&said);
        assert_eq!(daemon.log().matches(&said).count(), 1, "{}", daemon.log());
    }
}

#[test]
fn streams_leave_descriptors_for_the_journal_the_sinks_and_the_status() {
    let http = port();
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[journal]\nmax_size = \"1MiB\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n"
    ));
    let mut command = Command::new("sh");
    let run = format!(
        "ulimit -n 300; exec {} run --config {}",
        env!("CARGO_BIN_EXE_trapline"),
        daemon.path("trapline.toml").display()
    );
    command.args(["-c", &run]);
    daemon.start_as(command);
    daemon.wait_log("the limit of 300 descriptors leaves fewer streams");
    let mut streams = Vec::new();
    for n in 0..400usize {
        // Those that get no place are closed.
        if let Ok(mut stream) = connect_from(1 + (n % 40) as u8, daemon.syslog_tcp) {
            let _ = stream.write_all(b"<13>half");
            streams.push(stream);
        }
    }
    send_lines(&daemon, 3000);
    wait_until("all datagrams are delivered", || daemon.outcomes("out.jsonl").len() == 3000);
    let status = daemon.status();
    assert_eq!((&status["intake"]["outcomes_lost"], &status["sinks"][0]["expired"]), (&0.into(), &0.into()));
    assert_eq!(get(http, "/ready").0, 200);
    assert!(free_descriptor(&daemon) < 300);
    assert!(!daemon.log().contains("Too many open files"), "{}", daemon.log());
}

/// A limit that is too low for the threads ends the start with what to do; the least that is named is enough.
#[test]
fn a_limit_that_is_too_low_is_refused_and_the_least_one_is_enough() {
    let http = port();
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/cmd\"\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\n[history]\n"
    ));
    let command = |daemon: &Daemon, limit: usize| {
        let config = daemon.path("trapline.toml");
        let run = format!(
            "ulimit -n {limit}; exec {} run --config {}",
            env!("CARGO_BIN_EXE_trapline"),
            config.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &run]);
        command
    };
    let least = |limit: usize| -> usize {
        let ended = command(&daemon, limit).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let (_, least) = said
            .split_once(&format!("the limit of {limit} descriptors is too low: the daemon needs "))
            .unwrap();
        assert!(said.contains("LimitNOFILE") && !daemon.path("var").exists(), "{said}");
        least.split(' ').next().unwrap().parse().unwrap()
    };
    let enough = least(64);
    assert_eq!(least(enough - 1), enough);
    let low = command(&daemon, enough);
    daemon.start_as(low);
    send_lines(&daemon, 100);
    wait_until("all datagrams are delivered", || daemon.outcomes("out.jsonl").len() == 100);
    assert_eq!((daemon.status()["problems"].to_string(), get(http, "/ready").0), ("[]".to_owned(), 200));
    assert!(!daemon.log().contains("Too many open files"), "{}", daemon.log());
}

#[test]
fn who_does_not_read_holds_no_place_of_others() {
    let http = port();
    let daemon = Daemon::start(&format!(
        "{FILE_SINK}[http]\nlisten = \"127.0.0.1:{http}\"\nhosts = [\"trapline.example\"]\n"
    ));
    let mut silent = Vec::new();
    for n in 0..90 {
        let Ok(mut stream) = connect_from(2 + n % 3, http) else { continue };
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
        silent.push(stream);
    }
    assert_eq!(get(http, "/alive").0, 200, "at once, as each address has its share");
    let refused = |daemon: &Daemon| {
        let connections = daemon.status()["connections"].clone();
        connections[format!("HTTP 127.0.0.1:{http}/tcp")]["refused"].as_u64()
    };
    wait_until("those beyond their share are counted", || refused(&daemon) == Some(90 - 60));
    // An answer ends the connection, if it is told to.
    let exchange = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for (request, status) in [
        ("GET /alive HTTP/1.1\r\nConnection: close\r\nHost: localhost:1\r\n\r\n", "200"),
        ("GET /alive HTTP/1.1\r\nConnection: close\r\nHost: trapline.example\r\n\r\n", "200"),
        ("GET /alive HTTP/1.1\r\nConnection: close\r\nHost: [::1]\r\n\r\n", "200"),
        ("GET /alive HTTP/1.0\r\n\r\n", "200"),
        ("GET /metrics HTTP/1.1\r\nConnection: close\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET http://evil.example/metrics HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n", "421"),
    ] {
        let answer = exchange(request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}"))
                || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{answer}"
        );
    }
    assert!(
        exchange("GET /alive HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n\r\n")
            .to_lowercase()
            .contains("connection: close")
    );
    // They have ten seconds for the head.
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let read = stream.read(&mut [0; 4096]);
        assert!(!matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{read:?}");
    }
}

#[test]
fn a_removed_journal_is_noticed_and_made_anew() {
    let http = port();
    let mut daemon = Daemon::start(&format!(
        "[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/pipe\"\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\n"
    ));
    send_lines(&daemon, 100);
    wait_until("they wait for the sink", || daemon.status()["sinks"][0]["behind"] == 100);
    remove_folder(&daemon.path("var"));
    let (status, body) = get(http, "/ready");
    assert_eq!(status, 503);
    assert!(body.contains("files of the journal were removed") || body.contains("had lost files"), "{body}");
    wait_until("everything is there again", || {
        daemon.path("var/cursors/core").exists() && daemon.path("var/control.sock").exists()
    });
    wait_until("and it is ready", || get(http, "/ready").0 == 200);
    daemon.wait_log("somebody has removed or replaced files of the journal");
    send_lines(&daemon, 100);
    wait_until("all that came waits for the sink", || daemon.status()["sinks"][0]["behind"] == 200);
    daemon.stop();
    daemon.restart();
    assert_eq!(daemon.status()["sinks"][0]["behind"], 200);
}

/// The process would be ended by SIGXFSZ, without a word.
#[test]
fn a_limit_of_file_sizes_is_a_full_disk_and_nothing_is_lost() {
    let rest = format!("{FILE_SINK}[journal]\nmax_size = \"4MiB\"\n");
    let mut daemon = Daemon::start(&rest);
    let limit = |daemon: &Daemon, most: &str| {
        let pid = daemon.pid().to_string();
        run(Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={most}:")]));
    };
    let send = |daemon: &Daemon, numbers: std::ops::Range<usize>| {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
        numbers.for_each(|n| stream.write_all(&line(n)).unwrap());
    };
    let all_are_there = |daemon: &Daemon, count: usize| {
        wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() >= count);
        let texts: HashSet<String> =
            daemon.outcomes("out.jsonl").iter().map(|outcome| outcome["output"].to_string()).collect();
        assert_eq!((texts.len(), daemon.outcomes("out.jsonl").len()), (count, count));
        assert_eq!(daemon.status()["intake"]["outcomes_lost"], 0);
    };
    send(&daemon, 0..10);
    all_are_there(&daemon, 10);
    // More than the log has, and less than a segment and the file of the sink get.
    limit(&daemon, "65536");
    send(&daemon, 10..1500);
    daemon.wait_log("File too large");
    limit(&daemon, "unlimited");
    all_are_there(&daemon, 1500);
    // It starts with such a limit as well.
    daemon.stop();
    let mut command = Command::new("prlimit");
    command.args(["--fsize=65536:", env!("CARGO_BIN_EXE_trapline"), "run", "--config"]);
    command.arg(daemon.path("trapline.toml"));
    daemon.start_as(command);
    send(&daemon, 1500..1600);
    pace(Duration::from_secs(2));
    limit(&daemon, "unlimited");
    all_are_there(&daemon, 1600);
}

#[test]
fn a_command_says_which_file_is_beyond_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let run = |words: &[&str]| {
        let mut command = Command::new("prlimit");
        command.args(["--fsize=100:", env!("CARGO_BIN_EXE_trapline")]).args(words).current_dir(&folder);
        command.stdout(std::fs::File::create(&path).unwrap());
        let ended = command.output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for (words, part) in [
        (&["--help"][..], "standard output: File too large"),
        (&["completions", "bash"], "standard output: File too large"),
        (
            &["init", "new.toml"],
            "new.toml: File too large (os error 27); raise the limit of the size of files",
        ),
    ] {
        let (code, said) = run(words);
        assert!(code == Some(1) && said.contains(part), "{words:?} {code:?}: {said}");
    }
}
