//! Outcomes as mail to a real Exim, and as Python's parser reads them.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::{Program, port, run, wait_until};

/// Exim that keeps mail in a file, puts off mail for `later` until a file is there, and knows no `nobody`.
const CONFIG: &str = "
primary_hostname = localhost
daemon_smtp_ports = PORT
local_interfaces = 127.0.0.1
spool_directory = DIR/spool
log_file_path = DIR/%slog
pid_file_path = DIR/pid
exim_user = root
exim_group = root
keep_environment =
acl_smtp_rcpt = recipients
rfc1413_query_timeout = 0s
host_lookup =
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
begin acl
recipients:
  deny local_parts = nobody
       message = no such user
  defer local_parts = later
        condition = ${if exists{DIR/open}{no}{yes}}
  deny local_parts = secret
       !authenticated = *
  accept
begin routers
all:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  file = DIR/mail/all
  envelope_to_add
  user = mail
  group = mail
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = ${if def:tls_in_cipher}
  server_condition = ${if and{{eq{$auth2}{u}}{eq{$auth3}{p}}}{1}{0}}
  server_set_id = $auth2
";

/// What Python makes of the file: for each mail its recipients, subject, text and what is wrong with it.
const READER: &str = r"
import email.policy, json, mailbox, sys
read = lambda file: email.message_from_binary_file(file, policy=email.policy.default)
box = mailbox.mbox(sys.argv[1], factory=read, create=False)
wrong = lambda mail: [str(d) for part in mail.walk() for d in part.defects]
print(json.dumps([[m['Envelope-to'], m['Subject'], m.get_content().replace('\r\n', '\n'), wrong(m), m['To'], m['Date'] and 1] for m in box]))
";

struct Exim {
    dir: tempfile::TempDir,
    port: u16,
}

impl Exim {
    fn prepare() -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), port());
        let d = dir.path();
        run(Command::new("chmod").arg("755").arg(d));
        for folder in ["spool", "mail"] {
            std::fs::create_dir(d.join(folder)).unwrap();
        }
        run(Command::new("chown").arg("mail").arg(d.join("mail")));
        let config = CONFIG.replace("PORT", &port.to_string()).replace("DIR", d.to_str().unwrap());
        std::fs::write(d.join("exim.conf"), config).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-subj", "/CN=localhost", "-days", "2", "-keyout"]).arg(d.join("key.pem"));
        run(openssl.arg("-out").arg(d.join("cert.pem")).stderr(Stdio::null()));
        Exim { dir, port }
    }

    fn start(&self) -> Program {
        let mut command = Command::new("/usr/sbin/exim4");
        command.arg("-C").arg(self.dir.path().join("exim.conf")).args(["-bdf", "-q1h"]);
        let program = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait_until("Exim listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        program
    }

    fn fingerprint(&self) -> String {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(self.dir.path().join("cert.pem"));
        let text = String::from_utf8(run(&mut openssl).stdout).unwrap();
        text.trim().split('=').nth(1).unwrap().to_owned()
    }

    fn mails(&self) -> Vec<Value> {
        self.read(READER)
    }

    fn attached(&self) -> Vec<Value> {
        self.read(ATTACHED)
    }

    fn read(&self, reader: &str) -> Vec<Value> {
        let mut python = Command::new("python3");
        python.args(["-c", reader]).arg(self.dir.path().join("mail/all"));
        let output = python.stderr(Stdio::null()).output().unwrap().stdout;
        serde_json::from_slice(&output).unwrap_or_default()
    }

    /// How many mails somebody has.
    fn count(&self, recipient: &str) -> usize {
        self.mails().iter().filter(|mail| mail[0] == recipient).count()
    }
}

fn line(daemon: &Daemon, text: &str) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!("<13>Oct 11 22:14:15 ups1 ups: {text}");
    socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
}

/// What Python makes of mails with files: recipient, subject, text, and name, type and content of the file.
const ATTACHED: &str = r"
import email.policy, json, mailbox, sys
read = lambda file: email.message_from_binary_file(file, policy=email.policy.default)
box = mailbox.mbox(sys.argv[1], factory=read, create=False)
wrong = lambda mail: [str(d) for part in mail.walk() for d in part.defects]
parts = lambda mail: list(mail.walk())[1:]
print(json.dumps([[m['Envelope-to'], m['Subject'], parts(m)[0].get_content(), parts(m)[1].get_filename(), parts(m)[1].get_content_type(), parts(m)[1].get_content(), wrong(m)] for m in box]))
";

