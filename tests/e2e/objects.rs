//! `trapline objects` before the real cores: they accept what it prints, and need no more.

use std::net::UdpSocket;
use std::process::Command;

use crate::alignak::Alignak;
use crate::daemon::{Daemon, FILE_SINK, output};
use crate::icinga2::Icinga;
use crate::nagios::Nagios;
use crate::support::wait_until;

const RULES: &str = "[[rule]]\nid = \"disk\"\nsyslog = { program = \"app\", message = '^disk' }\n\
                     [rule.check]\nhost = \"db \\\"1\\\"; x\"\nservice = \"Disk\"\nstate = \"critical\"\n\
                     [[rule]]\nid = \"refused\"\nsyslog = { program = \"app\", message = '^refused' }\n\
                     [rule.check]\nservice = \"Refused\"\nstate = \"warning\"\n\
                     [[rule]]\nid = \"odd\"\nsyslog = { message = 'odd: (?<h>\\S+) (?<s>\\S+)$' }\n\
                     [rule.check]\nhost = \"{{ h }}\"\nservice = \"{{ s }}\"\nstate = \"warning\"\n";

/// A daemon that has seen a link trap and lines of a program.
fn seen() -> Daemon {
    let daemon = Daemon::prepare(&format!("[rules]\npaths = [\"rules.toml\"]\npacks = \"all\"\n{FILE_SINK}"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let mut daemon = daemon;
    daemon.restart();
    daemon.link_down("Gi0/3");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lines = ["<13>Nov 20 12:00:00 core-1 app: disk full", "<13>Nov 20 12:00:00 core-1 app: refused"];
    // Names that mean something in the configuration of a core, and some that only look like it.
    let odd = [
        "null", "+add", "+", "template", "0", "define", "register", "-x", "_y", "}", "{", "#z", "[h]", "a#b",
        "@", "/",
    ];
    let odd = odd.iter().flat_map(|name| [format!("<13>x odd: {name} svc"), format!("<13>x odd: h {name}")]);
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).chain(odd).collect();
    for line in &lines {
        sender.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    }
    wait_until("all outcomes", || daemon.outcomes("out.jsonl").len() == 1 + lines.len());
    daemon
}

/// What is printed for a core; a name that it cannot have is left out.
fn objects(daemon: &Daemon, args: &[&str], left_out: bool) -> String {
    let config = daemon.path("trapline.toml");
    let said = output(&[&["objects"], args, &["--config", config.to_str().unwrap()]].concat());
    let error = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(error.contains("left out 'db \\\"1\\\"; x'"), left_out, "{error}");
    assert_eq!(said.status.success(), !left_out, "{error}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn nagios_and_icinga_accept_what_is_printed_and_then_need_no_more() {
    let daemon = seen();
    let dir = tempfile::tempdir().unwrap();
    let nagios = Nagios::prepare(dir.path(), &[]);
    let text = objects(&daemon, &["nagios"], true);
    assert!(text.contains("service_description             Interface Gi0/3\n}"), "no volatile link: {text}");
    assert!(
        text.contains("service_description             Refused\n    is_volatile                     1"),
        "{text}"
    );
    let file = dir.path().join("nagios/objects/trapline.cfg");
    std::fs::write(&file, &text).unwrap();
    let verify = Command::new("/usr/sbin/nagios4")
        .arg("-v")
        .arg(dir.path().join("nagios/nagios.cfg"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    assert!(verify.status.success(), "{said}");
    drop(nagios);
    let again = objects(&daemon, &["nagios", "--have", file.to_str().unwrap()], true);
    assert!(!again.contains("host_name"), "{again}");
    let centreon = objects(&daemon, &["centreon"], true);
    assert!(centreon.contains("SERVICE;SETPARAM;core-1;Refused;service_is_volatile;1\n"), "{centreon}");
    let template = dir.path().join("own.jinja");
    std::fs::write(
        &template,
        "{% for service in services %}{{ service.host }}/{{ service.name }}\n{% endfor %}",
    )
    .unwrap();
    let own = objects(&daemon, &["alignak", "--template", template.to_str().unwrap()], true);
    assert!(own.contains("core-1/Refused\n"), "{own}");

    let icinga = Icinga::prepare();
    let text = objects(&daemon, &["icinga2"], false);
    assert!(text.contains("object Host \"db \\\"1\\\"; x\""), "{text}");
    let config = icinga.path("icinga2.conf");
    let whole = std::fs::read_to_string(&config).unwrap() + "\n" + &text;
    std::fs::write(&config, whole).unwrap();
    let check = icinga.check();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

#[test]
fn the_arbiter_of_alignak_accepts_what_is_printed() {
    let Some(alignak) = Alignak::prepare("") else { return };
    let daemon = seen();
    let text = objects(&daemon, &["alignak"], true);
    assert!(text.contains("service_description             Interface Gi0/3"), "{text}");
    alignak.add(&text);
    let said = alignak.verify();
    assert!(said.contains("Things look okay"), "{said}");
    let printed = text.matches("    service_description ").count();
    let (_, services) = said.split_once("checking services...").unwrap();
    assert!(services.lines().nth(1).unwrap().contains(&format!("checked {printed}")), "{said}");
    // It does see what is wrong.
    alignak.add("define service {\n host_name nobody\n service_description x\n}\n");
    let said = alignak.verify();
    assert!(!said.contains("Things look okay"), "{said}");
}
