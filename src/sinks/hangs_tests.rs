//! What each sink that connects says of a server that is not there or says nothing: which stage has failed, and what to look at.

use std::io;
use std::sync::Arc;

use crate::net::{Connecting, Network};
use crate::reach::{Stage, during, enter};
use crate::sinks::sink::Trouble;
use crate::sinks::testing::{configured, item, seat};

/// What a server does, or the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// No name server answers.
    Unresolved,
    NoName,
    /// Nobody answers, as behind a firewall or where too many connections wait to be accepted.
    Nothing,
    Refuse,
    /// It accepts, and says nothing.
    Silence,
}
use Does::*;

impl Network for Does {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        Box::pin(async move {
            match self {
                Unresolved => {
                    enter(Stage::Resolve);
                    std::future::pending().await
                }
                NoName => {
                    let unknown = async { Err(io::Error::other("Name or service not known")) };
                    during(Stage::Resolve, unknown).await.map_err(io::Error::other)
                }
                Nothing => std::future::pending().await,
                Refuse => Err(io::ErrorKind::ConnectionRefused.into()),
                Silence => {
                    let (own, other) = tokio::io::duplex(1 << 20);
                    tokio::spawn(async move {
                        let _open = other;
                        std::future::pending::<()>().await;
                    });
                    Ok(Box::new(own) as _)
                }
            }
        })
    }
}

/// What a sink says of it when it sends an outcome.
fn said(lines: &str, does: Does) -> Trouble {
    let (sink, found) = configured(lines);
    let sink = sink.unwrap_or_else(|| panic!("{lines}: {}", found.to_text()));
    let (mut seat, _) = seat();
    seat.network = Arc::new(does);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let sent = runtime.block_on(async { sink.lane(&seat).send(&[item(1, "h", Some("s"), "o")]).await });
    sent.expect_err(lines)
}

/// A sink, and how it waits.
struct Row {
    /// Its configuration.
    lines: &'static str,
    is_secured: bool,
    /// What its server is called.
    server: &'static str,
    /// How many seconds there are for a connection, and for an answer.
    seconds: (u64, u64),
    /// Whether one patience is for both, so that nobody knows what was sent.
    is_one: bool,
    /// Whether the first thing that the server does not answer may have an outcome in it.
    sends_first: bool,
}

const fn row(
    lines: &'static str,
    server: &'static str,
    seconds: (u64, u64),
    (is_one, sends_first): (bool, bool),
) -> Row {
    Row { lines, is_secured: false, server, seconds, is_one, sends_first }
}

const fn tls(row: Row) -> Row {
    Row { is_secured: true, ..row }
}

const SESSION: (bool, bool) = (false, false);
const ONE: (bool, bool) = (true, true);

const TABLE: [Row; 16] = [
    row("type = 'nats'\nurl = 'nats://h'\nsubject = 's'", "the NATS server h:4222", (30, 30), SESSION),
    row("type = 'mqtt'\nurl = 'mqtt://h'\ntopic = 't'", "the MQTT broker h:1883", (30, 30), SESSION),
    tls(row("type = 'mqtt'\nurl = 'mqtts://h'\ntopic = 't'", "the MQTT broker h:8883", (30, 30), SESSION)),
    row("type = 'kafka'\naddresses = ['h']\ntopic = 't'", "the Kafka broker h:9092", (30, 30), SESSION),
    tls(row(
        "type = 'kafka'\naddresses = ['h']\ntopic = 't'\ntls = true",
        "the Kafka broker h:9092",
        (30, 30),
        SESSION,
    )),
    row(
        "type = 'email'\nserver = 'smtp://h'\nfrom = 'a@b'\nto = ['c@d']\nstarttls = false",
        "the mail server h:",
        (60, 60),
        SESSION,
    ),
    tls(row(
        "type = 'email'\nserver = 'smtps://h'\nfrom = 'a@b'\nto = ['c@d']",
        "the mail server h:465",
        (60, 60),
        SESSION,
    )),
    row("type = 'syslog'\nto = 'tcp://h'", "tcp://h:514", (60, 60), ONE),
    tls(row("type = 'syslog'\nto = 'tls://h'", "tls://h:6514", (60, 60), ONE)),
    row("type = 'syslog'\nto = 'relp://h'", "relp://h:2514", (60, 60), SESSION),
    row("type = 'zabbix'\naddresses = ['h']", "Zabbix at h:10051", (10, 30), (false, true)),
    tls(row("type = 'zabbix'\naddresses = ['h']\ntls = true", "Zabbix at h:10051", (10, 10), (false, true))),
    row("type = 'webhook'\nurl = 'http://h'", "h", (30, 30), ONE),
    tls(row("type = 'webhook'\nurl = 'https://h'", "h", (30, 30), ONE)),
    tls(row("type = 'icinga2'\nurl = 'https://h'\nuser = 'u'\npassword = 'p'", "h", (30, 30), ONE)),
    row(
        "type = 'nsca'\naddress = 'h'\nencryption_method = 1\npassword = 'p'",
        "the NSCA daemon h:5667",
        (30, 30),
        ONE,
    ),
];

#[test]
fn who_does_not_answer_is_told_by_the_stage_that_has_not_ended() {
    let fingerprint = format!("\nfingerprint = '{}'", "00".repeat(32));
    for Row { lines, is_secured, server, seconds: (connect, answer), is_one, sends_first } in TABLE {
        let lines = format!("{lines}{}", if is_secured { &*fingerprint } else { "" });
        // The addresses of Zabbix are told together.
        let is_list = server.starts_with("Zabbix");
        let no_tls = if is_list { "cannot connect to " } else { "no TLS with " };
        let last = if is_secured {
            (Silence, no_tls, format!("the handshake has not ended within {answer} s; check ca_file"), is_one)
        } else {
            (Silence, "no answer from ", format!(" within {answer} s; see "), sends_first)
        };
        for (does, start, reason, is_unanswered) in [
            (
                Unresolved,
                "cannot connect to ",
                format!(": its name is not resolved within {connect} s; see "),
                is_one,
            ),
            (
                NoName,
                "cannot connect to ",
                ": its name is not resolved: Name or service not known; see ".into(),
                false,
            ),
            (
                Nothing,
                "cannot connect to ",
                format!(": no connection within {connect} s; see whether it runs"),
                is_one,
            ),
            (
                Refuse,
                "cannot connect to ",
                ": nothing listens there: connection refused; see whether it runs".into(),
                false,
            ),
            last,
        ] {
            let trouble = said(&lines, does);
            let text = trouble.to_string();
            assert!(text.starts_with(&format!("{start}{server}")), "{lines} {does:?}: {text}");
            assert!(text.contains(&reason), "{lines} {does:?}: {text}");
            assert_eq!(matches!(trouble, Trouble::Unanswered(..)), is_unanswered, "{lines} {does:?}: {text}");
        }
    }
}
