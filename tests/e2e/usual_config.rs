//! Every command without `--config` uses the configuration in the working directory.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use tempfile::TempDir;
use trapline::commands::Cli;

use crate::daemon::{Daemon, trapline};
use crate::support::{run, wait_until};

/// The commands that have `--config`, but for `run`, which goes on.
const COMMANDS: [&str; 42] = [
    "check --offline",
    "test",
    "explain --line down",
    "unmatched",
    "unmatched show 1",
    "unmatched forget --all",
    "history",
    "report",
    "state list",
    "state show a",
    "state clear --all",
    "state query --host *",
    "mute --host a --for 1h",
    "mute list",
    "mute end --all",
    "objects nagios",
    "send trap SNMPv2-MIB::coldStart",
    "send inform SNMPv2-MIB::coldStart --timeout 1",
    "send syslog hello",
    "senders",
    "mib load",
    "mib find linkDown",
    "mib tree linkDown",
    "mib rules",
    "mib add A-MIB.txt",
    "mib compile -o names.tlp",
    "rule list",
    "rule show down",
    "rule new SNMPv2-MIB::coldStart",
    "import snmptt snmptt.conf",
    "dead list",
    "dead retry hook",
    "dead drop hook",
    "sinks list",
    "sinks forget hook",
    "reload",
    "status",
    "token list",
    "token remove a",
    "doctor",
    "tap",
    "top --once",
];
/// The same. It prints a secret.
const RANDOM: &str = "token add a";

/// The folder of a daemon that has stopped while outcomes waited for its sink.
fn folder() -> Daemon {
    let mut daemon = Daemon::prepare(
        "[journal]\nmax_size = \"1MiB\"\n[history]\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n\
         [[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n",
    );
    for (name, text) in [
        (
            "rules.toml",
            "[[rule]]\nid = \"down\"\nsyslog = { message = '^down' }\n\
             [rule.check]\nservice = \"s\"\nstate = \"critical\"\noutput = \"down\"\n",
        ),
        ("snmptt.conf", "EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT down $1\n"),
        (
            "A-MIB.txt",
            "A-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\n\
             a OBJECT IDENTIFIER ::= { enterprises 99999 }\nEND\n",
        ),
    ] {
        std::fs::write(daemon.path(name), text).unwrap();
    }
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"<35>Nov 20 12:00:00 h app: down", ("127.0.0.1", daemon.syslog_udp)).unwrap();
    wait_until("it waits", || daemon.status()["sinks"][0]["behind"] == 1);
    daemon.stop();
    daemon
}

/// What a command says in a copy of a folder: its exit status and what it prints, where all numbers look alike.
fn said(folder: &Path, words: &str, config: &[&str]) -> String {
    let copy = TempDir::new().unwrap();
    let at = copy.path().join("copy");
    run(Command::new("cp").arg("-a").arg(folder).arg(&at));
    let ended = trapline().args(words.split(' ')).args(config).current_dir(&at).output().unwrap();
    let text = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let mut text = format!("{}\n{}", ended.status, text.concat().replace(at.to_str().unwrap(), "COPY"));
    text = text.chars().map(|c| if c.is_ascii_hexdigit() { '#' } else { c }).collect();
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    text
}

/// What is waiting for a sink is not discarded because the sink is configured in a file that one command does not look at.
#[test]
fn a_command_without_a_configuration_does_what_it_does_with_the_usual_one() {
    let daemon = folder();
    let folder = daemon.dir.path();
    for words in COMMANDS {
        let usual = said(folder, words, &[]);
        assert_eq!(usual, said(folder, words, &["--config", "trapline.toml"]), "{words}");
    }
    let forgets = said(folder, "sinks forget hook", &[]);
    assert!(forgets.starts_with("#xit st#tus: #") && forgets.contains("is #on#igur#;"), "{forgets}");
}

#[test]
fn a_usual_configuration_that_cannot_be_read_is_said_by_every_command() {
    let make: [fn(&Path); 2] = [
        |config| std::fs::write(config, "[journal\n").unwrap(),
        // As somebody leaves it who has moved what it leads to.
        |config| std::os::unix::fs::symlink("moved.toml", config).unwrap(),
    ];
    for (kind, make) in make.iter().enumerate() {
        let folder = TempDir::new().unwrap();
        make(&folder.path().join("trapline.toml"));
        std::fs::write(folder.path().join("A-MIB.txt"), "").unwrap();
        std::fs::write(folder.path().join("snmptt.conf"), "").unwrap();
        for words in COMMANDS.iter().chain(&[RANDOM, "run"]) {
            let ended = trapline().args(words.split(' ')).current_dir(folder.path()).output().unwrap();
            let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            let said = said.concat();
            assert!(!ended.status.success() && said.contains("trapline.toml"), "{kind} {words}: {said}");
        }
    }
}

/// The commands that have `--config`.
fn configured(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
    let has = command.get_arguments().any(|argument| argument.get_long() == Some("config"));
    if has && !command.is_subcommand_required_set() {
        all.insert(path.trim_start().to_owned());
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        configured(below, &format!("{path} {}", below.get_name()), all);
    }
}

#[test]
fn every_command_that_has_a_configuration_is_tried_without() {
    let mut all = BTreeSet::new();
    configured(&Cli::command(), "", &mut all);
    let tried = |leaf: &&String| {
        let words = format!("{leaf} ");
        // What a line runs is the longest command that it begins with.
        let longer =
            |line: &&str| all.iter().any(|other| other.starts_with(&words) && line.starts_with(&**other));
        COMMANDS.iter().chain(&[RANDOM]).any(|line| format!("{line} ").starts_with(&words) && !longer(line))
    };
    let untried: Vec<&String> = all.iter().filter(|leaf| *leaf != "run" && !tried(leaf)).collect();
    assert!(untried.is_empty(), "a line for {untried:?} in the list");
}
