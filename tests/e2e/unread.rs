//! Commands that change something do so, whoever reads what they print.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::UdpSocket;
use std::process::{Output, Stdio};

use clap::CommandFactory as _;
use serde_json::Value;
use trapline::commands::Cli;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::pipes::closed;
use crate::support::{port, wait_until};
use crate::web_server::WebServer;

/// Commands that change nothing, and `run`.
const PRINT: [&str; 27] = [
    "check",
    "test",
    "explain",
    "unmatched",
    "unmatched show",
    "history",
    "state list",
    "state show",
    "state query",
    "checkin query",
    "mute list",
    "objects",
    "senders",
    "mib find",
    "mib tree",
    "mib rules",
    "rule list",
    "rule show",
    "dead list",
    "sinks list",
    "status",
    "token list",
    "tap",
    "top",
    "doctor",
    "completions",
    "run",
];

/// A command that changes something. `#` stands for the number of the try, `DIR` for the folder.
struct Row {
    command: &'static str,
    /// Makes what there must be, and counts.
    before: fn(&Bench) -> u64,
    done: Done,
}

/// How it is known that the work is done.
enum Done {
    /// A file is there.
    Writes(&'static str),
    /// This says so, by the number of the try and the count of before.
    Says(fn(&Bench, &str, u64) -> bool),
}

struct Bench {
    daemon: Daemon,
    server: WebServer,
    http: u16,
}

impl Bench {
    fn start() -> Self {
        let (server, http) = (WebServer::start(|_| (400, "", "never".to_owned())), port());
        let mut daemon = Daemon::prepare(&format!(
            "{FILE_SINK}[[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/\"\n\
             [[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{http}\"\n[[intake.checkin]]\nservice = \"backup\"\n\
             [history]\n[rules]\npacks = [\"checkin\"]\npaths = [\"rules.toml\"]\n",
            server.url()
        ));
        for (name, text) in [
            (
                "rules.toml",
                "[[rule]]\nid = \"down\"\nsyslog = { message = '^down' }\ndedup = { window = \"1h\" }\n\
                 [rule.check]\nservice = \"s\"\nstate = \"critical\"\noutput = \"{{ message }}\"\n",
            ),
            (
                "snmptt.conf",
                "EVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Critical\nFORMAT down $1\n",
            ),
            ("snmptrapd.conf", "authCommunity log public\n"),
            (
                "A-MIB.txt",
                "A-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\n\
                 a OBJECT IDENTIFIER ::= { enterprises 99999 }\nEND\n",
            ),
        ] {
            std::fs::write(daemon.path(name), text).unwrap();
        }
        daemon.restart();
        Bench { daemon, server, http }
    }

    fn run(&self, command: &str, out: Stdio, n: &str) -> Output {
        let config = self.daemon.path("trapline.toml").display().to_string();
        let words = command.split(' ').map(|word| {
            word.replace("CONFIG", &config)
                .replace("DIR", self.daemon.dir.path().to_str().unwrap())
                .replace("SNMP", &format!("127.0.0.1:{}", self.daemon.snmp))
                .replace("SYSLOG", &format!("127.0.0.1:{}", self.daemon.syslog_udp))
                .replace("HTTP", &format!("http://127.0.0.1:{}", self.http))
                .replace('#', n)
        });
        trapline().args(words).stdout(out).output().unwrap()
    }

    fn ran(&self, command: &str) -> u64 {
        assert!(self.run(command, Stdio::null(), "").status.success(), "{command}");
        0
    }

    /// What a command prints as JSON.
    fn json(&self, command: &str) -> Value {
        let said = self.run(&format!("{command} --json --config CONFIG"), Stdio::piped(), "");
        serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{command}: {said:?}"))
    }

    fn count(&self, command: &str, list: &str) -> usize {
        self.json(command)[list].as_array().unwrap().len()
    }

