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

/// Runs tcpd on one connection whose client answers to RFC 931 look-ups with a name of its choice: in a network namespace,
/// where port 113 is free. The socket of the syslog daemon is in `dir`.
const TCPD_WITH_IDENT: &str = r#"
import os, socket, sys, threading
directory, name = sys.argv[1], os.fsencode(sys.argv[2])
ident = socket.create_server(("127.0.0.1", 113))
def answer():
    connection, _ = ident.accept()
    query = b""
    while not query.endswith(b"\n"):
        query += connection.recv(100)
    connection.sendall(query.strip() + b" : USERID : UNIX :" + name + b"\r\n")
    connection.close()
threading.Thread(target=answer, daemon=True).start()
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
connection, _ = server.accept()
pid = os.fork()
if pid == 0:
    os.dup2(connection.fileno(), 0)
    os.execv("/usr/sbin/tcpd", ["in.telnetd"])
os.waitpid(pid, 0)
"#;

#[test]
fn no_ident_name_hides_a_refused_connection() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(crate::daemon::FILE_SINK);
    let _rsyslogd = rsyslogd(dir.path(), daemon.syslog_udp);
    std::fs::write(dir.path().join("hosts.deny"), "ALL: ALL: RFC931 5\n").unwrap();
    std::fs::write(dir.path().join("tcpd.py"), TCPD_WITH_IDENT).unwrap();
    let d = dir.path().display();
    let names = ["a,b", "x(192.0.2.99)", "a@b@192.0.2.99", "ü,;|", "),", "$(id)"];
    for (at, name) in names.iter().enumerate() {
        let script = format!(
            "ip link set lo up && mount --bind {d}/hosts.deny /etc/hosts.deny && mount -t tmpfs tmpfs /dev && \
             ln -s {d}/log /dev/log && exec python3 {d}/tcpd.py {d} \"$0\""
        );
        let status = Command::new("unshare")
            .args(["--mount", "--net", "--map-root-user", "bash", "-c", &script, name])
            .status()
            .unwrap();
        assert!(status.success(), "{status}: tcpd needs namespaces of its own");
        wait_until(&format!("the refusal of {name}"), || daemon.outcomes("out.jsonl").len() > at);
    }
    for outcome in daemon.outcomes("out.jsonl") {
        assert_eq!(outcome["output"], "Denied 127.0.0.1 (127.0.0.1) - in.telnetd", "{outcome}");
    }
}

#[test]
fn a_refusal_in_an_unknown_form_is_counted() {
    let daemon = Daemon::start(crate::daemon::FILE_SINK);
    let send = |text: &str| {
        let target = format!("127.0.0.1:{}", daemon.syslog_udp);
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(text.as_bytes(), target).unwrap();
    };
    send("<36>Nov 24 10:00:00 h1 newd[1]: client 192.0.2.1 denied by libwrap");
    send("<36>Nov 24 10:00:00 h1 newd[1]: Connection refused");
    daemon.wait_count("unmatched", 2);
    daemon.wait_count("tcp_wrappers_unknown", 1);
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
