//! The API and the console over TLS.

use std::process::{Command, Output};

use serde_json::Value;

use crate::certificates::Authority;
use crate::daemon::{Daemon, output};
use crate::support::{port, read};

struct Api {
    daemon: Daemon,
    port: u16,
}

impl Api {
    fn start() -> (Api, Authority) {
        let port = port();
        let mut daemon = Daemon::prepare(&format!(
            "[rules]\npacks = []\n[http]\nlisten = \"127.0.0.1:{port}\"\n\
             tls = {{ cert_file = \"web.pem\", key_file = \"web.key\" }}\n"
        ));
        let authority = Authority::new(&daemon.path("ca.pem"));
        authority.issue(daemon.dir.path(), "web", &["127.0.0.1"]);
        daemon.restart();
        (Api { daemon, port }, authority)
    }

    fn curl(&self, path: &str, args: &[&str]) -> Output {
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        let ca = self.daemon.path("ca.pem");
        Command::new("curl")
            .args(["-sS", "-m", "20", "--cacert"])
            .arg(ca)
            .args(args)
            .arg(url)
            .output()
            .unwrap()
    }

    fn got(&self, path: &str, args: &[&str]) -> String {
        let output = self.curl(path, args);
        assert!(output.status.success(), "{path} {args:?}: {output:?}\n{}", self.daemon.log());
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn the_session_of_the_console_goes_over_tls_alone() {
    let (api, _) = Api::start();
    let token = read(&api.daemon.path("var/admin-token"));
    let login = format!("{{\"token\":\"{}\"}}", token.trim());
    let json = ["-H", "Content-Type: application/json"];
    let answer = api.got("/api/v1/session", &["-i", json[0], json[1], "-d", &login]);
    let cookie = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("HttpOnly"), "{cookie}");
    // curl keeps it as a browser does.
    let jar = api.daemon.path("jar").display().to_string();
    api.got("/api/v1/session", &["-c", &jar, json[0], json[1], "-d", &login]);
    let status: Value = serde_json::from_str(&api.got("/api/v1/status", &["-b", &jar])).unwrap();
    assert!(status.is_object(), "{status}");
    assert_eq!(api.got("/ready", &[]), "ready\n");
    assert!(api.got("/", &[]).contains("<html"));
    // Without TLS nothing is answered.
    let plain = Command::new("curl")
        .args(["-sS", "-m", "20", &format!("http://127.0.0.1:{}/alive", api.port)])
        .output()
        .unwrap();
    assert!(!plain.status.success() && plain.stdout.is_empty(), "{plain:?}");
    api.daemon.wait_log("TLS did not begin");
}

#[test]
fn a_reload_takes_the_new_certificate_and_keeps_the_old_one_if_it_is_wrong() {
    let (api, _) = Api::start();
    let config = api.daemon.path("trapline.toml").display().to_string();
    let reload = || output(&["reload", "--config", &config]);
    assert_eq!(api.got("/alive", &[]), "alive\n");
    std::fs::write(api.daemon.path("web.key"), "no key").unwrap();
    assert!(!reload().status.success());
    assert_eq!(api.got("/alive", &[]), "alive\n");
    // Another authority, as after the end of the old one.
    let other = Authority::new(&api.daemon.path("new-ca.pem"));
    other.issue(api.daemon.dir.path(), "web", &["127.0.0.1"]);
    let reloaded = reload();
    assert!(reloaded.status.success(), "{reloaded:?}");
    assert!(!api.curl("/alive", &[]).status.success(), "the old authority has not signed it");
    std::fs::copy(api.daemon.path("new-ca.pem"), api.daemon.path("ca.pem")).unwrap();
    assert_eq!(api.got("/alive", &[]), "alive\n");
}