    fn line(&self, text: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let line = format!("<35>Nov 20 12:00:00 h app: {text}");
        socket.send_to(line.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    /// A dead letter, and an open problem.
    fn problem(&self) -> u64 {
        self.run("state clear --all --config CONFIG", Stdio::null(), "");
        let lines = || self.run("dead list hook --config CONFIG", Stdio::piped(), "").stdout;
        let before = lines().len();
        self.line("down");
        wait_until("it is dead", || lines().len() > before && self.count("state list", "entries") == 1);
        0
    }

    fn has(&self, file: &str) -> bool {
        std::fs::metadata(self.daemon.path(file)).is_ok_and(|file| file.len() > 0)
    }

    /// Configures another sink, or none, and reloads.
    fn another_sink(&self, is_there: bool) {
        let config = self.daemon.path("trapline.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let sink = "[[sinks]]\nname = \"old\"\ntype = \"nagios\"\ncommand_file = \"/nowhere/pipe\"\n";
        let text = text.replace(sink, "") + if is_there { sink } else { "" };
        std::fs::write(config, text).unwrap();
        self.ran("reload --config CONFIG");
    }

    fn unmatched(&self) -> u64 {
        self.daemon.status()["intake"]["unmatched"].as_u64().unwrap()
    }

    fn reloads(&self) -> u64 {
        self.daemon.status()["reloads"]["done"].as_u64().unwrap()
    }
}

impl Row {
    /// A command whose work is a file, which is there afterwards.
    const fn writes(command: &'static str, file: &'static str) -> Row {
        Row { command, before: nothing, done: Done::Writes(file) }
    }
}

fn nothing(_: &Bench) -> u64 {
    0
}

fn forgotten_sink(bench: &Bench) -> u64 {
    bench.another_sink(true);
    bench.another_sink(false);
    0
}

fn is_forgotten(bench: &Bench, _: &str, _: u64) -> bool {
    !bench.json("sinks list")["sinks"].as_array().unwrap().iter().any(|sink| sink["name"] == "old")
}

const ROWS: &[Row] = &[
    Row {
        command: "dead retry hook --config CONFIG",
        before: |bench| {
            bench.problem();
            bench.server.requests().len() as u64
        },
        done: Done::Says(|bench, _, before| bench.server.requests().len() as u64 > before),
    },
    Row {
        command: "dead drop hook --config CONFIG",
        before: |bench| bench.problem(),
        done: Done::Says(|bench, _, _| {
            bench.run("dead list hook --config CONFIG", Stdio::piped(), "").stdout.is_empty()
        }),
    },
    Row {
        command: "sinks forget old --config CONFIG",
        before: forgotten_sink,
        done: Done::Says(is_forgotten),
    },
    Row {
        command: "sinks forget old --json --config CONFIG",
        before: forgotten_sink,
        done: Done::Says(is_forgotten),
    },
    Row {
        command: "reload --config CONFIG",
        before: Bench::reloads,
        done: Done::Says(|bench, _, before| bench.reloads() > before),
    },
    Row {
        command: "reload --json --config CONFIG",
        before: Bench::reloads,
        done: Done::Says(|bench, _, before| bench.reloads() > before),
    },
    Row {
        command: "mute --host h# --for 1h --config CONFIG",
        before: nothing,
        done: Done::Says(|bench, n, _| {
            bench.json("mute list")["mutes"].to_string().contains(&format!("h{n}"))
        }),
    },
    Row {
        command: "mute end --all --config CONFIG",
        before: |bench| bench.ran("mute --host h --for 1h --config CONFIG"),
        done: Done::Says(|bench, _, _| bench.count("mute list", "mutes") == 0),
    },
    Row {
        command: "unmatched forget --all --config CONFIG",
        before: |bench| {
            bench.line("what nobody knows");
            wait_until("it is kept", || bench.count("unmatched", "groups") > 0);
            0
        },
        done: Done::Says(|bench, _, _| bench.count("unmatched", "groups") == 0),
    },
    Row {
        command: "state clear --all --config CONFIG",
        before: |bench| bench.problem(),
        done: Done::Says(|bench, _, _| bench.count("state list", "entries") == 0),
    },
    Row {
        command: "token add t# --config CONFIG",
        before: nothing,
        done: Done::Says(|bench, n, _| bench.json("token list").to_string().contains(&format!("\"t{n}\""))),
    },
    Row {
        command: "token remove gone --config CONFIG",
        before: |bench| bench.ran("token add gone --config CONFIG"),
        done: Done::Says(|bench, _, _| !bench.json("token list").to_string().contains("\"gone\"")),
    },
    Row {
        command: "send trap IF-MIB::linkDown --to SNMP --count 20",
        before: Bench::unmatched,
        done: Done::Says(|bench, _, before| bench.unmatched() >= before + 20),
    },
    Row {
        command: "send inform IF-MIB::linkDown --to SNMP --count 20",
        before: Bench::unmatched,
        done: Done::Says(|bench, _, before| bench.unmatched() >= before + 20),
    },
    Row {
        command: "send syslog hello --to SYSLOG --count 20",
        before: Bench::unmatched,
        done: Done::Says(|bench, _, before| bench.unmatched() >= before + 20),
    },
    Row {
        command: "send checkin --url HTTP backup critical try#",
        before: nothing,
        done: Done::Says(|bench, n, _| {
            let said = bench.run("checkin query --url HTTP --service backup", Stdio::piped(), "");
            String::from_utf8(said.stdout).unwrap().contains(&format!("try{n}"))
        }),
    },
    Row {
        command: "rule new IF-MIB::linkDown --write DIR/rules.toml --config CONFIG",
        before: |bench| {
            let rules = bench.daemon.path("rules.toml");
            let text = std::fs::read_to_string(&rules).unwrap();
            let first: Vec<&str> = text.split("[[rule]]").take(2).collect();
            std::fs::write(&rules, first.join("[[rule]]")).unwrap();
            0
        },
        done: Done::Says(|bench, _, _| {
            std::fs::read_to_string(bench.daemon.path("rules.toml")).unwrap().contains("linkDown")
        }),
    },
    Row::writes("rule copy if-mib --to DIR/copy#.toml", "copy#.toml"),
    Row::writes("mib add DIR/A-MIB.txt --to DIR/mibs# --config CONFIG", "mibs#/A-MIB.txt"),
    Row::writes("mib compile -o DIR/names#.tlp --config CONFIG", "names#.tlp"),
    Row::writes("mib load DIR/A-MIB.txt --index DIR/index#", "index#"),
    Row::writes("import snmptt DIR/snmptt.conf -o DIR/snmptt#.toml", "snmptt#.toml"),
    Row::writes("import snmptrapd DIR/snmptrapd.conf -o DIR/snmptrapd#.toml", "snmptrapd#.toml"),
    Row::writes("report --output DIR/report#.html --config CONFIG", "report#.html"),
    Row::writes("init DIR/init#/trapline.toml", "init#/trapline.toml"),
    Row {
        command: "man --to DIR/man",
        before: |bench| {
            let _ = std::fs::remove_dir_all(bench.daemon.path("man"));
            std::fs::create_dir(bench.daemon.path("man")).unwrap();
            0
        },
        done: Done::Writes("man/trapline.1"),
    },
];

#[test]
fn a_command_does_its_work_whoever_reads_what_it_prints() {
    let bench = Bench::start();
    let full = || File::options().write(true).open("/dev/full").unwrap().into();
    let outputs = [("closed", closed as fn() -> Stdio), ("full", full)];
    for row in ROWS {
        for (n, out) in outputs {
            let before = (row.before)(&bench);
            let ended = bench.run(row.command, out(), n);
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            let what = format!("{} with {n} output: {said}", row.command);
            let is_done = || match row.done {
                Done::Writes(file) => bench.has(&file.replace('#', n)),
                Done::Says(says) => says(&bench, n, before),
            };
            wait_until(&what, is_done);
            let says = said.contains("cannot write to standard output") && said.contains("is done");
            // What prints nothing loses nothing.
            let prints = !row.command.starts_with("man") && !row.command.starts_with("import");
            let prints = prints
                && !["send trap", "send syslog", "rule", "report"].iter().any(|c| row.command.starts_with(c));
            let is_lost = n == "full" && (prints || says);
            assert_eq!(ended.status.code(), Some(i32::from(is_lost)), "{what}");
            assert_eq!(says, is_lost, "{what}");
        }
    }
}

/// What is lost with its output is not said to be done, and help is output as well.
#[test]
fn a_command_that_only_prints_has_done_nothing_without_its_output() {
    let bench = Bench::start();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for command in [
        "--help",
        "--version",
        "help",
        "mute --help",
        "help mib tree",
        "completions bash",
        "man",
        "init -",
        "mib tree 1.3.6.1.6.3.1",
        "state list --config CONFIG",
        "mute list --config CONFIG",
        "sinks list --config CONFIG",
        "rule list --config CONFIG",
        "rule show checkin --config CONFIG",
        "rule copy security",
        "import snmptt DIR/snmptt.conf --config CONFIG",
        "import snmptrapd DIR/snmptrapd.conf",
        "objects nagios --print-template",
        "check --config CONFIG",
    ] {
        let ended = bench.run(command, full(), "full");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("cannot write to standard output: "), "{command}: {said}");
        assert!(!said.contains("is done"), "{command}: {said}");
        assert_eq!(ended.status.code(), Some(1), "{command}: {said}");
        let ended = bench.run(command, closed(), "closed");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("cannot write"), "{command}: {said}");
        assert_eq!(ended.status.code(), Some(0), "{command}: {said}");
    }
}

/// The commands without commands below them.
fn leaves(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
    if !command.has_subcommands() || !command.is_subcommand_required_set() && !path.is_empty() {
        all.insert(path.trim_start().to_owned());
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        leaves(below, &format!("{path} {}", below.get_name()), all);
    }
}

#[test]
fn every_command_is_known_to_print_or_to_change() {
    let mut all = BTreeSet::new();
    leaves(&Cli::command(), "", &mut all);
    // What a row runs is the longest command that it begins with.
    let runs = |row: &Row| {
        let begins = |leaf: &&String| format!("{} ", row.command).starts_with(&format!("{leaf} "));
        all.iter().filter(begins).max_by_key(|leaf| leaf.len()).cloned()
    };
    let changes: BTreeSet<String> = ROWS.iter().filter_map(runs).collect();
    for leaf in &all {
        let prints = PRINT.contains(&leaf.as_str());
        assert!(prints != changes.contains(leaf), "a line for `trapline {leaf}` in one of the lists");
    }
}
