//! Informs and access: answered once they are safe, processed once, from where they came to, within who may what.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{link_trap, port, snmptrap, wait_until};
use crate::v3;

/// Puts lines into the `[snmp]` section of a daemon that is not started yet.
fn with_snmp(daemon: &Daemon, lines: &str) {
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replacen("[syslog]", &format!("{lines}\n[syslog]"), 1)).unwrap();
}

pub fn inform(community: &str, request_id: i32) -> Vec<u8> {
    use trapline::message::{Notification, NotificationKind, Version};
    trapline::snmp::encode::encode(&Notification {
        version: Version::V2c,
        kind: NotificationKind::Inform,
        community: community.as_bytes(),
        proxied_community: None,
        security: None,
        request_id,
        oid: "1.3.6.1.6.3.1.1.5.1".parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(1),
        varbinds: Vec::new(),
    })
}

fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

#[test]
fn an_inform_that_comes_again_is_answered_again_and_processed_once() {
    let daemon = Daemon::start(FILE_SINK);
    let to: SocketAddr = ([127, 0, 0, 1], daemon.snmp).into();
    let (socket, mut answer) = (client(to), [0; 1500]);
    let mut ask = |packet: &[u8]| {
        socket.send_to(packet, to).unwrap();
        let (length, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!((length, from), (packet.len(), to), "as long as the inform");
    };
    for _ in 0..5 {
        ask(&inform("public", 7));
    }
    ask(&inform("public", 8));
    // A port is no identity: the sender may take another for each try, and whoever replays takes any.
    let other = client(to);
    other.send_to(&inform("public", 7), to).unwrap();
    other.recv_from(&mut [0; 1500]).unwrap();
    wait_until("two are delivered", || daemon.outcomes("out.jsonl").len() >= 2);
    let intake = daemon.status()["intake"].clone();
    assert_eq!((&intake["outcomes"], &intake["informs_repeated"]), (&2.into(), &5.into()));
    assert_eq!(intake["informs_answered"], 7);
}

#[test]
fn net_snmp_that_asks_again_is_counted_once() {
    let daemon = v3::daemon();
    // A relay that loses every first answer: net-snmp seals the same inform anew, and is answered again.
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = relay.local_addr().unwrap();
    let to: SocketAddr = ([127, 0, 0, 1], daemon.snmp).into();
    std::thread::spawn(move || {
        let (mut buffer, mut asker, mut answers) = ([0; 2000], None, 0);
        while let Ok((length, from)) = relay.recv_from(&mut buffer) {
            if from != to {
                asker = Some(from);
                relay.send_to(&buffer[..length], to).unwrap();
                continue;
            }
            answers += 1;
            // The first is the Report of the discovery.
            if answers != 2 {
                relay.send_to(&buffer[..length], asker.unwrap()).unwrap();
            }
        }
    });
    let words = ["auth-SHA-256-word".to_owned(), "priv-AES-128-word".to_owned()];
    let security = v3::security("SHA-256.AES-128", "SHA-256", "AES", &words);
    let sent = Command::new("snmpinform")
        .env("SNMP_PERSISTENT_DIR", daemon.path("net-snmp"))
        .args(["-m", "", "-v3", "-r", "3", "-t", "1"])
        .args(security)
        .args([&format!("udp:{at}"), "", "1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", "x"])
        .status();
    assert!(sent.unwrap().success());
    wait_until("it was repeated", || daemon.status()["intake"]["informs_repeated"] == 1);
    wait_until("it is delivered", || !daemon.outcomes("out.jsonl").is_empty());
    assert_eq!(daemon.status()["intake"]["outcomes"], 1);
}

#[test]
fn the_answer_comes_from_where_the_inform_went() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let all = config.replace("\"127.0.0.1:", "\"0.0.0.0:").replace("\"[::1]:", "\"[::]:");
    std::fs::write(&path, all).unwrap();
    daemon.restart();
    for address in ["127.0.0.1", "127.0.0.77", "::1"] {
        let to = SocketAddr::new(address.parse().unwrap(), daemon.snmp);
        let socket = client(to);
        socket.send_to(&inform("public", 1), to).unwrap();
        let (_, from) = socket.recv_from(&mut [0; 1500]).unwrap();
        assert_eq!(from, to);
    }
}

