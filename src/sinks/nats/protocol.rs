//! The client protocol of NATS (docs.nats.io, Client Protocol), as far as a client needs it that publishes to JetStream. From and to octets,
//! without I/O.

use serde_json::{Value, json};

use super::nkey::Proof;

/// The longest line that a server may send: INFO names the servers of its cluster.
const LONGEST_LINE: usize = 1 << 16;
/// The longest message that a server may send: its answers are short.
const LONGEST_MESSAGE: usize = 1 << 20;

/// A message for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Its subject.
    pub(super) subject: String,
    /// The id of its outcome, by which a stream knows what it has.
    pub(super) id: String,
    /// JSON.
    pub(super) payload: Vec<u8>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Info {
    /// The longest message with its headers.
    pub(super) longest: Option<u64>,
    /// Whether it knows headers.
    pub(super) headers: bool,
    /// Whether it has streams.
    pub(super) jetstream: bool,
    /// Whether it wants TLS, and whether it can.
    pub(super) tls: (bool, bool),
    /// What is to be signed by who has a key.
    pub(super) nonce: Option<String>,
}

/// Something that a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Info(Info),
    /// A message: its subject, the status in its headers, its body.
    Message(String, Option<u16>, Vec<u8>),
    Ping,
    Pong,
    Ok,
    /// Something is wrong, in its words.
    Error(String),
}

/// What stands at the start of octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// An event, and its length.
    Event(Event, usize),
    /// The start of one.
    Partial,
    /// Nothing that a server says.
    Nonsense,
}

/// Who a client is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Login<'a> {
    Nobody,
    User(&'a str, &'a str),
    Token(&'a str),
    Key(&'a Proof),
}

/// The first lines of a client: who it is, where it wants its answers, and a question that the server answers when it has let it in.
pub(super) fn hello(login: Login<'_>, tls: bool, inbox: &str) -> Vec<u8> {
    let mut connect = json!({
        "verbose": false, "pedantic": false, "tls_required": tls, "name": "trapline", "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "headers": true, "no_responders": true,
    });
    match login {
        Login::Nobody => {}
        Login::User(user, password) => {
            connect["user"] = user.into();
            connect["pass"] = password.into();
        }
        Login::Token(token) => connect["auth_token"] = token.into(),
        Login::Key(proof) => {
            match &proof.token {
                Some(token) => connect["jwt"] = token.as_str().into(),
                None => connect["nkey"] = proof.key.as_str().into(),
            }
            connect["sig"] = proof.signature.as_str().into();
        }
    }
    format!("CONNECT {connect}\r\nSUB {inbox}.* 1\r\nPING\r\n").into_bytes()
}

impl Message {
    /// The frame; the answer comes to `reply`.
    pub(super) fn encode(&self, reply: &str) -> Vec<u8> {
        let headers = self.headers();
        let total = headers.len() + self.payload.len();
        let head = format!("HPUB {} {reply} {} {total}\r\n", self.subject, headers.len());
        [head.as_bytes(), headers.as_bytes(), &self.payload, b"\r\n"].concat()
    }

    fn headers(&self) -> String {
        format!("NATS/1.0\r\nNats-Msg-Id: {}\r\nContent-Type: application/json\r\n\r\n", self.id)
    }

    /// Its size as the server counts it.
    pub(super) fn size(&self) -> u64 {
        (self.headers().len() + self.payload.len()) as u64
    }
}

/// Reads what stands at the start of octets.
pub(super) fn parse(octets: &[u8]) -> Found {
    let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
        return if octets.len() > LONGEST_LINE { Found::Nonsense } else { Found::Partial };
    };
    let Ok(line) = std::str::from_utf8(&octets[..end]) else { return Found::Nonsense };
    let line = line.trim_end_matches('\r');
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let event = match word.to_ascii_uppercase().as_str() {
        "INFO" => info(rest).map(Event::Info),
        "PING" => Some(Event::Ping),
        "PONG" => Some(Event::Pong),
        "+OK" => Some(Event::Ok),
        "-ERR" => Some(Event::Error(rest.trim().trim_matches('\'').to_owned())),
        "MSG" => return message(rest, false, octets, end + 1),
        "HMSG" => return message(rest, true, octets, end + 1),
        _ => None,
    };
    event.map_or(Found::Nonsense, |event| Found::Event(event, end + 1))
}

