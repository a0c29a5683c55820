//! The console in Debian's Chromium, before the real daemon. `tests/console/checks.py` drives the browser; each check is a test here.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{link_trap, port, snmptrap, wait_for, wait_until};

/// A daemon with a console.
struct Site {
    daemon: Daemon,
    url: String,
    token: String,
}

impl Site {
    fn start() -> Self {
        Self::start_with("")
    }

    fn start_with(rest: &str) -> Self {
        let port = port();
        let http = format!(
            "{FILE_SINK}{rest}[history]\n[http]\nlisten = \"127.0.0.1:{port}\"\n[rules]\npacks = [\"if-mib\", \"checkin\"]\n\
             [[intake]]\ntype = \"http\"\nlisten = \"127.0.0.1:{}\"\n[[intake.checkin]]\nservice = \"backup-laptop\"\n",
            crate::support::port()
        );
        let daemon = Daemon::start(&http);
        let token = wait_for("the first start makes a token", || {
            let token = std::fs::read_to_string(daemon.path("var/admin-token")).ok()?;
            Some(token.trim().to_owned()).filter(|token| !token.is_empty())
        });
        Site { daemon, url: format!("http://127.0.0.1:{port}"), token }
    }

    /// Sends traps and lines that no rule takes.
    fn unmatched(&self) {
        let target = self.daemon.snmp_target();
        for n in 0..3 {
            // Binary varbinds, v2c.
            self.daemon.trap(&[
                "1.3.6.1.4.1.99999.0.1",
                "1.3.6.1.4.1.99999.1.1",
                "s",
                &format!("fan {n}"),
                "1.3.6.1.4.1.99999.1.2",
                "i",
                "7",
                "1.3.6.1.4.1.99999.1.3",
                "x",
                "00ff80c0",
            ]);
            self.line(&format!("<35>Nov 20 12:00:01 h1 pump[{n}]: pressure {n} bar at valve-{n}"));
        }
        // v1: generic 6, specific 2.
        snmptrap(&[
            "-v1",
            "-c",
            "public",
            &target,
            "1.3.6.1.4.1.99999",
            "127.0.0.1",
            "6",
            "2",
            "",
            "1.3.6.1.4.1.99999.1.1",
            "x",
            "0001fe",
        ]);
        self.line("<36>Nov 20 12:00:01 h1 fan[1]: fan 3 stopped after 12 s");
        self.daemon.wait_count("unmatched", 8);
    }

