//! Syslog over TLS, with OpenSSL as the client: who is let in, what is known of the sender, and new certificates at a reload.
//! Numbers are those of the table in docs/syslog-transports.md.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{port, run, wait_until};

const RULES: &str = "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
    output = \"{{ host }}|{{ tls_peer }}|{{ tls_fingerprint }}|{{ truncated }}|{{ message }}\"\n";

/// A daemon, not started, that listens at a port with TLS. `tls` is the rest of its `[syslog.tls]`.
fn prepare(port: u16, syslog: &str, tls: &str) -> (Daemon, Authority) {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let authority = Authority::new(&daemon.path("ca.pem"));
    authority.issue(daemon.dir.path(), "server", &["localhost"]);
    configure(&daemon, port, syslog, tls);
    (daemon, authority)
}

fn configure(daemon: &Daemon, port: u16, syslog: &str, tls: &str) {
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once("[syslog]\n").unwrap();
    let (_, after) = after.split_once("[mibs]").unwrap();
    let pair = "cert_file = \"server.pem\"\nkey_file = \"server.key\"";
    let section = format!(
        "[syslog]\nlisten = [\"udp://127.0.0.1:{}\", \"tls://127.0.0.1:{port}\"]\n{syslog}\n[syslog.tls]\n{pair}\n{tls}\n",
        daemon.syslog_udp
    );
    std::fs::write(&path, format!("{before}{section}[mibs]{after}")).unwrap();
}

/// `openssl s_client` that sends what is written to it. It is killed when dropped.
struct Client(Child);

impl Client {
    /// One that shows this certificate, where there is one.
    fn start(folder: &Path, port: u16, certificate: Option<&str>) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-nocommands", "-verify_return_error", "-connect"]);
        command.arg(format!("localhost:{port}")).arg("-4").arg("-CAfile").arg(folder.join("ca.pem"));
        if let Some(name) = certificate {
            command.arg("-cert").arg(folder.join(format!("{name}.pem")));
            command.arg("-key").arg(folder.join(format!("{name}.key")));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Client(command.spawn().unwrap())
    }

    fn send(&mut self, text: &str) {
        // Who is not let in may be gone already.
        let _ = self.0.stdin.as_mut().unwrap().write_all(text.as_bytes());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn texts(daemon: &Daemon) -> Vec<String> {
    daemon.outcomes("out.jsonl").iter().map(|o| o["output"].as_str().unwrap().to_owned()).collect()
}

/// Check 9: name, wildcard and fingerprint in; another name, another authority and no certificate out, each said.
#[test]
fn clients_are_let_in_by_their_certificates() {
    let tls = port();
    let (mut daemon, authority) = prepare(tls, "", "");
    let folder = daemon.dir.path().to_owned();
    authority.issue(&folder, "web1", &["web1.example.org"]);
    authority.issue(&folder, "db1", &["db1.hosts.example.org"]);
    authority.issue(&folder, "wrong", &["web2.example.org"]);
    let other = Authority::new(&folder.join("other-ca.pem"));
    other.issue(&folder, "foreign", &["web1.example.org"]);
    other.issue(&folder, "pinned", &["pinned.example.org"]);
    let fingerprint = |name: &str| {
        let file = folder.join(format!("{name}.pem"));
        let printed =
            run(Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file));
        let printed = String::from_utf8(printed.stdout).unwrap();
        format!("sha-256:{}", printed.trim().split_once('=').unwrap().1)
    };
    let peers = format!(
        "client_ca_file = \"ca.pem\"\npeers = [\"web1.example.org\", \"*.hosts.example.org\", \"{}\"]",
        fingerprint("pinned")
    );
    // Only one of them may speak for others.
    configure(&daemon, tls, "relays = [\"tls:db1.hosts.example.org\"]", &peers);
    daemon.restart();
    let mut clients = Vec::new();
    for name in ["web1", "db1", "pinned"] {
        let mut client = Client::start(&folder, tls, Some(name));
        client.send(&format!("<13>Nov 20 12:00:00 claimed.example.org app[1]: of {name}\n"));
        wait_until(name, || texts(&daemon).iter().any(|text| text.ends_with(&format!("|of {name}"))));
        clients.push(client);
    }
    let line =
        |name: &str, peer: &str, host: &str| format!("{host}|{peer}|{}|False|of {name}", fingerprint(name));
    assert_eq!(
        texts(&daemon),
        [
            line("web1", "web1.example.org", "127.0.0.1"),
            line("db1", "db1.hosts.example.org", "claimed.example.org"),
            line("pinned", "pinned.example.org", "127.0.0.1"),
        ]
    );
    // A host may name itself as its certificate does.
    clients[0].send("<13>Nov 20 12:00:00 web1.example.org app[1]: myself\n");
    wait_until("it arrives", || texts(&daemon).last().unwrap().ends_with("|myself"));
    assert!(texts(&daemon).last().unwrap().starts_with("web1.example.org|"), "{:?}", texts(&daemon));
    for name in [Some("wrong"), Some("foreign"), None] {
        let failed = daemon.status()["intake"]["tls_failed"].as_u64().unwrap();
        let mut client = Client::start(&folder, tls, name);
        client.send("<13>Nov 20 12:00:00 claimed app[1]: must not arrive\n");
        daemon.wait_count("tls_failed", failed + 1);
    }
    // The others come too soon after it to be written.
    let said = format!(
        "the certificate {} of web2.example.org is not let in: none of its names",
        fingerprint("wrong")
    );
    wait_until("the first one is said", || daemon.log().contains(&said));
    assert!(!daemon.log().contains("must not arrive") && texts(&daemon).len() == 4);
    // A cut message says so, on the next stream.
    let mut long = Client::start(&folder, tls, Some("web1"));
    long.send(&format!("<13>Nov 20 12:00:00 web1 app[1]: {}\n", "x".repeat(70_000)));
    wait_until("it is cut", || texts(&daemon).len() == 5);
    assert!(texts(&daemon)[4].contains("|True|"));
    daemon.stop();
}

/// The certificate that a new client is shown.
fn shown(port: u16) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-4", "-connect", &format!("localhost:{port}")]).stdin(Stdio::null());
    let text = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    let begin = text.find("-----BEGIN CERTIFICATE").unwrap_or_else(|| panic!("{text}"));
    text[begin..].split_inclusive("-----END CERTIFICATE-----").next().unwrap().replace(['\r', '\n'], "")
}

