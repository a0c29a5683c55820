//! Ten thousand services that check in, and then do not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{port, wait_until};

const SERVICES: usize = 10_000;
const CLIENTS: usize = 8;
const TOKEN: &str = "0123456789abcdef";

/// Reports of a part of the services, on one connection; each is answered before the next.
fn report(listen: u16, part: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", listen)).unwrap();
    let mut buffer = [0; 1024];
    for number in (part..SERVICES).step_by(CLIENTS) {
        let body = format!(
            "{{\"service\":\"s{number}\",\"token\":\"{TOKEN}\",\"status\":\"OK\",\"info\":\"done\"}}"
        );
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// How a service is by the age of its last report.
fn state(listen: u16, service: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", listen)).unwrap();
    let request = format!(
        "GET /state/{service} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

/// Each is reported late once, not before its time, and is asked for by the age of its report, also after a restart.
#[test]
fn each_of_ten_thousand_is_late_once_and_not_before_its_time() {
    let listen = port();
    let mut config = format!(
        "{FILE_SINK}[journal]\nsync = \"interval\"\n[rules]\npacks = []\npaths = [\"rules\"]\n[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n"
    );
    for number in 0..SERVICES {
        let timeout = if number == 0 { "1us" } else { "32d" };
        write!(
            config,
            "[[intake.checkin]]\nservice = \"s{number}\"\nhost = \"h\"\ntoken = \"{TOKEN}\"\ntimeout = \"{timeout}\"\n"
        )
        .unwrap();
    }
    let mut daemon = Daemon::prepare(&config);
    std::fs::create_dir(daemon.path("rules")).unwrap();
    let rule = "[[rule]]\nid = \"b\"\ncheckin = \"s*\"\nexpect = { every = \"2s\", key = \"{{ checkin }}\", host = \"h\", service = \"{{ key }}\", output = \"no report\" }\n\
                [rule.check]\nhost = \"h\"\nservice = \"{{ checkin }}\"\nstate = \"status\"\n";
    std::fs::write(daemon.path("rules/b.toml"), rule).unwrap();
    daemon.restart();
    let clients: Vec<_> = (0..CLIENTS).map(|part| std::thread::spawn(move || report(listen, part))).collect();
    for client in clients {
        client.join().unwrap();
    }
    wait_until("all are late", || daemon.status()["sinks"][0]["delivered"] == 2 * SERVICES);
    let micros = |outcome: &Value| {
        let time: jiff::Timestamp = outcome["time"].as_str().unwrap().parse().unwrap();
        time.as_microsecond()
    };
    let mut reports = BTreeMap::new();
    let mut late = BTreeMap::new();
    for outcome in daemon.outcomes("out.jsonl") {
        let service = outcome["service"].as_str().unwrap().to_owned();
        let place = if outcome["state"] == "ok" { &mut reports } else { &mut late };
        assert_eq!(place.insert(service, micros(&outcome)), None, "each once: {outcome}");
    }
    assert_eq!((reports.len(), late.len()), (SERVICES, SERVICES));
    let behind = |(service, time): (&String, &i64)| time - reports[service] - 2_000_000;
    let (least, most) = (late.iter().map(behind).min().unwrap(), late.iter().map(behind).max().unwrap());
    println!("late results come {least} to {most} us after their time");
    assert!(least >= 0, "none comes before its time");
    daemon.stop();
    daemon.restart();
    let first = state(listen, "s0");
    assert_eq!((&first["state"], &first["late"]), (&"critical".into(), &true.into()), "{first}");
    let last = state(listen, &format!("s{}", SERVICES - 1));
    assert_eq!((&last["state"], &last["output"]), (&"ok".into(), &"done".into()), "{last}");
}