fn info(text: &str) -> Option<Info> {
    let value: Value = serde_json::from_str(text).ok()?;
    let is = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    Some(Info {
        longest: value.get("max_payload").and_then(Value::as_u64),
        headers: is("headers"),
        jetstream: is("jetstream"),
        tls: (is("tls_required"), is("tls_available")),
        nonce: value.get("nonce").and_then(Value::as_str).map(str::to_owned),
    })
}

/// `MSG SUBJECT SID [REPLY] SIZE` or `HMSG SUBJECT SID [REPLY] HEADERS SIZE`, and the message behind the line.
fn message(line: &str, with_headers: bool, octets: &[u8], start: usize) -> Found {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let numbers = 1 + usize::from(with_headers);
    if !(2 + numbers..=3 + numbers).contains(&words.len()) {
        return Found::Nonsense;
    }
    let number = |word: &str| word.parse::<usize>().ok().filter(|number| *number <= LONGEST_MESSAGE);
    let size = words.last().and_then(|word| number(word));
    let headers = if with_headers { number(words[words.len() - 2]) } else { Some(0) };
    let (Some(size), Some(headers)) = (size, headers) else { return Found::Nonsense };
    if headers > size {
        return Found::Nonsense;
    }
    let Some(content) = octets.get(start..start + size + 2) else { return Found::Partial };
    if !content.ends_with(b"\r\n") {
        return Found::Nonsense;
    }
    let status = status(&content[..headers]);
    let event = Event::Message(words[0].to_owned(), status, content[headers..size].to_vec());
    Found::Event(event, start + size + 2)
}

/// The status in the first line of headers: `NATS/1.0 503`.
fn status(headers: &[u8]) -> Option<u16> {
    let line = headers.split(|octet| *octet == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("NATS/1.0")?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(octets: &[u8]) -> Event {
        match parse(octets) {
            Found::Event(event, length) if length == octets.len() => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_are_those_of_the_protocol() {
        let message = Message { subject: "a.b".into(), id: "i".into(), payload: b"{}".to_vec() };
        assert_eq!(
            String::from_utf8(message.encode("_INBOX.x.1")).unwrap(),
            "HPUB a.b _INBOX.x.1 60 62\r\nNATS/1.0\r\nNats-Msg-Id: i\r\nContent-Type: application/json\r\n\r\n{}\r\n"
        );
        assert_eq!(message.size(), 62);
        let hello = String::from_utf8(hello(Login::User("u", "p\"w"), false, "_INBOX.x")).unwrap();
        assert!(
            hello.contains(r#""user":"u","pass":"p\"w""#) && hello.ends_with("SUB _INBOX.x.* 1\r\nPING\r\n")
        );
    }

    #[test]
    fn events_are_read() {
        let info =
            b"INFO {\"max_payload\":1048576,\"headers\":true,\"jetstream\":true,\"tls_available\":true}\r\n";
        let expected = Info {
            longest: Some(1_048_576),
            headers: true,
            jetstream: true,
            tls: (false, true),
            nonce: None,
        };
        assert_eq!(found(info), Event::Info(expected));
        assert_eq!(found(b"PING\r\n"), Event::Ping);
        assert_eq!(
            found(b"-ERR 'Authorization Violation'\r\n"),
            Event::Error("Authorization Violation".into())
        );
        assert_eq!(
            found(b"MSG _INBOX.x.1 1 2\r\n{}\r\n"),
            Event::Message("_INBOX.x.1".into(), None, b"{}".to_vec())
        );
        assert_eq!(
            found(b"HMSG _INBOX.x.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"),
            Event::Message("_INBOX.x.1".into(), Some(503), Vec::new())
        );
        for nonsense in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG a 1 x\r\n",
            b"HMSG a 1 9 8\r\n12345678\r\n",
            b"MSG a 1 1\r\n{}\r\n",
        ] {
            assert_eq!(parse(nonsense), Found::Nonsense);
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_it_fail(octets in proptest::collection::vec(any::<u8>(), 0..64), words in "(INFO|MSG|HMSG|-ERR|PING) [a-z0-9 {}\r\n]{0,30}") {
            let _ = parse(&octets);
            let _ = parse(words.as_bytes());
        }
    }
}
