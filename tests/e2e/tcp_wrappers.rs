//! tcpd refuses a connection; a real syslog daemon ships its line.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::nagios::{Nagios, before};
use crate::support::{Program, run, wait_until};

/// Runs tcpd on one connection, as inetd would for telnet, with a hosts.deny and a /dev/log of the test's own:
/// in a mount namespace, so that the machine's are left alone.
fn tcpd_refuses(dir: &std::path::Path) {
    std::fs::write(dir.join("hosts.deny"), "ALL: ALL\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let d = dir.display();
    let script = format!(
        "mount --bind {d}/hosts.deny /etc/hosts.deny && mount -t tmpfs tmpfs /dev && ln -s {d}/log /dev/log && \
         exec -a in.telnetd /usr/sbin/tcpd"
    );
    let status = Command::new("unshare")
        // Who is not root becomes it within a namespace of users.
        .args(["--mount", "--map-root-user", "bash", "-c", &script])
        .stdin(Stdio::from(OwnedFd::from(connection)))
        .status()
        .unwrap();
    assert!(status.success(), "{status}: tcpd needs a mount namespace of its own");
    drop(client);
}

/// rsyslogd with a log socket in this directory, shipping to a port.
fn rsyslogd(dir: &std::path::Path, port: u16) -> Program {
    let d = dir.display();
    let config = format!(
        "module(load=\"imuxsock\" SysSock.Name=\"{d}/log\")\n\
         *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"udp\")\n"
    );
    std::fs::write(dir.join("rsyslog.conf"), config).unwrap();
    let program = Program::start(
        Command::new("rsyslogd")
            .args(["-n", "-f"])
            .arg(dir.join("rsyslog.conf"))
            .arg("-i")
            .arg(dir.join("pid")),
    );
    wait_until("rsyslogd listens", || dir.join("log").exists());
    program
}

#[test]
fn a_refused_connection_turns_the_service_critical() {
    let dir = tempfile::tempdir().unwrap();
    let mut nagios = Nagios::prepare(dir.path(), &["TCP Wrappers"]);
    nagios.start();
    let mut daemon = before(&nagios);
    // The host is known by the name that rsyslogd gives it.
    let name = String::from_utf8(run(Command::new("uname").arg("-n")).stdout).unwrap();
    let config = std::fs::read_to_string(daemon.path("trapline.toml")).unwrap();
    let name = name.trim();
    let known =
        config.replace("map = {", &format!("map = {{ \"{name}\" = \"sw1\", \"localhost\" = \"sw1\","));
    std::fs::write(daemon.path("trapline.toml"), known).unwrap();
    daemon.stop();
    daemon.restart();
    let _rsyslogd = rsyslogd(dir.path(), daemon.syslog_udp);
    tcpd_refuses(dir.path());
    nagios.wait_service("TCP Wrappers", "2", "Denied 127.0.0.1 (127.0.0.1) - in.telnetd");
}

#[test]
fn lines_of_logger_over_udp_and_tcp() {
    let daemon = Daemon::start(crate::daemon::FILE_SINK);
    let text = "refused connect from evil.example (203.0.113.9)";
    let logger = |args: &[&str]| {
        run(Command::new("logger")
            .args(["--server", "127.0.0.1", "-p", "auth.warning", "-t", "in.ftpd[77]"])
            .args(args)
            .arg(text));
    };
    let (udp, tcp) = (daemon.syslog_udp.to_string(), daemon.syslog_tcp.to_string());
    logger(&["--udp", "-P", &udp, "--rfc3164"]);
    logger(&["--udp", "-P", &udp, "--rfc5424"]);
    logger(&["--tcp", "-P", &tcp, "--rfc3164"]);
    logger(&["--tcp", "-P", &tcp, "--rfc5424", "--octet-count"]);
    wait_until("all four", || daemon.outcomes("out.jsonl").len() == 4);
    for outcome in daemon.outcomes("out.jsonl") {
        assert_eq!(outcome["service"], "TCP Wrappers", "{outcome}");
        let output = outcome["output"].as_str().unwrap();
        assert!(output.starts_with("Denied evil.example (203.0.113.9) - in.ftpd"), "{outcome}");
    }
}

#[test]
fn every_captured_line_is_recognised() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/tcp_wrappers.txt");
    let Ok(lines) = std::fs::read_to_string(corpus) else {
        println!("no corpus beside this checkout");
        return;
    };
    for line in lines.lines() {
        let parsed = trapline::syslog::parse_line(line, 1_795_000_000_000_000);
        let wrapper = parsed.tcp_wrappers.unwrap_or_else(|| panic!("not recognised: {line}"));
        assert_eq!((parsed.host, wrapper.daemon), (None, parsed.program), "{line}");
    }
    assert!(lines.lines().count() >= 24);
}
