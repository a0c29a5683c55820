//! `trapline explain` on what people capture and paste.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output, trapline};
use crate::support::{Program, port, read, snmptrap, wait_until};

/// Explains what standard input gives.
fn explain(content: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    std::fs::write(&path, content).unwrap();
    let mut command = trapline();
    command.args(["explain", "--json", "-"]).stdin(std::fs::File::open(&path).unwrap());
    let by_input = command.output().unwrap();
    let by_name = output(&["explain", "--json", path.to_str().unwrap()]);
    assert_eq!(by_input.status.code(), by_name.status.code(), "{by_input:?} {by_name:?}");
    by_input
}

fn documents(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A UDP packet over IPv4.
fn packet(port: u16, payload: &[u8]) -> Vec<u8> {
    let (all, datagram) = (28 + payload.len() as u16, 8 + payload.len() as u16);
    let head = [&[0x45, 0], &all.to_be_bytes()[..], &[0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 1]];
    let udp = [&[0x30, 0x39], &port.to_be_bytes()[..], &datagram.to_be_bytes(), &[0, 0], payload];
    [head.concat(), udp.concat()].concat()
}

/// A file of pcapng with packets of IP.
fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut file =
        block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    file.extend(block(1, &[101, 0, 0, 0, 0, 0, 0, 0]));
    for packet in packets {
        let length = (packet.len() as u32).to_le_bytes();
        file.extend(block(6, &[&[0; 12][..], &length, &length, packet].concat()));
    }
    file
}

const COLD_START: [u8; 44] = [
    0x30, 0x2a, 2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa7, 0x1d, 2, 1, 1, 2, 1, 0, 2, 1, 0,
    0x30, 0x12, 0x30, 0x10, 6, 0x0a, 0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0, 6, 2, 0x2b, 6,
];

#[test]
fn what_snmptrapd_and_hexdump_print() {
    let folder = tempfile::tempdir().unwrap();
    let (log, address) = (folder.path().join("log"), format!("127.0.0.1:{}", port()));
    let file = std::fs::File::create(&log).unwrap();
    let mut command = Command::new("snmptrapd");
    command.args(["-f", "-Lo", "-d", "-C", "--disableAuthorization=yes", &address]).env("MIBS", "");
    let snmptrapd = Program::start(command.stdout(Stdio::from(file)).stderr(Stdio::null()));
    wait_until("snmptrapd listens", || read(&log).contains("NET-SNMP version"));
    for interface in ["Gi0/3", "Gi0/4"] {
        let trap = ["1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.2.3", "s", interface];
        snmptrap(&[&["-v2c", "-c", "public", &address, ""][..], &trap].concat());
        wait_until("it prints the trap", || read(&log).contains(&format!("STRING: \"{interface}\"")));
    }
    drop(snmptrapd);
    let explained = explain(&std::fs::read(&log).unwrap());
    let all = documents(&explained);
    let names: Vec<&Value> = all.iter().map(|one| &one["message"]["varbinds"][0]["text"]).collect();
    assert_eq!(names, ["Gi0/3", "Gi0/4"], "{}", said(&explained));
    assert_eq!(
        (&all[0]["message"]["source"], &all[0]["message"]["name"]),
        (&"127.0.0.1".into(), &"IF-MIB::linkDown".into())
    );
    let binary = folder.path().join("binary");
    std::fs::write(&binary, packet(162, &COLD_START)).unwrap();
    for (program, option) in [("hexdump", "-C"), ("xxd", "-u")] {
        let printed = Command::new(program).arg(option).arg(&binary).output().unwrap();
        let explained = explain(&printed.stdout);
        assert_eq!(
            documents(&explained)[0]["message"]["source"],
            "192.0.2.7",
            "{program}: {}",
            said(&explained)
        );
    }
    assert_eq!(documents(&explain(&COLD_START))[0]["message"]["version"], "2c");
}

#[test]
fn captures_and_lines() {
    let line = "<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)";
    let file = pcapng(&[packet(162, &COLD_START), packet(53, b"a query"), packet(1514, line.as_bytes())]);
    let explained = explain(&file);
    let all = documents(&explained);
    assert_eq!(
        (&all[0]["message"]["kind"], &all[1]["matched"][0]),
        (&"trap".into(), &"tcp-wrappers-refused".into())
    );
    assert!(said(&explained).contains("packets left out: 1 to other ports"), "{}", said(&explained));
    assert_eq!(explained.status.code(), Some(1), "no rule takes the first");
    let lines = explain(format!("{line}\r\n\n{line}\n").as_bytes());
    assert_eq!((documents(&lines).len(), lines.status.code()), (2, Some(0)));
}

#[test]
fn what_holds_no_message() {
    let other_ports = pcapng(&[packet(53, b"a query")]);
    for (content, expected) in [
        (&b""[..], "there is nothing in it; it must be a capture, a hex dump, or lines of syslog"),
        (b" \n\n", "there is nothing in it"),
        (&other_ports, "no UDP packet to port 162"),
        (&pcapng(&[])[..20], "no UDP packet to port 162"),
        (
            b"0010: 30 39 02 01  00 04 06 70  75 62 6C 69  63 A4 2C 06",
            "line 1: a packet is left out: the octets from 0x0000",
        ),
    ] {
        let explained = explain(content);
        assert_eq!(explained.status.code(), Some(1), "{explained:?}");
        assert!(said(&explained).contains(expected), "{expected}: {}", said(&explained));
    }
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "a line").unwrap();
    let explained = output(&["explain", "--pcap", text.path().to_str().unwrap()]);
    assert!(said(&explained).contains("this is no capture"), "{}", said(&explained));
}

/// Rules that ask what is open are answered by the daemon, where there is one.
#[test]
fn what_is_open_in_the_running_daemon_is_open() {
    let rules = "[[rule]]\nid = \"power\"\nsyslog = { message = '^power of (?<site>\\w+) lost' }\nkey = \"power {{ site }}\"\n\
                 [rule.check]\nservice = \"Power\"\nstate = \"critical\"\n\
                 [[rule]]\nid = \"fan\"\nsyslog = { message = '^fan of (?<site>\\w+)' }\nwhere = \"not is_open('power', 'power ' ~ site)\"\n\
                 [rule.check]\nservice = \"Fan\"\nstate = \"warning\"\n";
    let mut daemon = Daemon::prepare(&format!("[rules]\npaths = [\"rules.toml\"]\npacks = []\n{FILE_SINK}"));
    std::fs::write(daemon.path("rules.toml"), rules).unwrap();
    let config = daemon.path("trapline.toml");
    let explain = |site: &str| -> Value {
        let line = format!("<13>fan of {site} broken");
        let said = output(&["explain", "--json", "--config", config.to_str().unwrap(), "--line", &line]);
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    };
    let without = explain("graz");
    assert_eq!((&without["asked"], &without["matched"][0]), (&"nobody".into(), &"fan".into()), "{without}");
    daemon.restart();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender
        .send_to(b"<13>Nov 20 12:00:00 h app: power of graz lost", ("127.0.0.1", daemon.syslog_udp))
        .unwrap();
    wait_until("the problem is open", || daemon.status()["state"]["open"] == 1);
    let open = explain("graz");
    assert_eq!(
        (&open["asked"], open["matched"].as_array().map(Vec::len)),
        (&"daemon".into(), Some(0)),
        "{open}"
    );
    assert_eq!(explain("wien")["matched"][0], "fan");
    assert!(explain("wien")["asked"] == "daemon");
}
