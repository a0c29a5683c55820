//! What net-snmp sends, the daemon takes; what is wrong is counted and said.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{run, snmptrap, wait_until};

#[test]
fn informs_of_net_snmp_are_answered() {
    let daemon = Daemon::start(FILE_SINK);
    for target in [daemon.snmp_target(), format!("udp6:[::1]:{}", daemon.snmp)] {
        // Exit status 0 only if the answer came.
        run(Command::new("snmpinform").args([
            "-m",
            "",
            "-v2c",
            "-c",
            "public",
            "-r",
            "2",
            "-t",
            "5",
            &target,
            "",
            "1.3.6.1.6.3.1.1.5.1",
        ]));
    }
    daemon.wait_count("informs_answered", 2);
    wait_until("both outcomes", || daemon.outcomes("out.jsonl").len() == 2);
}

#[test]
fn every_type_of_value_arrives() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"all\"\ntrap = \"1.3.6.1.4.1.99999.*\"\n[rule.event]\nstate = \"ok\"\n\
         output = \"{% for x in range(1, 10) %}[{{ v[x] }}]{% endfor %}\"\n",
    )
    .unwrap();
    daemon.restart();
    let varbinds = [
        ("i", "-5"),
        ("u", "4294967295"),
        ("c", "7"),
        ("C", "18446744073709551615"),
        ("t", "4711"),
        ("a", "192.0.2.9"),
        ("o", "1.3.6.1.6.3.1.1.5.3"),
        ("s", "text ü"),
        ("x", "00 ff 10"),
    ];
    let oids: Vec<String> = (1..=varbinds.len()).map(|n| format!("1.3.6.1.4.1.99999.{n}")).collect();
    let target = daemon.snmp_target();
    let mut args = vec!["-v2c", "-c", "public", &target, "", "1.3.6.1.4.1.99999.0.1"];
    for (oid, (kind, value)) in oids.iter().zip(varbinds) {
        args.extend([oid.as_str(), kind, value]);
    }
    snmptrap(&args);
    wait_until("the outcome", || !daemon.outcomes("out.jsonl").is_empty());
    assert_eq!(
        daemon.outcomes("out.jsonl")[0]["output"],
        "[-5][4294967295][7][18446744073709551615][0:00:47.11][192.0.2.9][IF-MIB::linkDown][text ü][00:FF:10]"
    );
}

#[test]
fn bad_packets_are_counted_by_reason_and_said_once() {
    let daemon = Daemon::start(&format!("{FILE_SINK}[log]\nformat = \"human\"\n"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", daemon.snmp)).unwrap();
    for _ in 0..50 {
        socket.send(b"\x1b[2Jnot snmp\n2026 forged log line").unwrap();
        socket.send(&[0x30, 0x82, 0xff, 0xff, 2, 1, 1]).unwrap();
        socket.send(&[0x30, 0x80, 2, 1, 1, 0, 0]).unwrap();
        socket.send(&[0x30, 3, 2, 1, 7]).unwrap();
    }
    daemon.trap(&["1.3.6.1.4.1.99999.0.1"]);
    daemon.wait_count("unmatched", 1);
    let malformed = &daemon.status()["intake"]["malformed"];
    assert_eq!(
        [&malformed["not_snmp"], &malformed["header"], &malformed["truncated"], &malformed["version"]],
        [50; 4]
    );
    let log = daemon.log();
    // Once for each reason.
    assert_eq!(log.matches("malformed SNMP packet").count(), 4, "{log}");
    assert!(
        log.contains("it begins 1B:5B:32:4A") && !log.contains("\x1b[2J") && !log.contains("\n2026 forged"),
        "{log}"
    );
    let groups = daemon.unmatched(&[]);
    let group = |what: &str| {
        let all = groups["groups"].as_array().unwrap();
        all.iter().find(|group| group["what"].as_str().unwrap().contains(what)).unwrap().clone()
    };
    assert_eq!(group("99999.0.1")["count"], 1);
    let not_snmp = group("not_snmp");
    assert_eq!(not_snmp["count"], 50);
    let kept = daemon.unmatched(&["show", &not_snmp["group"].to_string()]);
    assert_eq!(
        kept["messages"][0]["octets_hex"],
        "1b5b324a6e6f7420736e6d700a3230323620666f72676564206c6f67206c696e65"
    );
}

#[test]
fn no_community_is_logged_or_kept() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("[snmp]", "[snmp]\ncommunities = [\"COMMsecret1\"]")).unwrap();
    daemon.restart();
    let target = daemon.snmp_target();
    snmptrap(&["-v2c", "-c", "COMMsecret1", &target, "", "1.3.6.1.4.1.99999.0.1"]);
    snmptrap(&["-v2c", "-c", "COMMsecret2", &target, "", "1.3.6.1.4.1.99999.0.1"]);
    // A GET, and one that is cut off in its community.
    let get = b"\x30\x1d\x02\x01\x01\x04\x0bCOMMsecret3\xa0\x0b\x02\x01\x07\x02\x01\x00\x02\x01\x00\x30\x00";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", daemon.snmp)).unwrap();
    socket.send(get).unwrap();
    socket.send(&get[..16]).unwrap();
    daemon.wait_count("unmatched", 1);
    wait_until("the rest is counted", || {
        let intake = daemon.status()["intake"].clone();
        let malformed = &intake["malformed"];
        intake["wrong_community"] == 1 && malformed["not_notification"] == 1 && malformed["header"] == 1
    });
    // A stop writes it.
    daemon.stop();
    let inbox = std::fs::read_to_string(daemon.path("var/inbox.jsonl")).unwrap();
    assert_eq!(inbox.lines().count(), 3, "{inbox}");
    let hex = |text: &str| text.bytes().map(|octet| format!("{octet:02x}")).collect::<String>();
    for kept in [&inbox, &daemon.log()] {
        let bare = kept.to_lowercase().replace(':', "");
        assert!(!bare.contains("commsecret") && !bare.contains(&hex("COMMsec")), "{kept}");
    }
}

