//! SNMPv3 as net-snmp sends it: traps and informs of every pair of protocols that it speaks.

use std::process::Command;

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
const PRIV: [(&str, &str); 4] = [("", ""), ("DES", "DES"), ("AES-128", "AES"), ("AES-256", "AES-256")];

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

fn daemon() -> Daemon {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npaths = [\"rules.toml\"]\n"));
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

fn security<'a>(user: &'a str, auth: &'a str, privacy: &'a str, words: &'a [String; 2]) -> Vec<&'a str> {
    let mut args = vec!["-u", user, "-l", if privacy.is_empty() { "authNoPriv" } else { "authPriv" }];
    args.extend(["-a", auth, "-A", &words[0]]);
    if !privacy.is_empty() {
        args.extend(["-x", privacy, "-X", &words[1]]);
    }
    args
}

#[test]
fn every_pair_of_protocols_traps_and_informs() {
    let daemon = daemon();
    let mut expected = Vec::new();
    let spoken: Vec<_> = PRIV.into_iter().filter(|(_, theirs)| speaks(theirs)).collect();
    for (ours, auth) in AUTH {
        for (private, privacy) in &spoken {
            let user = format!("{ours}.{private}");
            let words = [format!("auth-{ours}-word"), format!("priv-{private}-word")];
            let security = security(&user, auth, privacy, &words);
            // An engine of its own sends the trap; the inform finds out who we are.
            let trap = [&["-e", "0x80001f8804747261706c696e65"][..], &security].concat();
            assert!(send(&daemon, "snmptrap", &trap, "trap"), "{user}");
            assert!(send(&daemon, "snmpinform", &security, "inform"), "{user}: the inform was not answered");
            expected.extend([format!("3 {user} trap"), format!("3 {user} inform")]);
        }
    }
    let open = ["-u", "open", "-l", "noAuthNoPriv"];
    assert!(send(
        &daemon,
        "snmptrap",
        &[&["-e", "0x80001f8804747261706c696e65"][..], &open].concat(),
        "trap"
    ));
    assert!(send(&daemon, "snmpinform", &open, "inform"));
    expected.extend(["3 open trap".to_owned(), "3 open inform".to_owned()]);
    let got = || -> Vec<String> {
        daemon
            .outcomes("out.jsonl")
            .iter()
            .map(|o: &Value| o["output"].as_str().unwrap().to_owned())
            .collect()
    };
    wait_until("all arrive", || expected.iter().all(|e| got().contains(e)));
    println!("{} messages of {} pairs", expected.len(), AUTH.len() * spoken.len() + 1);
    assert_eq!(daemon.status()["intake"]["malformed"]["v3_digest"], 0);
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
