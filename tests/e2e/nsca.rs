//! Check results to Debian's NSCA daemon, by every encryption method that is spoken.

use std::process::{Command, Stdio};

use crate::daemon::Daemon;
use crate::support::{Program, port, read, wait_until};

/// The NSCA daemon of one method, which writes commands into a file.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    program: Option<Program>,
}

impl Server {
    fn prepare(method: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = port();
        let d = dir.path().display();
        std::fs::write(
            dir.path().join("nsca.cfg"),
            format!(
                "server_port={port}\nserver_address=127.0.0.1\nnsca_user=root\nnsca_group=root\ndebug=1\npid_file={d}/pid\n\
                 command_file={d}/commands\nalternate_dump_file={d}/dump\naggregate_writes=0\nappend_to_file=1\n\
                 max_packet_age=60\npassword=a long enough secret\ndecryption_method={method}\n"
            ),
        )
        .unwrap();
        std::fs::write(dir.path().join("commands"), "").unwrap();
        Server { dir, port, program: None }
    }

    fn start(&mut self) {
        let mut command = Command::new("/usr/sbin/nsca");
        command.args(["-f", "-c"]).arg(self.dir.path().join("nsca.cfg")).arg("--single");
        self.program = Some(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("it listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn commands(&self) -> String {
        read(&self.dir.path().join("commands"))
    }

    fn sink(&self, name: &str, method: &str) -> String {
        format!(
            "[[sinks]]\nname = \"{name}\"\ntype = \"nsca\"\naddress = \"127.0.0.1:{}\"\npassword = \"a long enough secret\"\n\
             encryption_method = {method}\n",
            self.port
        )
    }
}

fn link_down(daemon: &Daemon, interface: &str) {
    daemon.link_down(interface);
}

#[test]
fn every_method() {
    let mut servers = Vec::new();
    let mut config = String::new();
    for (_, number, name, _) in trapline::sinks::nsca::Method::ALL {
        let mut server = Server::prepare(number);
        server.start();
        config.push_str(&server.sink(&format!("m{number}"), &format!("\"{name}\"")));
        servers.push((number, name, server));
    }
    let daemon = Daemon::start(&config);
    // More than one packet a connection: the cipher goes on from one to the next.
    for n in 0..5 {
        link_down(&daemon, &format!("Gi0/{n}"));
    }
    for (number, name, server) in &servers {
        let words = format!("method {number} ({name})");
        wait_until(&words, || server.commands().lines().count() >= 5);
        for n in 0..5 {
            let expected = format!(
                "PROCESS_SERVICE_CHECK_RESULT;127.0.0.1;Interface Gi0/{n};2;Link down on Gi0/{n} (admin up, oper down)"
            );
            assert!(server.commands().contains(&expected), "{words}: {}", server.commands());
        }
    }
    println!("{} methods", servers.len());
}

#[test]
fn a_daemon_that_is_away_and_one_with_another_password() {
    let mut server = Server::prepare(14);
    // As docs/sinks/nsca.md prints it.
    let secret = server.dir.path().join("password");
    std::fs::write(&secret, "a long enough secret\n").unwrap();
    crate::support::run(Command::new("chmod").arg("600").arg(&secret));
    let address = format!("127.0.0.1:{}", server.port);
    let values = [("address", address.as_str()), ("password_file", secret.to_str().unwrap())];
    let sink = crate::pages::block("nsca.md", &values);
    let daemon = Daemon::start(&sink);
    for n in 0..50 {
        link_down(&daemon, &format!("Gi0/{n}"));
    }
    wait_until("it is tried", || daemon.status()["sinks"][0]["failures"].as_u64() >= Some(1));
    server.start();
    wait_until("all are there", || server.commands().lines().count() >= 50);
    wait_until("and taken", || daemon.status()["sinks"][0]["behind"] == 0);
    std::fs::write(&secret, "another secret\n").unwrap();
    let wrong = Daemon::start(&sink);
    link_down(&wrong, "Gi9/9");
    wait_until("it is said", || wrong.log().contains("compare password and encryption_method"));
    assert_eq!(wrong.status()["sinks"][0]["delivered"], 0);
    assert!(!server.commands().contains("Gi9/9"));
}

/// A command as Nagios reads it, with everything escaped once, whoever did it.
#[test]
fn further_lines_and_backslashes_are_escaped_once() {
    let mut server = Server::prepare(1);
    server.start();
    let rules = "[rules]\npaths = [\"rules.toml\"]\n";
    let join = format!("{}newlines = \"join\"\n", server.sink("join", "1"));
    let mut daemon =
        Daemon::prepare(&format!("{}newlines = \"daemon\"\n{join}{rules}", server.sink("daemon", "1")));
    let rule = "[[rule]]\nid = \"lines\"\nsyslog = { program = \"app\" }\n[rule.check]\nhost = \"h\"\nservice = \"s\"\nstate = \"critical\"\n\
                output = \"one\"\nlong_output = \"two\\nC:\\\\temp\"\n";
    std::fs::write(daemon.path("rules.toml"), rule).unwrap();
    daemon.restart();
    let target = ("127.0.0.1", daemon.syslog_udp);
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"<36>app: x", target).unwrap();
    wait_until("both commands", || server.commands().lines().count() >= 2);
    let commands = server.commands();
    let outputs: Vec<&str> = commands.lines().map(|line| line.splitn(5, ';').nth(4).unwrap()).collect();
    assert_eq!(outputs.len(), 2, "{commands}");
    assert!(outputs.contains(&"one\\ntwo\\nC:\\\\temp"), "the daemon escapes: {commands}");
    assert!(outputs.contains(&"one / two / C:\\\\temp"), "{commands}");
}
