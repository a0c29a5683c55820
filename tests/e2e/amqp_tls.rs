//! A real RabbitMQ that speaks TLS and asks for certificates: what a sink publishes there, a queue of the intake gives.

use crate::broker::Broker;
use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{link_trap, read, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";

#[test]
fn sink_and_intake_over_tls_with_certificates_of_clients() {
    let broker = Broker::secure(|folder| {
        let authority = Authority::new(&folder.join("ca.pem"));
        authority.issue(folder, "broker", &["localhost"]);
        authority.issue(folder, "client", &["trapline"]);
    });
    let other = broker.path("other.pem");
    let _other = Authority::new(&other);
    let keys = |ca: &str| {
        format!(
            "url = \"{}\"\nca_file = \"{ca}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
            broker.tls_url(),
            broker.path("client.pem").display(),
            broker.path("client.key").display()
        )
    };
    let (right, wrong) = (keys(broker.path("ca.pem").to_str().unwrap()), keys(other.to_str().unwrap()));
    // Neither trusts the broker at first.
    let sink = |keys: &str| format!("[[sinks]]\nname = \"bus\"\ntype = \"canopsis\"\n{keys}");
    let edge = Daemon::start(&sink(&wrong));
    let intake = |keys: &str| {
        format!(
            "{FILE_SINK}[[intake]]\ntype = \"amqp\"\nqueue = \"trapline\"\nexchange = \"canopsis.events\"\nformat = \"canopsis\"\n{keys}"
        )
    };
    let core = Daemon::start(&intake(&wrong));
    link_trap(&["-v2c", "-c", "public", &edge.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    let error = |daemon: &Daemon, kind: &str| {
        daemon.status()[kind][0]["error"].as_str().unwrap_or_default().to_owned()
    };
    wait_until("the sink says why", || error(&edge, "sinks").contains("certificate"));
    wait_until("the intake says why", || error(&core, "queues").contains("certificate"));
    for daemon in [&edge, &core] {
        let config = daemon.path("trapline.toml");
        let text = read(&config).replace("other.pem", "ca.pem");
        std::fs::write(&config, text).unwrap();
        daemon.reload();
    }
    wait_until("the event has gone through the broker", || core.outcomes("out.jsonl").len() == 1);
    let outcome = core.outcomes("out.jsonl").remove(0);
    assert_eq!((&outcome["service"], &outcome["state"]), (&"Interface Gi0/3".into(), &"critical".into()));
    wait_until("the sink counts it", || edge.status()["sinks"][0]["delivered"] == 1);
    let config = edge.path("trapline.toml").display().to_string();
    let checked = output(&["check", "--config", &config]);
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    // Without a certificate of its own nobody is let in.
    let bare: String = right
        .lines()
        .filter(|line| !line.starts_with("cert_file") && !line.starts_with("key_file"))
        .fold(String::new(), |all, line| format!("{all}{line}\n"));
    let stranger = Daemon::prepare(&sink(&bare));
    let config = stranger.path("trapline.toml").display().to_string();
    let checked = output(&["check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("the sink 'bus' cannot deliver now"), "{said}");
    // So is it for the intake.
    let stranger = Daemon::prepare(&intake(&bare));
    let config = stranger.path("trapline.toml").display().to_string();
    let checked = output(&["check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("the queue 'trapline' of localhost"), "{said}");
}