#[test]
fn a_report_goes_to_each_recipient_once_by_mail() {
    let exim = Exim::prepare();
    let mut daemon = Daemon::prepare(&format!(
        "[[sinks]]\nname = \"mail\"\ntype = \"email\"\nserver = \"smtp://localhost:{}\"\nfrom = \"trapline@test\"\nto = [\"noc@test\"]\n\
         only = \"false\"\n[history]\n[[reports]]\nevery = \"day\"\nzone = \"UTC\"\nsink = \"mail\"\n\
         [[reports]]\nevery = \"day\"\nzone = \"UTC\"\nformat = \"csv\"\nsink = \"mail\"\nto = [\"boss@test\", \"later@test\"]\n",
        exim.port
    ));
    daemon.restart();
    let state = daemon.path("var/reports.json");
    let due = || -> Option<serde_json::Map<String, Value>> {
        serde_json::from_slice(&std::fs::read(&state).ok()?)
            .ok()
            .filter(|due: &serde_json::Map<String, Value>| due.len() == 2)
    };
    wait_until("their times are kept", || due().is_some());
    daemon.stop();
    let mut kept = due().unwrap();
    kept.values_mut().for_each(|time| *time = 0.into());
    std::fs::write(&state, Value::Object(kept).to_string()).unwrap();
    let _exim = exim.start();
    daemon.restart();
    for recipient in ["noc@test", "boss@test"] {
        wait_until(recipient, || exim.attached().iter().any(|mail| mail[0] == recipient));
    }
    daemon.wait_log("not for later@test yet");
    std::fs::write(exim.dir.path().join("open"), "").unwrap();
    // A reload has it look again; otherwise that is once a minute.
    wait_until("who was put off has it", || {
        daemon.reload();
        exim.attached().iter().any(|mail| mail[0] == "later@test")
    });
    wait_until("it is kept that they were sent", || {
        due().is_some_and(|kept| kept.values().all(|time| *time != 0))
    });
    let mails = exim.attached();
    assert_eq!(mails.len(), 3, "{mails:?}");
    for mail in &mails {
        assert!(mail[1].as_str().unwrap().starts_with("Trapline report of 20"), "{mail}");
        assert!(mail[2].as_str().unwrap().contains("The report is attached."), "{mail}");
        let (kind, part) =
            if mail[0] == "noc@test" { ("text/html", "</html>") } else { ("text/csv", "\"made\"") };
        assert_eq!((&mail[4], &mail[6]), (&kind.into(), &serde_json::json!([])), "{mail}");
        assert!(mail[5].as_str().unwrap().contains(part), "{mail}");
        assert!(mail[3].as_str().unwrap().starts_with("trapline-20"), "{mail}");
    }
}

#[test]
fn each_recipient_gets_each_mail_once() {
    let exim = Exim::prepare();
    let sink = |name: &str, to: &str, more: &str| {
        format!(
            "[[sinks]]\nname = \"{name}\"\ntype = \"email\"\nserver = \"smtp://localhost:{}\"\nfrom = \"trapline@test\"\nto = [{to}]\n{more}\n",
            exim.port
        )
    };
    let secure =
        format!("starttls = true\nfingerprint = \"{}\"\nuser = \"u\"\npassword = \"p\"", exim.fingerprint());
    let config = sink("mail", "\"noc@test\", \"later@test\"", "")
        + &sink("digest", "\"digest@test\"", "digest = \"2s\"")
        + &sink("unknown", "\"noc2@test\", \"nobody@test\"", "")
        + &sink("secure", "\"secret@test\"", &secure)
        + "[hosts]\nmap = { \"127.0.0.1\" = \"ups1\" }\nprefer = \"sender\"\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n";
    let daemon = Daemon::prepare(&config);
    let rules = "[[rule]]\nid = \"ups\"\nsyslog = { program = \"ups\" }\n[rule.check]\nservice = \"{{ message }}\"\n\
                 state = \"critical\"\noutput = \"{{ message }}: leer\\nBcc: x@y\\n.\\n\"\n";
    std::fs::write(daemon.path("rules.toml"), rules).unwrap();
    let mut daemon = daemon;
    daemon.restart();
    line(&daemon, "Batterie für den Notfall");
    wait_until("it is said", || daemon.log().contains("cannot connect to the mail server localhost:"));
    let _exim = exim.start();
    for recipient in ["noc@test", "noc2@test", "digest@test", "secret@test"] {
        wait_until(recipient, || exim.count(recipient) == 1);
    }
    std::fs::write(exim.dir.path().join("open"), "").unwrap();
    wait_until("who was put off has it", || exim.count("later@test") == 1);
    let mails = exim.mails();
    for mail in &mails {
        assert_eq!(mail[1], "CRITICAL: ups1 Batterie für den Notfall", "{mail}");
        let text = mail[2].as_str().unwrap();
        assert!(text.starts_with("Batterie für den Notfall: leer\nBcc: x@y\n.\n"), "{mail}");
        assert_eq!((&mail[3], &mail[5]), (&serde_json::json!([]), &serde_json::json!(1)), "{mail}");
    }
    for n in 0..5 {
        line(&daemon, &format!("Battery {n}"));
    }
    wait_until("a digest of five", || {
        exim.mails().iter().any(|mail| mail[0] == "digest@test" && mail[1] == "5 critical: ups1")
    });
    wait_until("all are delivered", || {
        let sinks = daemon.status()["sinks"].clone();
        let counted = |at: usize, key: &str| sinks[at][key].as_u64() == Some(6);
        counted(0, "delivered") && counted(1, "delivered") && counted(2, "dead") && counted(3, "delivered")
    });
    // What Exim has taken it writes a little later.
    let counts = || ["noc@test", "later@test", "noc2@test"].map(|recipient| exim.count(recipient));
    wait_until("all are in the mailboxes", || counts().iter().all(|count| *count >= 6));
    assert_eq!(counts(), [6, 6, 6]);
}