/// Check 10: a reload with a new certificate, and with a broken one: the right one serves, and open streams live.
#[test]
fn new_certificates_take_effect_at_a_reload_without_a_pause() {
    let tls = port();
    let (mut daemon, authority) = prepare(tls, "", "");
    daemon.restart();
    let folder = daemon.dir.path().to_owned();
    let first = shown(tls);
    let mut old = Client::start(&folder, tls, None);
    old.send("<13>Nov 20 12:00:00 web1 app[1]: one\n");
    wait_until("it arrives", || texts(&daemon).len() == 1);

    // A key that does not fit: refused, and said.
    let second = authority.issue(&folder, "new", &["localhost"]);
    std::fs::rename(folder.join("new.pem"), folder.join("server.pem")).unwrap();
    let config = daemon.path("trapline.toml");
    let reload = || output(&["reload", "--config", config.to_str().unwrap()]);
    let refused = reload();
    let said =
        String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("is not that of the certificate"), "{said}");
    let check = output(&["check", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(!check.status.success() && said.contains("is not that of the certificate"), "{said}");
    daemon.reload();
    wait_until("it is said", || daemon.log().matches("not reloaded: the configuration").count() == 2);
    assert_eq!(shown(tls), first);

    std::fs::rename(folder.join("new.key"), folder.join("server.key")).unwrap();
    daemon.reload();
    wait_until("it is reloaded", || daemon.log().contains("reloaded: 1 rules"));
    assert_eq!(shown(tls), second.replace(['\r', '\n'], ""));
    old.send("<13>Nov 20 12:00:00 web1 app[1]: two\n");
    wait_until("the old stream lives", || texts(&daemon).len() == 2);
    let mut new = Client::start(&folder, tls, None);
    new.send("<13>Nov 20 12:00:00 web1 app[1]: three\n");
    wait_until("a new one begins", || texts(&daemon).len() == 3);
    daemon.stop();
}

/// Files that cannot be used are said before the daemon starts.
#[test]
fn doctor_and_check_look_at_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let tls = port();
    let (daemon, _authority) = prepare(tls, "", "client_ca_file = \"ca.pem\"\npeers = [\"web1\", \"*\"]");
    let config = daemon.path("trapline.toml");
    let check = || {
        let output = output(&["check", "--config", config.to_str().unwrap()]);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout),
        )
    };
    let (ok, said) = check();
    assert!(!ok && said.contains("'*' is no name of a certificate"), "{said}");
    configure(&daemon, tls, "", "client_ca_file = \"ca.pem\"");
    let (ok, said) = check();
    assert!(ok && !said.contains("certificate"), "{said}");
    let key = daemon.path("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let doctor = output(&["doctor", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        said.contains("is valid until 4096-01-01") && said.contains("everybody on this machine may read"),
        "{said}"
    );
}
