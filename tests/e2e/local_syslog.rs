//! Syslog over sockets of this machine: made by the daemon, or by a service manager.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{run, wait_until};

const RULES: &str = "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
    output = \"{{ program }}|{{ source }}|{{ peer_pid }}|{{ peer_uid }}|{{ message }}\"\n";

/// A daemon that also listens on these; `DIR` stands for its directory.
fn prepare(listen: &[&str], more: &str) -> Daemon {
    let rest = format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n");
    let daemon = Daemon::prepare(&rest);
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    configure(&daemon, listen, more);
    daemon
}

fn configure(daemon: &Daemon, listen: &[&str], more: &str) {
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once("[syslog]\n").unwrap();
    let (_, after) = after.split_once("[mibs]").unwrap();
    let dir = daemon.dir.path().to_str().unwrap();
    let listen: Vec<String> =
        listen.iter().map(|entry| format!("\"{}\"", entry.replace("DIR", dir))).collect();
    let listen = listen.join(", ");
    std::fs::write(&path, format!("{before}[syslog]\nlisten = [{listen}]\n{more}\n[mibs]{after}")).unwrap();
}

/// The texts of all outcomes, sorted, and the hosts that they are about.
fn texts(daemon: &Daemon) -> (Vec<String>, Vec<String>) {
    let of = |key: &str| {
        let outcomes = daemon.outcomes("out.jsonl");
        let mut all: Vec<String> =
            outcomes.iter().map(|o| o[key].as_str().unwrap_or_default().to_owned()).collect();
        all.sort();
        all
    };
    (of("output"), of("host"))
}

fn mode(path: &Path) -> Option<u32> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    meta.file_type().is_socket().then(|| meta.permissions().mode() & 0o777)
}

#[test]
fn programs_of_this_machine_send_over_sockets_in_the_file_system() {
    let mut daemon = prepare(&["unix://DIR/dev-log", "unix-stream://DIR/stream"], "allow = [\"192.0.2.1\"]");
    let (log, stream) = (daemon.path("dev-log"), daemon.path("stream"));
    // A daemon that was killed has left this.
    drop(UnixDatagram::bind(&log).unwrap());
    daemon.restart();
    assert_eq!((mode(&log), mode(&stream)), (Some(0o666), Some(0o666)));
    // glibc's form: no host.
    run(Command::new("logger").arg("-u").arg(&log).args(["-t", "datagram", "-p", "auth.info", "one"]));
    let own = std::process::id();
    let mut client = UnixStream::connect(&stream).unwrap();
    client.write_all(b"<13>Nov 20 12:00:00 streamed[7]: two\n<13>Nov 20 12:00:00 streamed[7]: th").unwrap();
    daemon.wait_count("matched", 2);
    // The last line has no end: a stop still takes it, because its sender has closed the stream.
    drop(client);
    daemon.wait_count("matched", 3);
    wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() == 3);
    let (texts, hosts) = texts(&daemon);
    let uid = texts[0].split('|').nth(3).unwrap().to_owned();
    assert!(texts[0].starts_with("datagram|127.0.0.1|") && texts[0].ends_with("|one"), "{texts:?}");
    let streamed = |text: &str| format!("streamed|127.0.0.1|{own}|{uid}|{text}");
    assert_eq!(texts[1..], [streamed("th"), streamed("two")]);
    let machine = String::from_utf8(run(Command::new("uname").arg("-n")).stdout).unwrap();
    assert!(hosts.iter().all(|host| host.eq_ignore_ascii_case(machine.trim())), "{hosts:?}");

    // A reload removes one, keeps the other with another mode, and adds a third.
    configure(&daemon, &["unix://DIR/dev-log", "unix://DIR/other"], "unix_mode = \"0660\"");
    daemon.reload();
    let other = daemon.path("other");
    wait_until("it is reloaded", || {
        mode(&other) == Some(0o660) && !stream.exists() && mode(&log) == Some(0o660)
    });
    UnixDatagram::unbound().unwrap().send_to(b"<13>x: four", &other).unwrap();
    daemon.wait_count("matched", 4);
    daemon.stop();
    assert!(!log.exists() && !other.exists());
}

#[test]
fn a_socket_that_somebody_serves_is_not_taken_away() {
    let daemon = prepare(&["unix-stream://DIR/busy", "unix://DIR/file"], "unix_group = \"no-such-group\"");
    let _owner = UnixListener::bind(daemon.path("busy")).unwrap();
    std::fs::write(daemon.path("file"), "precious").unwrap();
    let config = daemon.path("trapline.toml");
    let output = crate::daemon::output(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there is no group 'no-such-group' on this machine"), "{said}");
    configure(&daemon, &["unix-stream://DIR/busy", "unix://DIR/file"], "");
    let output = crate::daemon::output(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("busy: address in use") && said.contains("ss -xlp"), "{said}");
    assert!(said.contains("file is no socket"), "{said}");
    assert!(UnixStream::connect(daemon.path("busy")).is_ok());
    assert_eq!(std::fs::read_to_string(daemon.path("file")).unwrap(), "precious");
}

/// Starts the daemon as a service manager does that has made a socket.
fn activated(daemon: &mut Daemon, socket: OwnedFd, name: &str) {
    let mut command = Command::new("sh");
    let script =
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=$2 exec \"$0\" run --config \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_trapline")]);
    command.arg(daemon.path("trapline.toml")).arg(name);
    daemon.start_with(command, Stdio::from(socket));
}

#[test]
fn sockets_of_a_service_manager() {
    let mut daemon = prepare(&["systemd:syslog"], "");
    let path = daemon.path("journal");
    let socket = UnixDatagram::bind(&path).unwrap();
    // It came before the daemon.
    UnixDatagram::unbound().unwrap().send_to(b"<13>early: bird", &path).unwrap();
    activated(&mut daemon, socket.into(), "syslog");
    daemon.wait_count("matched", 1);
    wait_until("it is delivered", || daemon.outcomes("out.jsonl").len() == 1);
    // The kernel did not note who sent it, because nobody had asked for that.
    assert_eq!(texts(&daemon).0, ["early|127.0.0.1|||bird"]);
    // Without it, and with it again.
    for (listen, count) in [("udp://127.0.0.1:0", 1), ("systemd:syslog", 2)] {
        let before = daemon.log().matches("reloaded").count();
        configure(&daemon, &[listen], "");
        daemon.reload();
        wait_until("it is reloaded", || daemon.log().matches("reloaded").count() > before);
        if count == 2 {
            UnixDatagram::unbound().unwrap().send_to(b"<13>late: bird", &path).unwrap();
        }
        daemon.wait_count("matched", count);
    }
    wait_until("it is delivered", || daemon.outcomes("out.jsonl").len() == 2);
    let (texts, _) = texts(&daemon);
    assert!(texts[1].starts_with(&format!("late|127.0.0.1|{}|", std::process::id())), "{texts:?}");
    daemon.stop();
    assert!(path.exists(), "it belongs to the service manager");

    std::fs::remove_file(&path).unwrap();
    activated(&mut daemon, UnixListener::bind(&path).unwrap().into(), "syslog");
    UnixStream::connect(&path).unwrap().write_all(b"<13>stream: of a unit\n").unwrap();
    daemon.wait_count("matched", 1);
    daemon.stop();

    let config = daemon.path("trapline.toml");
    let output = crate::daemon::output(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("given no socket to this process") && said.contains("FileDescriptorName=syslog"),
        "{said}"
    );
}
