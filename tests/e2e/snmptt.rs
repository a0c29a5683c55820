//! The importer against snmptt itself: the same traps, through snmptrapd and snmptt and through Trapline with the
//! rules that were made of the same files, give the same texts and the same results.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, output, trapline};
use crate::support::{Program, corpus, port, read, run, wait_until};

const SINK: &str = "[[sinks]]\nname = \"out\"\ntype = \"file\"\npath = \"DIR/out.jsonl\"\n[rules]\npacks = []\npaths = [\"rules\"]\n";
/// As in the snmptt.ini that Debian ships.
const USUAL: &str = "multiple_event = 1\nipv6_enable = 1\n";
/// Sent after each trap, so that what it made ends somewhere.
const MARKER: &str = "1.3.6.1.4.1.99999.0.99";

/// Both, on the same files.
struct Both {
    daemon: Daemon,
    port: u16,
    _snmptrapd: Program,
    /// How many traps there were.
    sent: usize,
    seen: usize,
}

/// What came of a trap: snmptt's own words, and what was submitted.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    text: String,
    results: Vec<String>,
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    run(Command::new("chmod").arg("+x").arg(path));
}

impl Both {
    /// `DIR` in the files stands for the directory of the test.
    fn start(confs: &[String], ini: &str) -> Self {
        let mut daemon = Daemon::prepare(SINK);
        let dir = daemon.path("").display().to_string().trim_end_matches('/').to_owned();
        for folder in ["rules", "spool", "bin"] {
            std::fs::create_dir(daemon.path(folder)).unwrap();
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for (at, conf) in confs.iter().enumerate() {
            files.push(daemon.path(&format!("{at}.conf")));
            std::fs::write(&files[at], conf.replace("DIR", &dir)).unwrap();
        }
        // What EXEC lines call.
        script(
            &daemon.path("bin/submit_check_result"),
            &format!("#!/bin/sh\nprintf '%s;%s;%s;%s\\n' \"$1\" \"$2\" \"$3\" \"$4\" >> {dir}/submitted\n"),
        );
        script(
            &daemon.path("bin/submit_host_check_result"),
            &format!("#!/bin/sh\nprintf '%s;%s;%s\\n' \"$1\" \"$2\" \"$3\" >> {dir}/submitted\n"),
        );
        script(&daemon.path("bin/send_nsca"), &format!("#!/bin/sh\ntr '\\t' ';' >> {dir}/submitted\n"));
        let names: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
        let ini = format!(
            "[General]\nmode = standalone\nsnmptt_system_name = nms\n{ini}\n[Logging]\nstdout_enable = 1\nlog_enable = 0\n\
             syslog_enable = 0\nsyslog_system_enable = 0\n[Exec]\nexec_enable = 1\nexec_escape = 1\n\
             [TrapFiles]\nsnmptt_conf_files = <<END\n{names}END\n"
        );
        std::fs::write(daemon.path("snmptt.ini"), ini).unwrap();
        // snmptrapd gives each trap to a script that keeps what snmptt would read.
        script(
            &daemon.path("bin/handler"),
            &format!("#!/bin/sh\nf={dir}/new\ncat > $f\nmv $f {dir}/spool/$(ls {dir}/spool | wc -l)\n"),
        );
        std::fs::write(
            daemon.path("snmptrapd.conf"),
            format!("disableAuthorization yes\ntraphandle default {dir}/bin/handler\n"),
        )
        .unwrap();
        let port = port();
        let snmptrapd = Program::start(
            Command::new("snmptrapd")
                .args(["-f", "-n", "-C", "-On", "-m", ""])
                .arg("-c")
                .arg(daemon.path("snmptrapd.conf"))
                .arg("-Lf")
                .arg(daemon.path("snmptrapd.log"))
                .arg(format!("udp:127.0.0.1:{port}"))
                .env("SNMP_PERSISTENT_DIR", daemon.path("net-snmp"))
                .stderr(std::process::Stdio::null()),
        );
        wait_until("snmptrapd listens", || std::net::UdpSocket::bind(("127.0.0.1", port)).is_err());
        let marker = format!(
            "[[rule]]\nid = \"marker\"\ntrap = \"{MARKER}\"\n[rule.event]\nstate = \"ok\"\noutput = \"marker\"\n"
        );
        std::fs::write(daemon.path("rules/0.toml"), marker).unwrap();
        let made = trapline()
            .args(["import", "snmptt", "--output"])
            .arg(daemon.path("rules/1.toml"))
            .arg("--ini")
            .arg(daemon.path("snmptt.ini"))
            .args(&files)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let config = daemon.path("trapline.toml").display().to_string();
        for command in ["check", "test"] {
            let done = output(&[command, "--config", &config]);
            assert!(done.status.success(), "{command}: {done:?}");
        }
        daemon.restart();
        Both { daemon, port, _snmptrapd: snmptrapd, sent: 0, seen: 0 }
    }

    /// Sends a trap both ways; `TARGET` stands for where.
    fn send(&mut self, args: &[&str]) -> (Made, Made) {
        for port in [self.port, self.daemon.snmp] {
            let target = format!("udp:127.0.0.1:{port}");
            let args: Vec<&str> =
                args.iter().map(|arg| if *arg == "TARGET" { &target } else { *arg }).collect();
            crate::support::snmptrap(&args);
        }
        self.daemon.trap(&[MARKER]);
        let trap = self.daemon.path(&format!("spool/{}", self.sent));
        self.sent += 1;
        wait_until("snmptrapd has it", || trap.exists());
        let theirs = self.theirs(&trap);
        let oid =
            read(&trap).lines().find_map(|l| l.strip_prefix(".1.3.6.1.6.3.1.1.4.1.0 ").map(str::to_owned));
        let ours = self.ours(&oid.unwrap());
        (theirs, ours)
    }

    fn theirs(&self, trap: &Path) -> Made {
        let modules = corpus().map(|corpus| corpus.join("rfc")).unwrap_or_default();
        let done = Command::new("snmptt")
            .env("MIBDIRS", modules)
            .arg(format!("--ini={}", self.daemon.path("snmptt.ini").display()))
            .stdin(std::fs::File::open(trap).unwrap())
            .output()
            .unwrap();
        let mut results = Vec::new();
        for file in ["submitted", "nagios.cmd"] {
            let text = read(&self.daemon.path(file));
            let _ = std::fs::remove_file(self.daemon.path(file));
            let command = |line: &str| match line.split_once("_CHECK_RESULT;") {
                Some((_, fields)) => fields.to_owned(),
                None => line.to_owned(),
            };
            // Names of ours have no white space at their ends, and no object of Nagios has any.
            results.extend(text.lines().map(|line| command(line).replace(" ;", ";")));
        }
        results.sort();
        // What it says of its own doings is no text of a trap.
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        Made { text, results }
    }

    fn ours(&mut self, oid: &str) -> Made {
        let markers = |all: &[Value]| all.iter().filter(|o| o["output"] == "marker").count();
        wait_until("Trapline has it", || markers(&self.daemon.outcomes("out.jsonl")) == self.sent);
        let all = self.daemon.outcomes("out.jsonl");
        let (mut text, mut results) = (String::new(), Vec::new());
        for outcome in &all[self.seen..] {
            let field = |name: &str| outcome[name].as_str().unwrap_or("");
            if field("kind") == "event" && field("rule") != "marker" {
                let _ = writeln!(
                    text,
                    "{oid} {} \"{}\" {} - {}",
                    field("severity"),
                    field("category"),
                    field("host"),
                    field("output")
                );
            } else if field("rule") != "marker" {
                let code = ["ok", "warning", "critical", "unknown"].iter().position(|s| *s == field("state"));
                let code =
                    code.or_else(|| ["up", "down", "unreachable"].iter().position(|s| *s == field("state")));
                let mut result = field("host").to_owned();
                if let Some(service) = outcome["service"].as_str() {
                    let _ = write!(result, ";{service}");
                }
                let _ = write!(result, ";{};{}", code.unwrap(), field("output"));
                if !field("perfdata").is_empty() {
                    let _ = write!(result, "|{}", field("perfdata"));
                }
                results.push(result.replace(" ;", ";"));
            }
        }
        self.seen = all.len();
        results.sort();
        Made { text, results }
    }
}

/// A v2c trap of ours, with uptime 4711.
fn v2c<'a>(oid: &'a str, varbinds: &[&'a str]) -> Vec<&'a str> {
    [&["-v2c", "-c", "public", "TARGET", "4711", oid][..], varbinds].concat()
}

/// Compares all traps; gives how many texts and results there were.
fn agree(both: &mut Both, traps: &[Vec<&str>]) -> (usize, usize) {
    let (mut texts, mut results) = (0, 0);
    for trap in traps {
        let (theirs, ours) = both.send(trap);
        assert_eq!(theirs, ours, "{trap:?}\n{}", read(&both.daemon.path("rules/1.toml")));
        texts += theirs.text.lines().count();
        results += theirs.results.len();
    }
    (texts, results)
}

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
const LINK_UP: &str = "1.3.6.1.6.3.1.1.5.4";
const INTERFACE: [&str; 12] = [
    "1.3.6.1.2.1.2.2.1.1.3",
    "i",
    "3",
    "1.3.6.1.2.1.2.2.1.7.3",
    "i",
    "1",
    "1.3.6.1.2.1.2.2.1.8.3",
    "i",
    "2",
    "1.3.6.1.2.1.2.2.1.2.3",
    "s",
    "Gi0/3",
];

#[test]
fn the_files_that_debian_ships() {
    let shipped = ["/etc/snmp/snmptt.conf", "/usr/share/doc/snmptt/examples/snmptt.conf.generic"];
    for file in shipped.into_iter().filter(|file| Path::new(file).exists()) {
        let mut both = Both::start(&[read(Path::new(file))], USUAL);
        let mut traps = vec![
            v2c(LINK_DOWN, &INTERFACE),
            v2c(LINK_UP, &INTERFACE),
            v2c("1.3.6.1.4.1.9.9.41.2.0.1", &INTERFACE),
        ];
        let generic: Vec<String> = (1..7).map(|n| format!("1.3.6.1.6.3.1.1.5.{n}")).collect();
        traps.extend(generic.iter().map(|oid| v2c(oid, &INTERFACE)));
        // A v1 one of each, which carry an agent of their own.
        let numbers: Vec<String> = (0..6).map(|n| n.to_string()).collect();
        for number in &numbers {
            let v1 = ["-v1", "-c", "public", "TARGET", "1.3.6.1.4.1.9", "192.0.2.9", number, "0", "4711"];
            traps.push([&v1[..], &INTERFACE].concat());
        }
        let (texts, _) = agree(&mut both, &traps);
        println!("{file}: {} traps, {texts} texts, all the same", traps.len());
        assert!(texts >= 10);
    }
}

/// Every keyword, every form of MATCH and NODES, every variable that needs no clock, every way to submit a result.
const EVERYTHING: &str = r#"
# Whole OIDs, several of one.
EVENT linkDown .1.3.6.1.6.3.1.1.5.3 "Status Events" Major
FORMAT Link $1 of $A ($aA) by $r $R $aR $ar: $2 $3 $4; $# in all: $*
EXEC DIR/bin/submit_check_result $r "Interface $1" 2 "$Fz"
EXEC DIR/bin/submit_check_result $A "Interface $4" 1 "Link $1 is down|state=$3"
EXEC echo "[$@] PROCESS_SERVICE_CHECK_RESULT;$aA;Link;2;$N on $x" >> DIR/nagios.cmd
EXEC printf "[%s] PROCESS_HOST_CHECK_RESULT;%s;1;down\n" $@ $r >> DIR/nagios.cmd
EXEC DIR/bin/submit_host_check_result $r 1 "the link is down"
EXEC /bin/echo "$r$FtNSCA$Ft1$FtLink $1" | DIR/bin/send_nsca -H nms -c /dev/null
SDESC
A description that is for people.
EDESC
EVENT linkDownAgain .1.3.6.1.6.3.1.1.5.3 "Log" LOGONLY
FORMAT Only for $1 is 3: $c $D $E $e $G $S $H $N $i $O $o $s $T $x $$1 100$
EXEC DIR/bin/submit_check_result $r "never" 2 "never"
MATCH $1: 3
EVENT linkDownNames .1.3.6.1.6.3.1.1.5.3 "Status Events" Minor
FORMAT $v1 $+1 $-2 $+* $-*
MATCH $4: (^gi)i
EVENT linkUp .1.3.6.1.6.3.1.1.5.4 "Status Events" Normal
FORMAT Up $1
NODES 10.0.0.0/8 192.0.2.1-192.0.2.20
NODES 2001:db8::/32
EVENT linkUp .1.3.6.1.6.3.1.1.5.4 "Status Events" Normal
FORMAT Up elsewhere $1
NODES 10.0.0.0/8 192.0.2.1-192.0.2.20 DIR/nodes
NODES MODE=NEG
# Taken by none of its own, so by the wildcard.
EVENT failure .1.3.6.1.6.3.1.1.5.5 "Status Events" Normal
FORMAT never
MATCH $1: >1000000
EVENT generic .1.3.6.1.6.3.1.1.5.* "Status Events" Warning
FORMAT Generic $O $G $S $i $N
EVENT ignored .1.3.6.1.4.1.99999.0.1 "IGNORE" Normal
FORMAT never
EXEC DIR/bin/submit_check_result $r "never" 2 "never"
# One for each form of MATCH.
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT is 5
MATCH $1: 5
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT is not 5
MATCH $1: !5
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT 3 to 7
MATCH $1: 3-7
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT more than 6
MATCH $1: > 6
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT less than 6
MATCH $1: <6
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT has bit 4
MATCH $1: &4
EVENT numbers .1.3.6.1.4.1.99999.0.2 "Status Events" Normal
FORMAT one of some
MATCH $1: 1, 5, 9
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT says alarm
MATCH $1: (alarm|critical)
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT does not say alarm
MATCH $1: !(alarm|critical)
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT says (1) remaining
MATCH $1: (\(1\) remaining)
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT says power in any case
MATCH $1: (power) i
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT both
MATCH MODE=and
MATCH $1: (power)i
MATCH $2: (on)
EVENT texts .1.3.6.1.4.1.99999.0.3 "Status Events" Normal
FORMAT either, by all and by the severity
MATCH $*: (off$)
MATCH $s: (Major)
EVENT addresses .1.3.6.1.4.1.99999.0.4 "Status Events" Normal
FORMAT is it
MATCH $1: 192.168.1.5
EVENT addresses .1.3.6.1.4.1.99999.0.4 "Status Events" Normal
FORMAT in the range
MATCH $1: 192.168.1.1-192.168.1.9
EVENT addresses .1.3.6.1.4.1.99999.0.4 "Status Events" Normal
FORMAT in the network
MATCH $1: 192.168.0.0/16
EVENT addresses .1.3.6.1.4.1.99999.0.4 "Status Events" Normal
FORMAT not in the network
MATCH $1: !192.168.0.0/16
EVENT addresses .1.3.6.1.4.1.99999.0.4 "Status Events" Normal
FORMAT of version 6
MATCH $1: 2001:db8:0:0:0:0:0:0/64
EVENT agents .1.3.6.1.4.1.99999.0.5 "Status Events" Normal
FORMAT Agent $A $aA $C of $e, $j
MATCH $aA: 192.0.2.0/24
# Replacements, one after the other.
EVENT ups .1.3.6.1.4.1.99999.0.6 "Status Events" Critical
FORMAT UPS has       detected a      building alarm.       Cause: $1 (1) and (2)
REGEX (Building alarm 3)(Computer room high temperature)
REGEX (roOm)(ROOM)ig
REGEX (UPS)(The big UPS)
REGEX (\s+)( )g
REGEX (\(2\))((Two))
REGEX (a)(<$1>)
EVENT mine .1.3.6.1.4.1.99999.* "Status Events" Odd
FORMAT Mine: $i $o $1 with { {{ }} {% 'quotes' "of" all \ kinds }
EVENT rest .* "Status Events" Critical
FORMAT Rest: $+*
"#;

#[test]
fn every_keyword_and_every_form() {
    let mut both = Both::start(&[EVERYTHING.replace("DIR/nodes", "127.0.0.2")], USUAL);
    let (own, value) = ("1.3.6.1.4.1.99999", "1.3.6.1.4.1.99999.1.1.0");
    let oids: Vec<String> = (0..9).map(|n| format!("{own}.0.{n}")).collect();
    let mut traps = vec![
        v2c(LINK_DOWN, &INTERFACE),
        v2c(
            LINK_DOWN,
            &[
                &["1.3.6.1.2.1.2.2.1.1.4", "i", "4"],
                &INTERFACE[3..9],
                &["1.3.6.1.2.1.2.2.1.2.4", "s", "Te1/4"],
            ]
            .concat(),
        ),
        v2c(LINK_UP, &INTERFACE),
        v2c("1.3.6.1.6.3.1.1.5.1", &INTERFACE),
        v2c("1.3.6.1.6.3.1.1.5.5", &INTERFACE),
        v2c(&oids[1], &[value, "i", "1"]),
        v2c(&oids[8], &[value, "s", "value"]),
        v2c("1.3.6.1.4.1.9.9.41.2.0.1", &INTERFACE),
        v2c(&oids[6], &[value, "s", "UPS1 Alarm #14: Building alarm 3"]),
    ];
    for number in ["1", "4", "5", "6", "7", "9", "13", "-5"] {
        traps.push(v2c(&oids[2], &[value, "i", number]));
    }
    let second = "1.3.6.1.4.1.99999.1.2.0";
    for (one, other) in [
        ("no alarm", "on"),
        ("Power (1) remaining", "on"),
        ("POWER", "off"),
        ("a critical text", "off"),
        ("", "x"),
    ] {
        traps.push(v2c(&oids[3], &[value, "s", one, second, "s", other]));
    }
    // What is not there stays as it was written.
    traps.extend([v2c(&oids[3], &[]), v2c(LINK_DOWN, &INTERFACE[..6]), v2c(LINK_DOWN, &[])]);
    for address in ["192.168.1.5", "192.168.1.9", "192.168.1.10", "10.0.0.1"] {
        traps.push(v2c(&oids[4], &[value, "a", address]));
    }
    for text in ["2001:db8::7", "2001:db9::7", "none"] {
        traps.push(v2c(&oids[4], &[value, "s", text]));
    }
    // v1: an agent of its own, by which NODES and $aA go.
    for (agent, specific) in [("192.0.2.9", "5"), ("198.51.100.9", "5"), ("192.0.2.9", "8")] {
        traps.push(vec!["-v1", "-c", "secret", "TARGET", own, agent, "6", specific, "4711", value, "i", "7"]);
    }
    for (agent, generic) in
        [("10.1.2.3", "3"), ("192.0.2.20", "3"), ("192.0.2.21", "3"), ("10.1.2.3", "2"), ("10.1.2.3", "0")]
    {
        traps.push(
            [
                &["-v1", "-c", "public", "TARGET", "1.3.6.1.4.1.9.1", agent, generic, "0", "8640123"][..],
                &INTERFACE,
            ]
            .concat(),
        );
    }
    // Of every type.
    let types = [
        ("x", "DEADBEEF00"),
        ("o", "1.3.6.1.4.1"),
        ("t", "8640123"),
        ("c", "5"),
        ("C", "12345678901234"),
        ("u", "7"),
        ("n", "x"),
    ];
    for (kind, text) in types {
        traps.push(v2c("1.3.6.1.4.1.9.9.41.2.0.1", &[value, kind, text, second, "i", "-1"]));
    }
    let (texts, results) = agree(&mut both, &traps);
    println!("{} traps, {texts} texts, {results} results submitted, all the same", traps.len());
    assert!(texts > 60 && results >= 12, "{texts} {results}");
}

#[test]
fn settings_of_snmptt() {
    let conf = "EVENT a .1.3.6.1.4.1.99999.0.1 \"c\" Normal\nFORMAT first $* and $+*\nMATCH $1: <5\n\
                EVENT b .1.3.6.1.4.1.99999.0.1 \"c\" Normal\nFORMAT Error 55 of service $1, $D.\n\
                REGEX (Error (\\d+) of service (\\w+))(Service $2: \"error\" $1s\\\\)\nSDESC\nFor\n  people\nEDESC\n\
                EVENT c .1.3.6.1.4.1.99999.0.1 \"c\" Normal\nFORMAT never\n\
                EVENT d .1.3.6.1.4.1.99999.* \"c\" Normal\nFORMAT $H\n";
    let ini = "multiple_event = 0\nallow_unsafe_regex = 1\nwildcard_expansion_separator = \", \"";
    let mut both = Both::start(&[conf.to_owned()], ini);
    let (value, second) = ("1.3.6.1.4.1.99999.1.1.0", "1.3.6.1.4.1.99999.1.2.0");
    let mut traps = Vec::new();
    for number in ["4", "5"] {
        traps.push(v2c("1.3.6.1.4.1.99999.0.1", &[value, "i", number, second, "s", "text"]));
    }
    traps.push(v2c("1.3.6.1.4.1.99999.0.2", &[]));
    let (texts, _) = agree(&mut both, &traps);
    assert_eq!(texts, 3);
}

#[test]
fn files_that_snmptt_makes_of_mibs() {
    let Some(corpus) = corpus() else { return };
    let folders =
        std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let folders: Vec<String> = folders.collect();
    let made = tempfile::tempdir().unwrap();
    let modules =
        ["apc/MG-SNMP-UPS-MIB", "eaton/XUPS-MIB", "mikrotik/mikrotik.mib", "rfc/UPS-MIB", "rfc/BGP4-MIB"];
    let mut confs = Vec::new();
    for (at, module) in modules.into_iter().enumerate().filter(|(_, module)| corpus.join(module).exists()) {
        let out = made.path().join(at.to_string());
        run(Command::new("snmpttconvertmib")
            .arg(format!("--in={}", corpus.join(module).display()))
            .arg(format!("--out={}", out.display()))
            .arg("--exec=DIR/bin/submit_check_result $r TRAP 1")
            .env("MIBDIRS", folders.join(":"))
            .env("MIBS", "ALL"));
        confs.push(read(&out));
    }
    let mut both = Both::start(&confs, USUAL);
    let oids: Vec<String> = confs
        .iter()
        .flat_map(|conf| {
            let events: Vec<&str> = conf.lines().filter(|line| line.starts_with("EVENT ")).collect();
            let some = events.len().div_ceil(16);
            let some: Vec<String> = events
                .iter()
                .step_by(some.max(1))
                .map(|e| e.split(' ').nth(2).unwrap()[1..].to_owned())
                .collect();
            some
        })
        .collect();
    let traps: Vec<Vec<&str>> = oids.iter().map(|oid| v2c(oid, &INTERFACE)).collect();
    let (texts, results) = agree(&mut both, &traps);
    let events: usize = confs.iter().map(|conf| conf.matches("\nEVENT ").count()).sum();
    println!(
        "{events} EVENTs of {} modules; {} traps, {texts} texts, {results} results, all the same",
        confs.len(),
        traps.len()
    );
    assert!(texts >= 25 && results >= 25);
}

#[test]
fn names_where_snmptt_has_mibs() {
    if corpus().is_none() {
        return;
    }
    let conf = "EVENT linkDown IF-MIB::linkDown \"c\" Normal\nFORMAT $O $1 $2 $3 $4 $v1 $+2 $+* of $E\nMATCH $2: (1)\nMATCH $2: !7\nMATCH MODE=and\n\
                EVENT rest .1.3.6.1.6.3.* \"c\" Normal\nFORMAT $O $o $3\nMATCH $3: !(2)\n";
    let ini = "multiple_event = 1\nnet_snmp_perl_enable = 1\nmibs_environment = ALL\n\
               translate_integers = 1\ntranslate_varname_oid_format = 1\ntranslate_trap_oid_format = 1\n";
    let mut both = Both::start(&[conf.to_owned()], ini);
    let up = [&INTERFACE[..8], &["1"], &INTERFACE[9..]].concat();
    let traps = [v2c(LINK_DOWN, &INTERFACE), v2c(LINK_UP, &up), v2c(LINK_UP, &INTERFACE)];
    let (texts, _) = agree(&mut both, &traps);
    assert_eq!(texts, 2);
}
