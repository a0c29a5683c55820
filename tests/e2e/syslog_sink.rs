//! Outcomes as syslog messages to rsyslogd, over TCP and RELP.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::certificates::Authority;
use crate::daemon::{Daemon, output, trapline};
use crate::support::{Program, port, read, run, wait_port, wait_until};
use crate::syslog_peers::start_syslog_ng;

/// An rsyslogd that writes each message as it came before it acknowledges it.
struct Server {
    dir: tempfile::TempDir,
    tcp: u16,
    relp: u16,
    udp: u16,
    tls: u16,
    program: Option<Program>,
}

impl Server {
    fn start() -> Self {
        let mut server = Server {
            dir: tempfile::tempdir().unwrap(),
            tcp: port(),
            relp: port(),
            udp: port(),
            tls: port(),
            program: None,
        };
        let authority = Authority::new(&server.dir.path().join("ca.pem"));
        authority.issue(server.dir.path(), "server", &["localhost"]);
        let (d, tcp, relp) = (server.dir.path().display(), server.tcp, server.relp);
        let (udp, tls) = (server.udp, server.tls);
        let config = format!(
            "global(workDirectory=\"{d}\" defaultNetstreamDriverCAFile=\"{d}/ca.pem\" defaultNetstreamDriverCertFile=\"{d}/server.pem\" \
             defaultNetstreamDriverKeyFile=\"{d}/server.key\")\nmodule(load=\"imtcp\")\nmodule(load=\"imudp\")\nmodule(load=\"imrelp\")\n\
             template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             template(name=\"fields\" type=\"string\" string=\"%hostname% %syslogfacility-text%.%syslogseverity-text% %structured-data% %msg%\\n\")\n\
             ruleset(name=\"out\" queue.type=\"direct\") {{\n action(type=\"omfile\" file=\"{d}/raw\" template=\"raw\")\n \
             action(type=\"omfile\" file=\"{d}/fields\" template=\"fields\")\n}}\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\" ruleset=\"out\")\n\
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\" ruleset=\"out\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\" ruleset=\"out\" streamdriver.name=\"ossl\" streamdriver.mode=\"1\" \
             streamdriver.authmode=\"anon\")\n\
             input(type=\"imrelp\" address=\"127.0.0.1\" port=\"{relp}\" ruleset=\"out\")\n"
        );
        std::fs::write(server.dir.path().join("rsyslog.conf"), config).unwrap();
        server.run();
        server
    }

