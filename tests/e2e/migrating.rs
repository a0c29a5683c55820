//! What the pages about bodies and about other syslog daemons print: configurations and rules as they stand there, and what
//! rsyslog and syslog-ng send with the configurations of their pages.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{Program, port, run, wait_for, wait_until};
use crate::syslog_peers::{prepare, start_syslog_ng, syslog_ng_with};

const PAGES: [&str; 4] =
    ["bodies.md", "migrating-rsyslog.md", "migrating-syslog-ng.md", "migrating-vector.md"];

/// The blocks of a language of a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The rules of a page.
fn rules(page: &str) -> String {
    blocks(page, "toml").into_iter().filter(|block| block.starts_with("[[rule]]")).collect()
}

#[test]
fn what_the_pages_print_is_right() {
    let mut configurations = 0;
    for page in PAGES {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("trapline.toml");
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/page.toml"), rules(page)).unwrap();
        let printed: String =
            blocks(page, "toml").into_iter().filter(|b| b.starts_with("[syslog]")).collect();
        configurations += usize::from(!printed.is_empty());
        // What the check asks of every configuration.
        let syslog = if printed.is_empty() { "[syslog]\nrelays = []\n" } else { "" };
        let sink =
            if printed.contains("[[sinks]]") { String::new() } else { FILE_SINK.replace("DIR", "outcomes") };
        std::fs::write(&config, format!("[snmp]\nrelays = []\n{syslog}{sink}\n{printed}")).unwrap();
        // The servers on the pages are not there.
        for command in [&["check", "--offline"][..], &["test"]] {
            let done = output(&[command, &["--config", config.to_str().unwrap()]].concat());
            assert!(done.status.success() && done.stderr.is_empty(), "{page}: {command:?}: {done:?}");
        }
    }
    assert_eq!(configurations, PAGES.len() - 1);
}

/// The configuration of the page, with another server, sends what the rules of the page take.
#[test]
fn rsyslog_sends_as_its_page_says() {
    let page = "migrating-rsyslog.md";
    let (relp, udp) = (port(), port());
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), rules(page)).unwrap();
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let tcp = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
    let text = text.replace(&tcp, &format!("{tcp}, \"relp://127.0.0.1:{relp}\""));
    std::fs::write(&path, text).unwrap();
    daemon.restart();

    let dir = TempDir::new().unwrap();
    let printed = blocks(page, "text").into_iter().find(|block| block.contains("omrelp")).unwrap();
    let action = printed.replace("trapline.example.org", "127.0.0.1").replace("2514", &relp.to_string());
    let config = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n{action}",
        dir.path().display()
    );
    std::fs::write(dir.path().join("rsyslog.conf"), config).unwrap();
    let mut command = Command::new("rsyslogd");
    command.args(["-n", "-f"]).arg(dir.path().join("rsyslog.conf")).arg("-i").arg(dir.path().join("pid"));
    let _rsyslogd = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("rsyslogd has started", || dir.path().join("pid").exists());

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = "<38>Nov 20 12:00:01 db1 sshd[99]: Failed password for root from 203.0.113.9 port 40122 ssh2";
    let outcome = wait_for("the line is there", || {
        // rsyslogd writes its pid before it listens; repeats are swallowed by the rule.
        socket.send_to(line.as_bytes(), ("127.0.0.1", udp)).ok()?;
        daemon.outcomes("out.jsonl").into_iter().next()
    });
    assert_eq!(outcome["service"], "SSH logins");
    assert_eq!(outcome["output"], "Failed password for root from 203.0.113.9");
    assert_eq!(outcome["host"], "db1");
}

/// syslog-ng reads all that its page prints. With the destinations of the pages, with other servers, it sends what the rules of its page take: over
/// TCP with a disk buffer, and over TLS.
#[test]
fn syslog_ng_sends_as_its_pages_say() {
    let page = "migrating-syslog-ng.md";
    let (mut daemon, ways) = prepare(true);
    std::fs::write(daemon.path("rules.toml"), rules(page)).unwrap();
    daemon.restart();
    let certificates = daemon.dir.path().display().to_string();
    let udp = port();
    let source = format!(
        "options {{ keep-hostname(yes); time-reopen(1); }};\n\
         source s_src {{ network(ip(\"127.0.0.1\") transport(\"udp\") port({udp})); }};\n"
    );
    let destination = |page: &str| {
        blocks(page, "text").into_iter().find(|block| block.contains("destination d_trapline")).unwrap()
    };
    let folder = TempDir::new().unwrap();
    let all = source.clone() + &blocks(page, "text").concat();
    run(syslog_ng_with(folder.path(), &all).arg("--syntax-only"));

    let over_tcp = destination(page)
        .replace("trapline.example.org", "127.0.0.1")
        .replace("1514", &ways.tcp.to_string())
        .replace("disk-buffer(", &format!("disk-buffer(dir(\"{}\") ", folder.path().display()));
    let over_tls = destination("syslog-transports.md")
        .replace("trapline.example.org", "localhost")
        .replace("6514", &ways.tls.to_string())
        .replace("/etc/syslog-ng", &certificates)
        + "log { source(s_src); destination(d_trapline); };\n";
    for (way, config) in [("TCP", over_tcp), ("TLS", over_tls)] {
        let folder = TempDir::new().unwrap();
        let _syslog_ng = start_syslog_ng(folder.path(), &(source.clone() + &config));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let line = format!("<36>Nov 20 12:00:01 web1 app[5]: login failed user={way} src=203.0.113.9");
        let outcome = wait_for(way, || {
            // It listens some time after its start.
            let _ = socket.send_to(line.as_bytes(), ("127.0.0.1", udp));
            daemon.outcomes("out.jsonl").into_iter().find(|outcome| outcome["output"] == way)
        });
        assert_eq!((&outcome["host"], &outcome["service"]), (&"web1".into(), &"App logins".into()));
    }
    daemon.stop();
}
