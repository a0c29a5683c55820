//! `trapline top`: as text for scripts, and on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::daemon::{Daemon, FILE_SINK, output, trapline};
use crate::support::wait_until;

/// A daemon that has had a trap, which a rule takes, and lines that none takes, whose text would set the title of a terminal.
fn daemon() -> Daemon {
    let daemon = Daemon::start(&format!("{FILE_SINK}[hosts]\nmap = {{ \"127.0.0.1\" = \"router1\" }}\n"));
    daemon.link_down("Gi0/3");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..3 {
        let line =
            format!("<28>Nov 20 12:00:01 web1 evil: \x1b]0;title\x07 \x1b[2J \u{202e}member {n} is down");
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    }
    daemon.wait_count("unmatched", 3);
    wait_until("the sink has it", || daemon.status()["sinks"][0]["delivered"] == 1);
    daemon
}

#[test]
fn a_snapshot_for_scripts_has_all_figures() {
    let daemon = daemon();
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let shown = output(&["top", "--once", "--config", config]);
    assert!(shown.status.success(), "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    let row = |name: &str| {
        let line =
            text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((row("received")[1].as_str(), row("matched")[1].as_str()), ("4", "1"));
    assert_eq!((row("unmatched")[1].as_str(), row("lost")[1].as_str()), ("3", "0"));
    assert_eq!(row("out ")[..4], ["out", "-", "0", "-"], "{text}");
    let sender = row("127.0.0.1");
    assert_eq!((sender[2].as_str(), sender[3].as_str(), sender[5].as_str()), ("4", "3", "router1"), "{text}");
    assert!(text.contains("no rule takes: 1 kinds") && text.contains("evil: "), "{text}");
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    let nowhere = trapline().args(["top", "--config", config]).output().unwrap();
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--once"), "{nowhere:?}");
    let mut daemon = daemon;
    daemon.stop();
    let gone = output(&["top", "--once", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
    assert!(!gone.status.success());
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no daemon answers"), "{gone:?}");
}

#[test]
fn a_screen_is_drawn_ended_by_a_key_and_leaves_the_terminal_as_it_was() {
    let daemon = daemon();
    let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
    let before = tcgetattr(&slave).unwrap();
    let end = |slave: &std::os::fd::OwnedFd| Stdio::from(slave.try_clone().unwrap());
    let mut command = trapline();
    command.args(["top", "--config"]).arg(daemon.path("trapline.toml"));
    let mut top = command.stdin(end(&slave)).stdout(end(&slave)).stderr(end(&slave)).spawn().unwrap();
    let mut keys = File::from(master.try_clone().unwrap());
    let drawn = Arc::new(Mutex::new(Vec::new()));
    let reader = {
        let (drawn, mut screen) = (drawn.clone(), File::from(master));
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut octets) {
                drawn.lock().unwrap().extend_from_slice(&octets[..count]);
            }
        })
    };
    let text = || String::from_utf8_lossy(&drawn.lock().unwrap()).into_owned();
    wait_until("the screen is drawn twice", || {
        assert!(top.try_wait().unwrap().is_none(), "{}", text());
        text().matches("senders, the loudest first").count() > 1
    });
    assert!(!tcgetattr(&slave).unwrap().local_flags.contains(LocalFlags::ECHO), "keys are not shown");
    keys.write_all(b"q").unwrap();
    wait_until("it ends", || top.try_wait().unwrap().is_some());
    assert!(top.wait().unwrap().success());
    assert_eq!(tcgetattr(&slave).unwrap().local_flags, before.local_flags);
    drop((slave, command));
    reader.join().unwrap();
    let text = text();
    assert!(text.starts_with("\x1b[?1049h") && text.ends_with("\x1b[?1049l"), "{text:?}");
    assert!(text.contains("router1") && text.contains("evil: "), "{text}");
    // Nothing that the line has brought rules the terminal.
    assert!(
        !text.contains("\x1b]0;title") && !text.contains('\x07') && !text.contains('\u{202e}'),
        "{text:?}"
    );
}