    fn run(&mut self) {
        let dir = self.dir.path();
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-f"]).arg(dir.join("rsyslog.conf")).arg("-i").arg(dir.join("pid"));
        self.program = Some(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        for port in [self.tcp, self.relp, self.tls] {
            wait_until("rsyslogd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
    }

    /// Kills it where it is.
    fn kill(&mut self) {
        self.program = None;
        let _ = std::fs::remove_file(self.dir.path().join("pid"));
    }

    fn lines(&self, file: &str) -> Vec<String> {
        read(&self.dir.path().join(file)).lines().map(str::to_owned).collect()
    }
}

fn sink(name: &str, to: &str, more: &str) -> String {
    format!("[[sinks]]\nname = \"{name}\"\ntype = \"syslog\"\nto = \"{to}\"\n{more}\n")
}

#[test]
fn every_form_over_tcp_and_relp() {
    let server = Server::start();
    let (tcp, relp) =
        (format!("tcp://127.0.0.1:{}", server.tcp), format!("relp://127.0.0.1:{}", server.relp));
    let config = sink("structured", &relp, "")
        + &sink("cef", &tcp, "format = \"cef\"\nfacility = \"authpriv\"")
        + &sink("leef", &relp, "format = \"leef\"\nmax_size = 480");
    let daemon = Daemon::start(&config);
    let interface = "Gi0/3 \"a]b\\c\" |x=y| é";
    daemon.link_down(interface);
    wait_until("all have it", || server.lines("fields").len() == 3);
    let (raw, fields) = (server.lines("raw"), server.lines("fields"));
    let of = |lines: &[String], part: &str| {
        lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}")).clone()
    };
    let structured = of(&fields, "[trapline@32473 ");
    assert!(structured.starts_with("127.0.0.1 local0.crit [trapline@32473 id=\""), "{structured}");
    assert!(
        structured.contains(r#"a\]b\\c\" |x=y| "#) && structured.contains("state=\"critical\""),
        "{structured}"
    );
    let cef = of(&raw, "CEF:0|");
    assert!(cef.starts_with("<82>1 ") && cef.contains(" - CEF:0|Trapline|trapline|"), "{cef}");
    assert!(cef.contains(r"|x\=y| ") && cef.contains(" cs2Label=state cs2=critical "), "{cef}");
    let leef = of(&raw, "LEEF:2.0|");
    assert!(leef.starts_with("<130>1 ") && leef.contains("#011state=critical#011"), "{leef}");
    // A server may have an outcome before the sink counts it as delivered.
    wait_until("each is counted as delivered", || {
        let status = daemon.status();
        let sinks = status["sinks"].as_array().unwrap();
        sinks.iter().all(|sink| sink["delivered"] == 1 && sink["behind"] == 0)
    });
}

#[test]
fn over_tls_and_udp() {
    let mut server = Server::start();
    let ca = server.dir.path().join("ca.pem");
    let tls = format!("tls://localhost:{}", server.tls);
    let config = sink("tls", &tls, &format!("ca_file = \"{}\"", ca.display()))
        + &sink("udp", &format!("udp://127.0.0.1:{}", server.udp), "");
    let daemon = Daemon::start(&config);
    let path = daemon.path("trapline.toml").display().to_string();
    let checked = output(&["check", "--config", &path]);
    assert!(checked.status.success(), "{checked:?}");
    let send = |port: &str| {
        daemon.link_down(port);
    };
    for n in 0..5 {
        send(&format!("Gi0/{n}"));
    }
    wait_until("both have all", || server.lines("raw").len() == 10);
    wait_until("each counts them", || {
        let status = daemon.status();
        status["sinks"].as_array().unwrap().iter().all(|sink| sink["delivered"] == 5 && sink["behind"] == 0)
    });
    // Nobody listens: the machine says so, and nothing counts as delivered.
    server.kill();
    send("Gi0/7");
    wait_until("both say so", || {
        let status = daemon.status();
        status["sinks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|sink| sink["error"].is_string() && sink["behind"] == 1)
    });
    server.run();
    wait_until("both have it", || {
        server.lines("raw").iter().filter(|line| line.contains("Gi0/7")).count() == 2
    });
    // A server that nobody trusts gets nothing.
    let other = server.dir.path().join("other.pem");
    let _other = Authority::new(&other);
    let stranger = Daemon::prepare(&sink("tls", &tls, &format!("ca_file = \"{}\"", other.display())));
    let path = stranger.path("trapline.toml").display().to_string();
    let checked = output(&["check", "--config", &path]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("no TLS with tls://localhost"), "{said}");
}

#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let mut server = Server::start();
    let daemon = Daemon::start(&sink("siem", &format!("relp://127.0.0.1:{}", server.relp), ""));
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let mut sender = Program::start(
        trapline()
            .args(["send", "trap", "--to", &to, "--count", "1500", "--rate", "500", "IF-MIB::linkDown"])
            .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=Gi0/3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    for some in [200, 600] {
        wait_until("some are there", || server.lines("raw").len() >= some);
        server.kill();
        server.run();
    }
    assert!(sender.0.wait().unwrap().success());
    wait_until("all is delivered", || {
        let status = daemon.status();
        let (sink, intake) = (&status["sinks"][0], &status["intake"]);
        let came = intake["snmp_received"].as_u64().unwrap() + intake["kernel_drops"].as_u64().unwrap();
        came == 1500 && sink["behind"] == 0
    });
    let expected = daemon.status()["journal"]["next"].as_u64().unwrap() - 1;
    let lines = server.lines("raw");
    // A message that was being written when rsyslogd was killed has no end.
    let id = |line: &String| {
        line.split_once("] ")
            .and_then(|(line, _)| Some(line.split(" id=\"").nth(1)?.split('"').next()?.to_owned()))
    };
    let ids: BTreeSet<String> = lines.iter().filter_map(id).collect();
    println!("{expected} outcomes, {} lines", lines.len());
    assert_eq!(ids.len() as u64, expected);
}

#[test]
fn a_server_that_is_away_or_speaks_something_else() {
    let closed = port();
    let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = web.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = web.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let config = sink("away", &format!("tcp://127.0.0.1:{closed}"), "")
        + &sink("other", &format!("relp://127.0.0.1:{other}"), "");
    let daemon = Daemon::start(&config);
    daemon.link_down("Gi0/3");
    answers.join().unwrap();
    wait_until("both are said", || {
        let log = daemon.log();
        log.contains(&format!("cannot connect to tcp://127.0.0.1:{closed}: "))
            && log.contains("it does not speak RELP")
    });
    assert!(daemon.status()["sinks"].as_array().unwrap().iter().all(|sink| sink["behind"] == 1));
}

/// syslog-ng closes a connection when it has read all, so nothing is sent twice, and nothing is lost.
#[test]
fn syslog_ng_reads_the_fields_over_tcp_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (d, tcp, tls) = (dir.path().display(), port(), port());
    let authority = Authority::new(&dir.path().join("ca.pem"));
    authority.issue(dir.path(), "server", &["localhost"]);
    let config = format!(
        "options {{ stats-freq(0); keep-hostname(yes); log-msg-size(65536); }};\n\
         source s_tcp {{ syslog(ip(\"127.0.0.1\") port({tcp}) transport(\"tcp\")); }};\n\
         source s_tls {{ syslog(ip(\"127.0.0.1\") port({tls}) transport(\"tls\") \
         tls(cert-file(\"{d}/server.pem\") key-file(\"{d}/server.key\") peer-verify(optional-untrusted))); }};\n\
         template fields {{ template(\"${{HOST}} ${{FACILITY}}.${{PRIORITY}} ${{PROGRAM}} ${{.SDATA.trapline@32473.id}} \
         ${{.SDATA.trapline@32473.service}}: ${{MSG}}\\n\"); }};\n\
         log {{ source(s_tcp); destination {{ file(\"{d}/tcp\" template(fields)); }}; }};\n\
         log {{ source(s_tls); destination {{ file(\"{d}/tls\" template(fields)); }}; }};\n"
    );
    let _server = start_syslog_ng(dir.path(), &config);
    for port in [tcp, tls] {
        wait_port(port);
    }
    let daemon = Daemon::start(
        &(sink("tcp", &format!("tcp://127.0.0.1:{tcp}"), "")
            + &sink("tls", &format!("tls://localhost:{tls}"), &format!("ca_file = \"{d}/ca.pem\""))),
    );
    let interface = "Gi0/3 \"a]b\\c\" |x=y| é";
    daemon.link_down(interface);
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let mut more = trapline();
    more.args(["send", "inform", "--to", &to, "--count", "300", "IF-MIB::linkDown", "ifIndex.4=4"]);
    run(more.args(["ifAdminStatus.4=up", "ifOperStatus.4=down", "ifDescr.4=Gi0/4"]).stdout(Stdio::null()));
    wait_until("each is counted as delivered", || {
        let status = daemon.status();
        let sinks = status["sinks"].as_array().unwrap();
        sinks.iter().all(|sink| sink["delivered"] == 301 && sink["behind"] == 0)
    });
    for name in ["tcp", "tls"] {
        let lines = || read(&dir.path().join(name)).lines().map(str::to_owned).collect::<Vec<_>>();
        wait_until("syslog-ng has written all", || lines().len() == 301);
        let lines = lines();
        let distinct: BTreeSet<&str> = lines.iter().map(|line| line.split(' ').nth(3).unwrap()).collect();
        assert_eq!(distinct.len(), 301, "{name}: one is there twice");
        let first = &lines[0];
        assert!(first.starts_with("127.0.0.1 local0.crit trapline "), "{first}");
        assert!(first.contains(&format!(" Interface {interface}: Link down on {interface}")), "{first}");
    }
}
