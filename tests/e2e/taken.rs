//! What senders repeat after the daemon was killed, where no rule keeps state.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{port, wait_until};

const RULES: &str = "[[rule]]\nid = \"trap\"\ntrap = \"1.3.6.1.4.1.99999.0.1\"\n[rule.check]\nhost = \"h\"\nservice = \"trap\"\n\
                     state = \"critical\"\noutput = \"{{ v[1] }}\"\n\
                     [[rule]]\nid = \"checkin\"\ncheckin = \"*\"\n[rule.check]\nhost = \"h\"\nservice = \"{{ checkin }}\"\n\
                     state = \"status\"\noutput = \"{{ info }}\"\n";

/// From here on the relay passes answers on.
const PASS: &[u8] = b"pass";

#[test]
fn what_was_answered_is_known_after_kill_9_without_state_of_rules() {
    for sync in ["batch", "interval"] {
        let listen = port();
        let mut daemon = Daemon::prepare(&format!(
            "[journal]\nsync = \"{sync}\"\n[rules]\npaths = [\"rules.toml\"]\npacks = []\n{FILE_SINK}[[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{listen}\"\n\
             [[intake.checkin]]\nservice = \"backup\"\n"
        ));
        std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
        daemon.restart();
        let check_in = |id: &str| {
            let said = Command::new("curl")
                .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--data"])
                .arg(format!("service=backup&status=OK&info={id}&id={id}"))
                .arg(format!("http://127.0.0.1:{listen}/"))
                .output();
            String::from_utf8(said.unwrap().stdout).unwrap()
        };
        assert_eq!(check_in("1"), "204");
        // A relay that loses all answers of the first process: net-snmp sends the same inform again.
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = relay.local_addr().unwrap();
        let to: SocketAddr = ([127, 0, 0, 1], daemon.snmp).into();
        let answered = Arc::new(AtomicBool::new(false));
        let tell = answered.clone();
        std::thread::spawn(move || {
            let (mut buffer, mut asker, mut passes) = ([0; 2000], None, false);
            // While nobody listens there is nothing to receive.
            loop {
                let Ok((length, from)) = relay.recv_from(&mut buffer) else { continue };
                if buffer[..length] == *PASS {
                    passes = true;
                } else if from != to {
                    asker = Some(from);
                    let _ = relay.send_to(&buffer[..length], to);
                } else if passes {
                    relay.send_to(&buffer[..length], asker.unwrap()).unwrap();
                } else {
                    tell.store(true, Ordering::SeqCst);
                }
            }
        });
        let mut sender = Command::new("snmpinform")
            .args(["-m", "", "-v2c", "-c", "public", "-r", "60", "-t", "1", &format!("udp:{at}"), ""])
            .args(["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1", "s", "x"])
            .spawn()
            .unwrap();
        wait_until("it is answered", || answered.load(Ordering::SeqCst));
        daemon.kill();
        // It comes to the relay behind all that the first process has sent.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(PASS, at).unwrap();
        daemon.restart();
        assert!(sender.wait().unwrap().success(), "{sync}");
        wait_until("what is safe is answered", || check_in("1") == "409");
        assert_eq!(check_in("2"), "204");
        wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() >= 3);
        let intake = daemon.status()["intake"].clone();
        assert_eq!(intake["outcomes"], 1, "{sync}: only the check-in with another id: {intake}");
        assert!(intake["informs_repeated"].as_u64() >= Some(1), "{intake}");
        let names = std::fs::read_dir(daemon.path("var")).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(names.iter().any(|name| name == "taken.1"), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("correlation.")), "{names:?}");
    }
}
