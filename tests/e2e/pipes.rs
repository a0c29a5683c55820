//! Output that nobody reads or that cannot be written, for every command and the daemon.

use std::io::pipe;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{Program, port, run, wait_until};
use crate::watching::get;

/// A pipe that nobody reads.
pub fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// The commands that the help lists.
fn listed() -> Vec<String> {
    let help = trapline().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        Some(name.split_whitespace().next()?.to_owned())
    });
    names.filter(|name| name != "help" && name != "run").collect()
}

#[test]
fn every_command_ends_quietly_when_nobody_reads_it() {
    let (hook, http) = (port(), port());
    // Few rules: each command reads them four times.
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{hook}/\"\n\
         [[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{http}\"\n[[intake.checkin]]\nservice = \"backup\"\n\
         [rules]\npacks = [\"if-mib\", \"snmpv2-mib\"]\n"
    ));
    let url = format!("http://127.0.0.1:{http}");
    daemon.restart();
    let (target, tcp) = (format!("127.0.0.1:{}", daemon.snmp), format!("127.0.0.1:{}", daemon.syslog_udp));
    let snmptt = daemon.path("snmptt.conf");
    std::fs::write(
        &snmptt,
        "EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT down $1\n",
    )
    .unwrap();
    let config = ["--config", daemon.path("trapline.toml").to_str().unwrap()].map(str::to_owned);
    let trap = ["IF-MIB::linkDown", "ifIndex.3=3"];
    let commands: Vec<Vec<&str>> = vec![
        vec!["check"],
        vec!["check", "--json"],
        vec!["test"],
        vec!["test", "--junit"],
        vec!["test", "--against", snmptt.to_str().unwrap(), snmptt.to_str().unwrap()],
        vec!["explain", "--line", "<36>Nov 20 12:00:01 db1 in.telnetd[4]: refused connect from evil.example"],
        vec!["explain", snmptt.to_str().unwrap()],
        [&["send", "trap"][..], &trap, &["--to", &target]].concat(),
        [&["send", "inform"][..], &trap, &["--to", &target]].concat(),
        vec!["send", "syslog", "<13>hello", "--to", &tcp],
        vec!["send", "checkin", "--url", &url, "backup", "ok"],
        vec!["checkin", "query", "--url", &url, "--service", "backup"],
        vec!["mib", "load"],
        vec!["mib", "find", "ifIndex"],
        vec!["mib", "tree"],
        vec!["mib", "rules", "IF-MIB"],
        vec!["import", "snmptt", snmptt.to_str().unwrap()],
        vec!["rule", "list"],
        vec!["unmatched"],
        vec!["history"],
        vec!["history", "--format", "csv"],
        vec!["report"],
        vec!["report", "--format", "csv"],
        vec!["state", "list"],
        vec!["state", "list", "--json"],
        vec!["state", "clear", "--all"],
        vec!["state", "query", "--host", "h"],
        vec!["mute", "--host", "h", "--for", "1h"],
        vec!["mute", "list"],
        vec!["mute", "list", "--json"],
        vec!["mute", "end", "--all"],
        vec!["objects", "nagios"],
        vec!["objects", "icinga2", "--print-template"],
        vec!["senders"],
        vec!["senders", "--silent", "--json"],
        vec!["dead", "list"],
        vec!["sinks", "list"],
        vec!["sinks", "list", "--json"],
        vec!["reload"],
        vec!["reload", "--json"],
        vec!["status"],
        vec!["status", "--json"],
        vec!["status", "--watch"],
        vec!["init", "-"],
        vec!["tap", "--count", "0"],
        vec!["top", "--once"],
        vec!["token", "add", "screen", "--role", "read"],
        vec!["token", "list"],
        vec!["doctor"],
        vec!["doctor", "--json"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["no-such-command"],
        vec!["--help"],
        vec!["--version"],
    ];
    for name in listed() {
        assert!(commands.iter().any(|command| command[0] == name), "no line for `trapline {name}`");
    }
    for command in commands {
        let takes_config = !matches!(
            command[0],
            "send" | "checkin" | "import" | "init" | "completions" | "man" | "no-such-command"
        ) && !command[0].starts_with('-');
        let start = |out: Stdio, err: Stdio| {
            let mut program = trapline();
            program.args(&command).args(if takes_config { &config[..] } else { &[] });
            program.stdout(out).stderr(err).output().unwrap()
        };
        let nobody = start(closed(), Stdio::piped());
        let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{command:?}: {said}");
        assert!(matches!(nobody.status.code(), Some(0..=2)), "{command:?}: {}", nobody.status);
        let neither = start(closed(), closed());
        assert!(matches!(neither.status.code(), Some(0..=2)), "{command:?}: {}", neither.status);
        let watches = command.contains(&"--watch");
        let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let no_space = start(full(), Stdio::piped());
        let said = String::from_utf8_lossy(&no_space.stderr).into_owned();
        assert!(!said.contains("panicked"), "{command:?}: {said}");
        assert!(!watches || no_space.status.code() == Some(1), "{command:?}");
        let nothing = start(full(), full());
        assert!(matches!(nothing.status.code(), Some(0..=3)), "{command:?}: {}", nothing.status);
        if command[0] == "checkin" || command[1..].contains(&"query") {
            assert_eq!((no_space.status.code(), nothing.status.code()), (Some(3), Some(3)), "{command:?}");
        }
    }
}