#[test]
fn communities_and_senders_are_filtered() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        config.replace("[snmp]", "[snmp]\ncommunities = [\"secret\"]\nallow = [\"127.0.0.0/8\"]"),
    )
    .unwrap();
    daemon.restart();
    let cold_start = |community: &str, target: &str| {
        snmptrap(&["-v2c", "-c", community, target, "", "1.3.6.1.6.3.1.1.5.1"]);
    };
    cold_start("public", &daemon.snmp_target());
    cold_start("secret", &format!("udp6:[::1]:{}", daemon.snmp));
    cold_start("secret", &daemon.snmp_target());
    daemon.wait_count("matched", 1);
    daemon.wait_count("wrong_community", 1);
    daemon.wait_count("wrong_source", 1);
    assert!(!daemon.log().contains("secret"));
}

#[test]
fn a_dead_sink_does_not_slow_another() {
    let daemon = Daemon::start(&format!(
        "{FILE_SINK}[[sinks]]\ntype = \"nagios\"\ncommand_file = \"DIR/nobody/nagios.cmd\"\n\
         [[sinks]]\nname = \"bus\"\ntype = \"canopsis\"\nurl = \"amqp://guest:guest@127.0.0.1:1/canopsis\"\n"
    ));
    for _ in 0..20 {
        daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    }
    wait_until("the live sink has all", || daemon.outcomes("out.jsonl").len() == 20);
    let sinks = daemon.status()["sinks"].clone();
    let behind =
        |name: &str| sinks.as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()["behind"].clone();
    assert_eq!((behind("out"), behind("nagios"), behind("bus")), (0.into(), 20.into(), 20.into()));
    let errors: Vec<&Value> = sinks.as_array().unwrap().iter().map(|s| &s["error"]).collect();
    assert!(errors.iter().any(|e| e.as_str().is_some_and(|e| e.contains("start Nagios"))), "{errors:?}");
    assert!(!daemon.log().contains("guest:guest"), "{}", daemon.log());
}

#[test]
fn only_takes_a_part_and_the_file_may_be_moved() {
    let daemon = Daemon::start(
        "[[sinks]]\nname = \"bad\"\ntype = \"file\"\npath = \"DIR/bad.jsonl\"\nonly = \"outcome.state != 'ok'\"\n",
    );
    let send = |oid: &str| daemon.trap(&[oid]);
    send("1.3.6.1.6.3.1.1.5.1");
    send("1.3.6.1.6.3.1.1.5.2");
    wait_until("one of two", || {
        daemon.status()["sinks"][0]["skipped"] == 1 && daemon.status()["sinks"][0]["delivered"] == 1
    });
    assert_eq!(daemon.outcomes("bad.jsonl")[0]["state"], "warning");
    std::fs::rename(daemon.path("bad.jsonl"), daemon.path("moved.jsonl")).unwrap();
    // The file is looked for once a second.
    wait_until("the next in a new file", || {
        send("1.3.6.1.6.3.1.1.5.5");
        !daemon.outcomes("bad.jsonl").is_empty()
    });
    assert!(!daemon.outcomes("moved.jsonl").is_empty());
}

#[test]
fn streams_are_bounded_and_cut() {
    let daemon = Daemon::start(FILE_SINK);
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    stream.write_all(&vec![b'x'; 100_000]).unwrap();
    stream
        .write_all(
            b"\n<36>Nov 20 12:00:01 db1 in.telnetd[4]: refused connect from evil.example (203.0.113.9)\n",
        )
        .unwrap();
    drop(stream);
    wait_until("the line after the long one", || daemon.outcomes("out.jsonl").len() == 1);
    daemon.wait_count("oversized", 1);
}

/// Every listener that there is, on all addresses of both families by two entries with one port.
#[test]
fn both_families_listen_on_one_port() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let (snmp, udp, tcp) = (daemon.snmp, daemon.syslog_udp, daemon.syslog_tcp);
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let listen = |scheme: &str, port: u16| format!("\"{scheme}0.0.0.0:{port}\", \"{scheme}[::]:{port}\"");
    let (of_snmp, of_syslog) = (
        format!("listen = [{}, {}]", listen("", snmp), listen("tcp://", snmp)),
        format!("listen = [{}, {}]", listen("udp://", udp), listen("tcp://", tcp)),
    );
    let mut lists = [of_snmp, of_syslog].into_iter();
    let line = |line: &str| {
        if line.starts_with("listen = ") { lists.next().unwrap() } else { line.to_owned() }
    };
    std::fs::write(&path, config.lines().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    daemon.restart();
    let targets = ["127.0.0.1:", "udp6:[::1]:", "tcp:127.0.0.1:", "tcp6:[::1]:"];
    for target in targets.map(|target| format!("{target}{snmp}")) {
        snmptrap(&["-v2c", "-c", "public", &target, "", "1.3.6.1.6.3.1.1.5.4"]);
    }
    for host in ["127.0.0.1", "::1"] {
        let host: std::net::IpAddr = host.parse().unwrap();
        let any = if host.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let line = b"<36>Nov 20 12:00:01 db1 app: text\n";
        UdpSocket::bind(any).unwrap().send_to(line, (host, udp)).unwrap();
        TcpStream::connect((host, tcp)).unwrap().write_all(line).unwrap();
    }
    daemon.wait_count("snmp_received", 4);
    daemon.wait_count("syslog_received", 4);
}
