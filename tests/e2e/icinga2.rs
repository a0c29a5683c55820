//! Check results into a real Icinga 2, over its API.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, output};
use crate::support::{PATIENCE, Program, link_trap, look_again, port, run, wait_until};

/// An Icinga 2 with a host "router1" of some passive services, an authority of its own and a certificate for
/// "localhost".
pub struct Icinga {
    dir: TempDir,
    pub port: u16,
    program: Option<Program>,
}

impl Icinga {
    pub fn prepare() -> Self {
        let dir = TempDir::new().unwrap();
        for folder in ["certs", "ca", "run", "log", "cache", "spool", "data"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let icinga = Icinga { port: port(), program: None, dir };
        let at = |name: &str| icinga.dir.path().join(name).display().to_string();
        let pki = |args: &[&str]| {
            let data = format!("DataDir={}", icinga.path(""));
            run(Command::new("icinga2").arg("pki").args(args).args(["-D", &data]).envs(root()));
        };
        pki(&["new-ca"]);
        for name in ["localhost", "trapline"] {
            let [key, csr, crt] = ["key", "csr", "crt"].map(|kind| at(&format!("certs/{name}.{kind}")));
            pki(&["new-cert", "--cn", name, "--key", &key, "--csr", &csr]);
            pki(&["sign-csr", "--csr", &csr, "--cert", &crt]);
        }
        std::fs::copy(at("ca/ca.crt"), at("certs/ca.crt")).unwrap();
        std::fs::write(at("icinga2.conf"), configuration(icinga.port)).unwrap();
        icinga
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn start(&mut self) {
        let dir = self.path("");
        let log = std::fs::File::create(self.path("stderr")).unwrap();
        self.program = Some(Program::start(
            Command::new("icinga2")
                .args(["daemon", "-c", &self.path("icinga2.conf")])
                .args(
                    [
                        ("DataDir", ""),
                        ("InitRunDir", "/run"),
                        ("LogDir", "/log"),
                        ("CacheDir", "/cache"),
                        ("SpoolDir", "/spool"),
                        ("PidPath", "/run/icinga2.pid"),
                    ]
                    .map(|(name, folder)| format!("-D{name}={dir}{folder}")),
                )
                .envs(root())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        ));
        wait_until("Icinga answers", || self.query("/v1/status").is_some());
    }

    /// What it says of its configuration.
    pub fn check(&self) -> std::process::Output {
        let dir = self.path("");
        Command::new("icinga2")
            .args(["daemon", "-C", "-c", &self.path("icinga2.conf")])
            .args(
                [
                    ("DataDir", ""),
                    ("InitRunDir", "/run"),
                    ("LogDir", "/log"),
                    ("CacheDir", "/cache"),
                    ("SpoolDir", "/spool"),
                ]
                .map(|(name, folder)| format!("-D{name}={dir}{folder}")),
            )
            .envs(root())
            .output()
            .unwrap()
    }

    /// Ends it, with all of its processes.
    pub fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal("TERM");
        // Its umbrella process ends its children, given the time. A test that fails stops it as well, and must not panic again.
        let deadline = Instant::now() + PATIENCE;
        while program.0.try_wait().unwrap().is_none() && Instant::now() < deadline {
            look_again();
        }
    }

    fn query(&self, path: &str) -> Option<Value> {
        let output = Command::new("curl")
            .args(["-s", "-k", "-u", "trapline:secret", &format!("https://127.0.0.1:{}{path}", self.port)])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// State and output of a service.
    pub fn service(&self, name: &str) -> (i64, String) {
        let name = name.replace(' ', "%20").replace('/', "%2F");
        let all = self.query(&format!("/v1/objects/services/router1!{name}")).unwrap_or_default();
        let result = &all["results"][0]["attrs"]["last_check_result"];
        (
            result["state"].as_f64().map_or(-1, |state| state as i64),
            result["output"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

impl Drop for Icinga {
    fn drop(&mut self) {
        if self.program.is_some() {
            self.stop();
        }
    }
}

fn root() -> [(&'static str, &'static str); 2] {
    [("ICINGA2_USER", "root"), ("ICINGA2_GROUP", "root")]
}

fn configuration(port: u16) -> String {
    let services: String = ["Interface Gi0/3", "TCP Wrappers", "Load"]
        .iter()
        .map(|name| {
            format!(
                "object Service \"{name}\" {{\n  host_name = \"router1\"\n  check_command = \"dummy\"\n  enable_active_checks = false\n  max_check_attempts = 1\n}}\n"
            )
        })
        .collect();
    format!(
        "include <itl>\nconst NodeName = \"localhost\"\nconst ZoneName = NodeName\n\
         object Endpoint NodeName {{ }}\nobject Zone ZoneName {{ endpoints = [ NodeName ] }}\n\
         object ApiListener \"api\" {{ bind_host = \"127.0.0.1\", bind_port = {port} }}\n\
         object ApiUser \"trapline\" {{\n  password = \"secret\"\n  client_cn = \"trapline\"\n  permissions = [ \"actions/process-check-result\", \"objects/query/*\", \"status/query\" ]\n}}\n\
         object CheckerComponent \"checker\" {{ }}\n\
         object Host \"router1\" {{\n  check_command = \"dummy\"\n  enable_active_checks = false\n  max_check_attempts = 1\n}}\n{services}"
    )
}

/// The sink of docs/sinks/icinga2.md, at this Icinga.
fn sink(icinga: &Icinga, trust: &str, login: &str) -> String {
    format!(
        "[[sinks]]\nname = \"icinga\"\ntype = \"icinga2\"\nurl = \"https://127.0.0.1:{}\"\n{trust}\n{login}\n\
         [hosts]\nmap = {{ \"127.0.0.1\" = \"router1\" }}\n",
        icinga.port
    )
}

fn link(daemon: &Daemon, down: bool) {
    let (trap, state) = if down { ("1.3.6.1.6.3.1.1.5.3", "2") } else { ("1.3.6.1.6.3.1.1.5.4", "1") };
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", trap], "Gi0/3", state);
}

#[test]
fn results_reach_icinga_and_unknown_objects_the_dead_letters() {
    let mut icinga = Icinga::prepare();
    // As docs/sinks/icinga2.md prints it.
    let (url, authority, password) =
        (format!("https://127.0.0.1:{}", icinga.port), icinga.path("certs/ca.crt"), icinga.path("password"));
    std::fs::write(&password, "secret\n").unwrap();
    run(Command::new("chmod").args(["600", &password]));
    let values = [
        ("url", url.as_str()),
        ("ca_file", &authority),
        ("server_name", "localhost"),
        ("password_file", &password),
    ];
    let printed = crate::pages::block("icinga2.md", &values);
    // It is not there yet.
    let daemon = Daemon::start(&format!("{printed}[hosts]\nmap = {{ \"127.0.0.1\" = \"router1\" }}\n"));
    link(&daemon, true);
    wait_until("it is tried", || daemon.status()["sinks"][0]["failures"].as_u64() >= Some(1));
    icinga.start();
    wait_until("CRITICAL", || icinga.service("Interface Gi0/3").0 == 2);
    assert!(icinga.service("Interface Gi0/3").1.starts_with("Link down on Gi0/3"));
    // No such service there: a dead letter, which holds nothing up.
    daemon.link_down("Gi9/9");
    link(&daemon, false);
    wait_until("OK", || icinga.service("Interface Gi0/3").0 == 0);
    wait_until("the dead letter", || daemon.status()["sinks"][0]["dead"] == 1);
    let config = daemon.path("trapline.toml").display().to_string();
    let dead = |what: &str| {
        let output = output(&["dead", what, "--config", &config, "icinga"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed = dead("list");
    assert!(listed.contains("router1 / Interface Gi9/9") && listed.contains("No objects found"), "{listed}");
    // Sent again it dies again; dropped it is gone.
    assert_eq!(dead("retry"), "1 will be sent again\n");
    wait_until("it died again", || daemon.status()["sinks"][0]["dead"] == 2);
    assert_eq!(dead("list").lines().count(), 2);
    assert_eq!(dead("drop"), "1 dropped\n");
    assert_eq!(dead("list"), "");
    assert_eq!(daemon.status()["sinks"][0]["delivered"], 2);
}

/// What `trapline check` says, which asks Icinga whether it takes the login.
fn check(daemon: &Daemon) -> String {
    let checked = output(&["check", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
    String::from_utf8(checked.stderr).unwrap()
}

#[test]
fn who_it_trusts_and_who_it_is() {
    let mut icinga = Icinga::prepare();
    icinga.start();
    let der = run(Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(icinga.path("certs/localhost.crt")));
    let fingerprint = String::from_utf8_lossy(&der.stdout).trim().rsplit_once('=').unwrap().1.to_owned();
    let certificate = format!(
        "cert_file = \"{}\"\nkey_file = \"{}\"",
        icinga.path("certs/trapline.crt"),
        icinga.path("certs/trapline.key")
    );
    // A pinned certificate, and our own in the place of a password.
    let daemon = Daemon::start(&sink(&icinga, &format!("fingerprint = \"{fingerprint}\""), &certificate));
    assert!(!check(&daemon).contains("cannot deliver"));
    link(&daemon, true);
    wait_until("CRITICAL", || icinga.service("Interface Gi0/3").0 == 2);
    drop(daemon);
    let basic = "user = \"trapline\"\npassword = \"secret\"";
    let wrong_pin = format!("fingerprint = \"{}\"", "00".repeat(32));
    let wrong_name =
        format!("ca_file = \"{}\"\nserver_name = \"other.example\"", icinga.path("certs/ca.crt"));
    let right = format!("ca_file = \"{}\"\nserver_name = \"localhost\"", icinga.path("certs/ca.crt"));
    for (trust, login, words) in [
        (wrong_pin.as_str(), basic, "no TLS with"),
        (wrong_name.as_str(), basic, "no TLS with"),
        (right.as_str(), "user = \"trapline\"\npassword = \"wrong\"", "check user, password or token"),
    ] {
        let daemon = Daemon::start(&sink(&icinga, trust, login));
        let said = check(&daemon);
        assert!(said.contains("the sink 'icinga' cannot deliver now") && said.contains(words), "{said}");
        daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
        wait_until(words, || daemon.log().contains(words));
        assert_eq!(daemon.status()["sinks"][0]["delivered"], 0);
        assert_eq!(daemon.status()["sinks"][0]["dead"], 0, "trouble with the sink is not the outcome's");
        assert!(!daemon.log().contains("\"wrong\"") && !daemon.log().contains("secret"));
    }
}