/// What a command answers by its exit status does not depend on who reads what it prints.
#[test]
fn an_exit_status_that_is_an_answer_is_the_same_when_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let rule = "[[rule]]\nid = \"a\"\nsyslog = { program = \"x\" }\n[rule.check]\nservice = \"x\"\n";
    let (good, bad, failing) = (path("good.toml"), path("bad.toml"), path("failing.toml"));
    let test = |state: &str| {
        format!("[[rule.test]]\nline = \"<38>Nov 20 12:00:00 db x: x\"\nexpect = {{ state = \"{state}\" }}\n")
    };
    std::fs::write(&good, format!("{rule}state = \"ok\"\n{}", test("ok"))).unwrap();
    std::fs::write(&bad, format!("{rule}state = \"nope\"\n")).unwrap();
    std::fs::write(&failing, format!("{rule}state = \"ok\"\n{}", test("critical"))).unwrap();
    let nowhere = path("nowhere.toml");
    for command in [
        &["check", &good][..],
        &["check", &bad],
        &["check", "--json", &bad],
        &["test", &good],
        &["test", &failing],
        &["test", "--junit", &failing],
        &["doctor", "--config", &nowhere],
        &["doctor", "--json", "--config", &nowhere],
        &["status", "--check", "--config", &nowhere],
    ] {
        let status = |out: Stdio| {
            let mut program = trapline();
            program.args(command).current_dir(dir.path()).stdout(out).stderr(Stdio::null());
            program.status().unwrap().code()
        };
        let read = status(Stdio::null());
        assert_eq!(read == Some(0), command.contains(&good.as_str()), "{command:?}: {read:?}");
        assert_eq!(status(closed()), read, "{command:?}");
    }
}

/// A daemon whose log goes nowhere works, and says that it is well because it is.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    for format in ["human", "json"] {
        for full in [false, true] {
            let http = port();
            let daemon = Daemon::prepare(&format!(
                "{FILE_SINK}[[sinks]]\nname = \"nagios\"\ntype = \"nagios\"\ncommand_file = \"DIR/pipe\"\n\
                 [http]\nlisten = \"127.0.0.1:{http}\"\n[log]\nformat = \"{format}\"\n"
            ));
            let mut command = trapline();
            command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
            command.stderr(if full {
                std::fs::File::options().write(true).open("/dev/full").unwrap().into()
            } else {
                closed()
            });
            let mut program = Program::start(&mut command);
            wait_until("it is ready", || {
                assert!(program.0.try_wait().unwrap().is_none());
                get(http, "/ready").0 == 200
            });
            // Each of these writes a line to the log: a message that no rule takes, a packet that is none, a sink that
            // cannot deliver and then can, a reload.
            daemon.trap(&["1.3.6.1.4.1.99999.0.1"]);
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"no packet", ("127.0.0.1", daemon.snmp)).unwrap();
            daemon.link_down("Gi0/3");
            wait_until("it is delivered", || daemon.outcomes("out.jsonl").len() == 1);
            wait_until("the other sink fails", || daemon.status()["sinks"][1]["failures"].as_u64() > Some(0));
            program.signal("HUP");
            wait_until("it reloads", || daemon.status()["reloads"]["done"] == 1);
            run(Command::new("mkfifo").arg(daemon.path("pipe")));
            let pipe = std::fs::File::options().read(true).write(true).open(daemon.path("pipe")).unwrap();
            std::thread::spawn(move || while std::io::Read::read(&mut &pipe, &mut [0; 4096]).is_ok() {});
            wait_until("the other sink delivers", || daemon.status()["sinks"][1]["behind"] == 0);
            daemon.link_down("Gi0/4");
            wait_until("it goes on", || daemon.outcomes("out.jsonl").len() == 2);
            assert_eq!(get(http, "/ready").0, 200);
            let status = daemon.status();
            assert_eq!(status["problems"], serde_json::json!([]));
            program.signal("TERM");
            assert!(program.0.wait().unwrap().success());
        }
    }
}
