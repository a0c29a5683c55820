//! A server that answers as a test says.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::lane::NatsSink;
use super::session::{Credentials, Server};
use super::subject::word;
use crate::net::{Connecting, Network, Stream};
use crate::settings::address::Address;
use crate::sinks::fields::Template;
use crate::sinks::sink::{Fate, Item, Key, Sink, Trouble};
use crate::sinks::testing::{assert_fates, item, seat};

const INFO: &str = r#"INFO {"max_payload":1048576,"headers":true,"jetstream":true}"#;
const TAKEN: &str = r#"{"stream":"S","seq":1}"#;
const FULL: &str = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#;
const TOO_LONG: &str =
    r#"{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}"#;

/// What a server does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Answers(&'static str),
    /// Nobody takes the subject.
    NoResponders,
    /// The user may not publish there.
    Forbids,
    /// It says nothing.
    Ignores,
    Closes,
}

/// A server: how it begins, how it answers the first lines, and what it does with messages.
#[derive(Debug, Clone)]
struct Stub {
    info: &'static str,
    hello: &'static str,
    does: Vec<Does>,
}

impl Network for Stub {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        let (own, other) = tokio::io::duplex(1 << 20);
        tokio::spawn(serve(other, self.clone()));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, stub: Stub) {
    let (mut text, mut at) = (String::new(), 0);
    stream.write_all(format!("{}\r\n", stub.info).as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        while let Some((line, rest)) = text.split_once("\r\n") {
            let words: Vec<&str> = line.split(' ').collect();
            let (answer, rest) = match words[0] {
                "PING" => (stub.hello.to_owned(), rest.to_owned()),
                "HPUB" => {
                    let size: usize = words[4].parse().unwrap();
                    let Some(behind) = rest.get(size + 2..) else { break };
                    let does = stub.does[at % stub.does.len()];
                    at += 1;
                    // Its own questions stand between.
                    let answer = match does {
                        Does::Answers(body) => {
                            format!("PING\r\nMSG {} 1 {}\r\n{body}\r\n", words[2], body.len())
                        }
                        Does::NoResponders => {
                            format!("HMSG {} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", words[2])
                        }
                        Does::Forbids => {
                            format!("-ERR 'Permissions Violation for Publish to \"{}\"'\r\n", words[1])
                        }
                        Does::Ignores => String::new(),
                        Does::Closes => return,
                    };
                    (answer, behind.to_owned())
                }
                _ => (String::new(), rest.to_owned()),
            };
            text = rest;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

fn sink() -> NatsSink {
    let address = Address { host: "n".into(), port: 4222 };
    let server = Server { address, tls: None, login: Credentials::Nobody };
    NatsSink { server, subject: Template::new("t.{{ outcome.output }}", word).value.unwrap() }
}

/// Three outcomes with subjects of their own, of which the first two are of one host and service.
fn items() -> Vec<Item> {
    let mut items: Vec<Item> =
        (1..=3).map(|number| item(number, "h", Some("s"), &format!("text{number}"))).collect();
    items[2].key = Key::Known(1);
    items
}

async fn sent(stub: Stub) -> Result<Vec<Fate>, Trouble> {
    let (mut seat, _) = seat();
    seat.network = Arc::new(stub);
    sink().lane(&seat).send(&items()).await
}

/// Whatever a server does: what a stream has acknowledged is delivered, unless an earlier outcome has to be sent before it, and nothing else is.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_delivered_and_only_the_rest_is_sent_again_in_order() {
    use Does::{Answers, Closes, Forbids, Ignores, NoResponders};
    let all = [Answers(TAKEN), Answers(FULL), Answers(TOO_LONG), NoResponders, Forbids, Ignores, Closes];
    for a in all {
        for b in all {
            for c in all {
                let does = [a, b, c];
                let end = does.iter().position(|does| *does == Closes).unwrap_or(3);
                let is = |at: usize, what| at < end && does[at] == what;
                let which = |what| [0, 1, 2].map(|at| is(at, what));
                let result = sent(Stub { info: INFO, hello: "PONG\r\n", does: does.to_vec() }).await;
                let told = [which(Answers(TAKEN)), which(Answers(TOO_LONG)), which(Answers(FULL))];
                assert_fates(&does, result, told);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_at_the_start() {
    let taken = vec![Does::Answers(TAKEN)];
    let trouble = async |info, hello| {
        let sent = sent(Stub { info, hello, does: taken.clone() }).await;
        format!("{:?}", sent.unwrap_err())
    };
    for (info, hello, means) in [
        (INFO, "-ERR 'Authorization Violation'\r\n", "Refused"),
        (INFO, "-ERR 'Permissions Violation for Subscription to \"_INBOX.x.*\"'\r\n", "Refused"),
        (INFO, "nonsense\r\n", "Away"),
        (r#"INFO {"headers":true,"jetstream":false}"#, "PONG\r\n", "Refused"),
        (r#"INFO {"headers":true,"jetstream":true,"tls_required":true}"#, "PONG\r\n", "Refused"),
        ("-ERR 'maximum connections exceeded'", "", "Away"),
        ("HTTP/1.1 400 Bad Request", "", "Away"),
    ] {
        let said = trouble(info, hello).await;
        assert!(said.starts_with(means), "{info} {hello}: {said}");
    }
    let small = r#"INFO {"max_payload":100,"headers":true,"jetstream":true}"#;
    let fates = sent(Stub { info: small, hello: "PONG\r\n", does: taken.clone() }).await.unwrap();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Dead(_))), "{fates:?}");
}
