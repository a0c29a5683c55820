//! SNMPv3: traps and informs of every pair of protocols, as net-snmp and pysnmp send them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::wait_until;

/// Our names and net-snmp's.
const AUTH: [(&str, &str); 6] = [
    ("MD5", "MD5"),
    ("SHA-1", "SHA"),
    ("SHA-224", "SHA-224"),
    ("SHA-256", "SHA-256"),
    ("SHA-384", "SHA-384"),
    ("SHA-512", "SHA-512"),
];
const PRIV: [(&str, &str); 7] = [
    ("", ""),
    ("DES", "DES"),
    ("AES-128", "AES"),
    ("AES-192", "AES-192"),
    ("AES-256", "AES-256"),
    ("AES-192-C", "AES-192-C"),
    ("AES-256-C", "AES-256-C"),
];

fn users() -> String {
    let mut text = String::from("[[snmp.users]]\nname = \"open\"\n");
    for (auth, _) in AUTH {
        for (privacy, _) in PRIV {
            text.push_str(&format!(
                "[[snmp.users]]\nname = \"{auth}.{privacy}\"\nauth = \"{auth}\"\nauth_password = \"auth-{auth}-word\"\n"
            ));
            if !privacy.is_empty() {
                text.push_str(&format!("priv = \"{privacy}\"\npriv_password = \"priv-{privacy}-word\"\n"));
            }
        }
    }
    text
}

pub fn daemon() -> Daemon {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("[syslog]", &format!("{}[syslog]", users()))).unwrap();
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ version }} {{ user }} {{ v[1] }}\"\n",
    )
    .unwrap();
    daemon.restart();
    daemon
}

/// Whether net-snmp's tool can speak a privacy protocol; Debian's builds differ.
fn speaks(privacy: &str) -> bool {
    privacy.is_empty() || {
        let args = [
            "-v3",
            "-u",
            "x",
            "-l",
            "authPriv",
            "-a",
            "SHA",
            "-A",
            "password1",
            "-x",
            privacy,
            "-X",
            "password1",
        ];
        let output = Command::new("snmptrap")
            .args(["-m", ""])
            .args(args)
            .args(["udp:127.0.0.1:1", "", "1.3.6.1"])
            .output();
        !String::from_utf8_lossy(&output.unwrap().stderr).contains("nvalid privacy protocol")
    }
}

fn send(daemon: &Daemon, tool: &str, security: &[&str], text: &str) -> bool {
    let home = daemon.path("net-snmp");
    Command::new(tool)
        // net-snmp keeps its own engine's boots there.
        .env("SNMP_PERSISTENT_DIR", home)
        .args(["-m", "", "-v3", "-r", "1", "-t", "3"])
        .args(security)
        .args([daemon.snmp_target().as_str(), "", "1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", text])
        .output()
        .unwrap()
        .status
        .success()
}

pub fn security<'a>(user: &'a str, auth: &'a str, privacy: &'a str, words: &'a [String; 2]) -> Vec<&'a str> {
    let mut args = vec!["-u", user, "-l", if privacy.is_empty() { "authNoPriv" } else { "authPriv" }];
    args.extend(["-a", auth, "-A", &words[0]]);
    if !privacy.is_empty() {
        args.extend(["-x", privacy, "-X", &words[1]]);
    }
    args
}

/// pysnmp in a process of its own, in the environment that tests/run makes.
struct Pysnmp(std::process::Child, BufReader<std::process::ChildStdout>);