#[test]
fn over_tcp() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    let tcp = port();
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        config.replacen("listen = [", &format!("listen = [\"tcp://127.0.0.1:{tcp}\", "), 1),
    )
    .unwrap();
    daemon.restart();
    let target = format!("tcp:127.0.0.1:{tcp}");
    link_trap(&["-v2c", "-c", "public", &target, "", "1.3.6.1.6.3.1.1.5.3"], "Gi0/3", "2");
    let answered = Command::new("snmpinform")
        .args(["-m", "", "-v2c", "-c", "public", "-r", "0", "-t", "30", &target, "", "1.3.6.1.6.3.1.1.5.1"])
        .status();
    assert!(answered.unwrap().success());
    let ours = format!("tcp://127.0.0.1:{tcp}");
    let sent = output(&["send", "trap", "--to", &ours, "--count", "5000", "coldStart"]);
    assert!(sent.status.success(), "{sent:?}");
    let sent = output(&["send", "inform", "--to", &ours, "--count", "20", "warmStart"]);
    assert!(sent.status.success(), "{sent:?}");
    wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() == 5022);
    // What is no SNMP closes the stream, and only that.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", tcp)).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(std::io::Read::read(&mut stream, &mut [0; 10]).unwrap(), 0);
    wait_until("it is counted", || daemon.status()["intake"]["streams_broken"] == 1);
    snmptrap(&["-v2c", "-c", "public", &target, "", "1.3.6.1.6.3.1.1.5.1"]);
    wait_until("others go on", || daemon.outcomes("out.jsonl").len() == 5023);
}

#[test]
fn who_may_reach_which_rules() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    with_snmp(
        &daemon,
        "versions = [\"2c\", \"3\"]\ncommunities = [\"public\", \"ups\"]\n\
         [[snmp.users]]\nname = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"ops-password\"\n\
         [[snmp.users]]\nname = \"guest\"\n\
         [[snmp.access]]\ncommunities = [\"ups\"]\ntags = [\"power\"]\n\
         [[snmp.access]]\nlevel = \"authNoPriv\"\n",
    );
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"power\"\ntags = [\"power\"]\ntrap = \"*\"\ncontinue = true\n\
         [rule.event]\nstate = \"ok\"\n\
         [[rule]]\nid = \"all\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\n",
    )
    .unwrap();
    daemon.restart();
    let target = daemon.snmp_target();
    let cold_start = |args: &[&str]| {
        snmptrap(&[args, &[target.as_str(), "", "1.3.6.1.6.3.1.1.5.1"]].concat());
    };
    let rules = || -> Vec<String> {
        let outcomes = daemon.outcomes("out.jsonl");
        outcomes.iter().map(|o| o["rule"].as_str().unwrap().to_owned()).collect()
    };
    cold_start(&["-v2c", "-c", "ups"]);
    wait_until("only the rules of its tag", || rules() == ["power"]);
    let ops = ["-v3", "-u", "ops", "-l", "authNoPriv", "-a", "SHA-256", "-A", "ops-password"];
    cold_start(&[&ops[..], &["-e", "0x80001f8804747261706c696e65"]].concat());
    wait_until("all rules", || rules() == ["power", "power", "all"]);
    cold_start(&["-v2c", "-c", "public"]);
    cold_start(&["-v2c", "-c", "pubic"]);
    cold_start(&["-v3", "-u", "guest", "-l", "noAuthNoPriv", "-e", "0x80001f8804747261706c696e65"]);
    snmptrap(&["-v1", "-c", "public", &target, "1.3.6.1.4.1.99999", "127.0.0.1", "0", "0", ""]);
    wait_until("the others are refused", || {
        let intake = daemon.status()["intake"].clone();
        intake["no_access"] == 2 && intake["wrong_community"] == 1 && intake["version_off"] == 1
    });
    assert_eq!(rules().len(), 3);
    let refused = daemon.status()["refused"]["sources"][0].clone();
    assert_eq!(
        refused,
        serde_json::json!({
            "source": "127.0.0.1", "count": 4,
            "reasons": { "no_access": 2, "wrong_community": 1, "version_off": 1 },
        })
    );
    daemon.wait_log("no [[snmp.access]] is for");
}

#[test]
fn trapline_sends_v3() {
    let daemon = v3::daemon();
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let secret = daemon.path("secret");
    std::fs::write(&secret, "priv-AES-256-C-word\n").unwrap();
    let user = ["--user", "SHA-512.AES-256-C", "--auth", "SHA-512", "--priv", "AES-256-C"];
    let send = |kind: &str, password: &str, more: &[&str]| {
        crate::daemon::trapline()
            .args(["send", kind, "--to", &to])
            .args(user)
            .args(["--priv-password-file", secret.to_str().unwrap()])
            .env("TRAPLINE_AUTH_PASSWORD", password)
            .args(more)
            .args(["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1=x"])
            .output()
            .unwrap()
    };
    let sent = send("trap", "auth-SHA-512-word", &["--count", "300"]);
    assert!(sent.status.success(), "{sent:?}");
    let sent = send("inform", "auth-SHA-512-word", &["--count", "30"]);
    assert!(sent.status.success(), "{sent:?}");
    wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() == 330);
    let refused = send("inform", "not-the-right-one", &[]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("the digest is wrong"), "{words}");
    // Nobody there: not a hang, not a panic, a word.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = silent.local_addr().unwrap().to_string();
    let unanswered = output(&[
        "send",
        "inform",
        "--to",
        &nowhere,
        "--user",
        "x",
        "--timeout",
        "0.1",
        "--retries",
        "1",
        "coldStart",
    ]);
    let words = String::from_utf8_lossy(&unanswered.stderr).into_owned();
    assert!(!unanswered.status.success() && words.contains("no answer from"), "{words}");
}