    fn line(&self, line: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(line.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    fn link_down(&self, interface: &str) {
        self.daemon.link_down(interface);
    }

    /// Starts a check in the browser.
    fn check(&self, name: &str) -> Check {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(root.join("target/console/bin/python"));
        command.arg(root.join("tests/console/checks.py")).args([name, &self.url, &self.token]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Check(child.unwrap_or_else(|error| panic!("playwright: {error}; run tests/run")))
    }
}

struct Check(Child);

impl Check {
    /// Waits until the check prints this line.
    fn says(&mut self, line: &str) {
        let mut said = String::new();
        let mut output = BufReader::new(self.0.stdout.as_mut().unwrap());
        assert!(output.read_line(&mut said).unwrap() > 0 && said.trim() == line, "{said}{}", self.mistakes());
    }

    fn mistakes(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until it has passed; what it measured is printed.
    fn passes(self) {
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        println!("{said}");
    }
}

#[test]
fn an_unmatched_trap_and_an_unmatched_line_become_rules_in_force_by_mouse() {
    let site = Site::start();
    site.unmatched();
    site.check("rule_by_mouse").passes();
    site.check("line_by_mouse").passes();
    // The saved tests are the real messages, binary values included.
    let saved = std::fs::read_to_string(site.daemon.path("var/rules/console.toml")).unwrap();
    assert!(saved.contains("packet = \"") && saved.contains("040400ff80c0"), "{saved}");
    assert!(saved.contains("line = \"<35>Nov 20 12:00:01 h1 pump["), "{saved}");
    let before = site.daemon.status()["intake"]["matched"].as_u64().unwrap();
    site.unmatched_again();
    wait_until("the new rules take such messages", || {
        site.daemon.status()["intake"]["matched"].as_u64().unwrap() == before + 2
    });
}

impl Site {
    fn unmatched_again(&self) {
        self.daemon.trap(&[
            "1.3.6.1.4.1.99999.0.1",
            "1.3.6.1.4.1.99999.1.1",
            "s",
            "fan 9",
            "1.3.6.1.4.1.99999.1.2",
            "i",
            "7",
            "1.3.6.1.4.1.99999.1.3",
            "x",
            "00ff80c0",
        ]);
        self.line("<35>Nov 20 12:00:09 h1 pump[9]: pressure 9 bar at valve-9");
    }
}

#[test]
fn rules_are_made_and_taken_back_by_keyboard_alone() {
    let site = Site::start();
    site.unmatched();
    site.check("rule_by_keyboard").passes();
}

#[test]
fn hostile_text_runs_no_script_and_violates_no_policy() {
    let site = Site::start();
    site.unmatched();
    for n in 0..5 {
        site.link_down(&format!("<img src=x onerror=alert({n})>\u{202e}{n}"));
    }
    site.daemon.wait_count("matched", 5);
    site.check("hostile_text").passes();
}

#[test]
fn pages_are_accessible_in_light_and_dark_and_narrow() {
    let site = Site::start();
    site.unmatched();
    site.link_down("Gi0/3");
    site.daemon.wait_count("matched", 1);
    site.check("accessible").passes();
}

#[test]
fn plain_clients_of_streams_work_with_the_cookie_and_onmessage_alone() {
    let site = Site::start();
    let mut check = site.check("plain_clients");
    check.says("open");
    site.link_down("Gi0/3");
    check.passes();
}

#[test]
fn pages_search_export_hold_and_sign_in_again() {
    let site = Site::start();
    site.unmatched();
    for interface in ["Gi0/1", "Gi0/3", "Gi0/4"] {
        site.link_down(interface);
    }
    let rows = || site.daemon.status()["history"]["rows"].as_u64();
    wait_until("the history has them", || rows() == Some(3));
    site.check("pages").passes();
}

#[test]
fn modules_replay_messages_and_what_came_to_nothing_in_the_browser() {
    let site = Site::start_with("[capture]\nsize = \"1MiB\"\n");
    site.unmatched();
    let untold = || site.daemon.status()["history"]["untold"].as_u64();
    wait_until("the history has them", || untold().is_some_and(|rows| rows >= 4));
    wait_until("they are captured", || site.daemon.status()["capture"]["messages"].as_u64() == Some(8));
    let mut check = site.check("desk");
    check.says("open");
    site.link_down("Gi0/3");
    check.passes();
}

#[test]
fn rules_of_the_console_are_edited_in_two_tabs_and_captures_explained() {
    let site = Site::start();
    site.unmatched();
    site.link_down("Gi0/3");
    let rows = || site.daemon.status()["history"]["rows"].as_u64();
    wait_until("the history has it", || rows() == Some(1));
    site.check("editing").passes();
}

#[test]
fn a_page_outlives_a_restart_of_the_daemon_and_the_end_of_its_session() {
    let mut site = Site::start();
    site.unmatched();
    let mut check = site.check("restarts");
    check.says("open");
    site.daemon.stop();
    check.says("down");
    site.daemon.restart();
    check.says("up");
    let config = site.daemon.path("trapline.toml");
    let removed = trapline().args(["token", "remove", "admin", "--config"]).arg(config).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    check.passes();
}

/// The pictures of docs/console.md can be made. `TRAPLINE_PICTURES=$PWD/docs/console cargo test --test e2e console::screenshots` makes
/// them anew.
#[test]
fn screenshots() {
    let names: Vec<String> = (1..8).map(|n| format!("\"192.0.2.{n}\" = \"core-{n}\"")).collect();
    let site = Site::start_with(&format!(
        "[[sinks]]\nname = \"icinga\"\ntype = \"icinga2\"\nurl = \"http://127.0.0.1:9\"\nuser = \"trapline\"\npassword = \"p\"\n\
         [hosts]\nmap = {{ {} }}\n",
        names.join(", ")
    ));
    site.unmatched();
    let target = site.daemon.snmp_target();
    for n in 0..30 {
        let agent = format!("192.0.2.{}", n % 7 + 1);
        let state = if n % 3 == 0 { "1" } else { "2" };
        let generic = if n % 3 == 0 { "3" } else { "2" };
        link_trap(
            &["-v1", "-c", "public", &target, "1.3.6.1.6.3.1.1.5", &agent, generic, "0", ""],
            &format!("Gi0/{}", n % 2),
            state,
        );
    }
    site.daemon.wait_count("matched", 30);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/console/bin/python"));
    command.arg(root.join("tests/console/screenshots.py")).args([&site.url, &site.token]);
    let folder =
        std::env::var_os("TRAPLINE_PICTURES").map_or_else(|| site.daemon.path("pictures"), Into::into);
    std::fs::create_dir_all(&folder).unwrap();
    let output = command.arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for picture in std::fs::read_dir(root.join("docs/console")).unwrap() {
        let name = picture.unwrap().file_name();
        assert!(folder.join(&name).exists(), "{} was not made", name.display());
    }
}