impl Pysnmp {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("target/pysnmp/bin/python"))
            .arg(root.join("tests/e2e/pysnmp_notify.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("pysnmp: {e}; run tests/run"));
        let answers = BufReader::new(child.stdout.take().unwrap());
        Pysnmp(child, answers)
    }

    fn send(&mut self, daemon: &Daemon, kind: &str, (auth, privacy): (&str, &str)) -> String {
        let mut wanted = serde_json::json!({
            "host": "127.0.0.1", "port": daemon.snmp, "kind": kind, "user": format!("{auth}.{privacy}"),
            "auth": auth, "auth_password": format!("auth-{auth}-word"), "text": kind,
        });
        if !privacy.is_empty() {
            wanted["priv"] = privacy.into();
            wanted["priv_password"] = format!("priv-{privacy}-word").into();
        }
        writeln!(self.0.stdin.as_ref().unwrap(), "{wanted}").unwrap();
        let mut answer = String::new();
        self.1.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

impl Drop for Pysnmp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_pair_of_protocols_traps_and_informs() {
    let daemon = daemon();
    let mut pysnmp = Pysnmp::start();
    let mut expected = Vec::new();
    let (mut by_net_snmp, mut by_pysnmp) = (0, 0);
    for (private, privacy) in PRIV {
        let spoken = speaks(privacy);
        for (ours, auth) in AUTH {
            let user = format!("{ours}.{private}");
            if spoken {
                let words = [format!("auth-{ours}-word"), format!("priv-{private}-word")];
                let security = security(&user, auth, privacy, &words);
                // An engine of its own sends the trap; the inform finds out who we are.
                let trap = [&["-e", "0x80001f8804747261706c696e65"][..], &security].concat();
                assert!(send(&daemon, "snmptrap", &trap, "trap"), "{user}");
                assert!(
                    send(&daemon, "snmpinform", &security, "inform"),
                    "{user}: the inform was not answered"
                );
                by_net_snmp += 2;
            }
            // The extended keys of two implementations: they are where programs differ.
            if !spoken || private.starts_with("AES-192") || private.starts_with("AES-256") {
                assert_eq!(pysnmp.send(&daemon, "trap", (ours, private)), "ok", "{user}: trap");
                assert_eq!(pysnmp.send(&daemon, "inform", (ours, private)), "ok", "{user}: inform");
                by_pysnmp += 2;
            }
            expected.extend([format!("3 {user} trap"), format!("3 {user} inform")]);
        }
    }
    let open = ["-u", "open", "-l", "noAuthNoPriv"];
    let open_trap = [&["-e", "0x80001f8804747261706c696e65"][..], &open].concat();
    assert!(send(&daemon, "snmptrap", &open_trap, "trap"));
    assert!(send(&daemon, "snmpinform", &open, "inform"));
    by_net_snmp += 2;
    expected.extend(["3 open trap".to_owned(), "3 open inform".to_owned()]);
    let got = || -> Vec<String> {
        daemon
            .outcomes("out.jsonl")
            .iter()
            .map(|o: &Value| o["output"].as_str().unwrap().to_owned())
            .collect()
    };
    wait_until("all arrive", || got().len() == by_net_snmp + by_pysnmp);
    let got = got();
    assert!(expected.iter().all(|e| got.contains(e)));
    assert_eq!(expected.len(), 2 * (AUTH.len() * PRIV.len() + 1));
    println!(
        "{} pairs, traps and informs: {by_net_snmp} messages by net-snmp, {by_pysnmp} by pysnmp, all received and answered",
        AUTH.len() * PRIV.len() + 1
    );
    let status = daemon.status();
    assert_eq!(status["intake"]["malformed"]["v3_digest"], 0);
    assert_eq!(status["intake"]["informs_answered"], got.len() / 2);
}

#[test]
fn who_is_wrong_does_not_get_in() {
    let daemon = daemon();
    let engine = ["-e", "0x80001f8804747261706c696e65"];
    let words = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
    let wrong = |security: &[&str], reason: &str| {
        assert!(send(&daemon, "snmptrap", &[&engine[..], security].concat(), reason));
        assert!(!send(&daemon, "snmpinform", security, reason), "an inform was answered: {reason}");
        wait_until(reason, || daemon.status()["intake"]["malformed"][reason].as_u64() >= Some(1));
    };
    wrong(
        &security("SHA-256.AES-128", "SHA-256", "AES", &words("wrong-password", "priv-AES-128-word")),
        "v3_digest",
    );
    wrong(&security("nobody", "SHA-256", "", &words("whatever-it-is", "")), "v3_user");
    wrong(&security("SHA-256.AES-128", "SHA-256", "", &words("auth-SHA-256-word", "")), "v3_level");
    wrong(&["-u", "SHA-256.AES-128", "-l", "noAuthNoPriv"], "v3_level");
    // A replay of something old: the same engine, an earlier boot.
    let right = words("auth-SHA-256-word", "priv-AES-128-word");
    let right = security("SHA-256.AES-128", "SHA-256", "AES", &right);
    assert!(send(&daemon, "snmptrap", &[&engine[..], &["-Z", "7,1000"], &right].concat(), "right"));
    wait_until("the right one", || daemon.outcomes("out.jsonl").len() == 1);
    assert!(send(&daemon, "snmptrap", &[&engine[..], &["-Z", "6,2000"], &right].concat(), "old boot"));
    assert!(send(&daemon, "snmptrap", &[&engine[..], &["-Z", "7,800"], &right].concat(), "old time"));
    wait_until("both refused", || daemon.status()["intake"]["malformed"]["v3_time"] == 2);
    assert_eq!(daemon.outcomes("out.jsonl").len(), 1);
    for secret in ["auth-SHA-256-word", "priv-AES-128-word"] {
        assert!(!daemon.log().contains(secret));
    }
}
