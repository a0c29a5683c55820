//! What a listener for HTTP knows: services that check in, their tokens, and who may ask how they are. Pure.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use crate::intake::http::latest::Report;
use crate::intake::listener::Transport;
use crate::message::Status;
use crate::posted::events::Source;
use crate::settings::tls_server::Server;
use crate::settings::values::shown;
use crate::time::clock::Mono;

/// The default of `max_body`, in octets.
pub const MAX_BODY: usize = 64 * 1024;

/// The sites of all listeners, by what they listen on.
#[derive(Debug, Clone, Default)]
pub struct Sites(pub Vec<(Transport, Arc<Site>)>);

impl Sites {
    /// That of a listener.
    pub fn of(&self, transport: &Transport) -> Option<&Arc<Site>> {
        self.0.iter().find(|(other, _)| other == transport).map(|(_, site)| site)
    }
}

/// What one listener knows.
#[derive(Debug)]
pub struct Site {
    /// Networks from which requests are taken; none for all.
    pub allow: Option<Vec<IpNet>>,
    /// Networks that may ask how a service is without its token, beside this machine.
    pub readers: Vec<IpNet>,
    /// The longest body of a request, in octets.
    pub max_body: usize,
    /// For TLS.
    pub tls: Option<Arc<Server>>,
    /// The services that check in, by their names.
    pub checkins: HashMap<String, Service>,
    /// Where events come in.
    pub hooks: Vec<Hook>,
}

/// Where events come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The paths of requests.
    pub paths: Vec<String>,
    /// What proves that a request may be taken; none if every program of this machine may send.
    pub token: Option<Token>,
    /// How its events are found.
    pub source: Source,
}

impl Default for Site {
    fn default() -> Self {
        Site {
            allow: None,
            readers: Vec::new(),
            max_body: MAX_BODY,
            tls: None,
            checkins: HashMap::new(),
            hooks: Vec::new(),
        }
    }
}

/// A service that checks in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The host that it belongs to; none for the sender.
    pub host: Option<String>,
    /// What proves that a report is of the service; none if everybody on this machine may report it.
    pub token: Option<Token>,
    /// How old its last report may be; none for any age.
    pub timeout: Option<Duration>,
    /// How it is when its last report is older.
    pub late: Status,
}

/// A token, by its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// That of a text.
    pub fn new(text: &str) -> Self {
        Token(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether a text is the token. Takes the same time whatever it is.
    pub fn is(&self, text: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let differs = self.0.iter().zip(&given).fold(0, |differs, (one, other)| differs | (one ^ other));
        std::hint::black_box(differs) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Site {
    /// Whether requests of an address are taken.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow.as_ref().is_none_or(|all| all.iter().any(|net| net.contains(&address)))
    }

    /// The service, if the token proves it, or it needs none. A service that is not known takes as long as a wrong token.
    pub fn proven(&self, service: &str, token: Option<&str>) -> Option<&Service> {
        let known = self.checkins.get(service);
        let nobody = Token([0; 32]);
        let wanted = known.and_then(|known| known.token.as_ref());
        let right = wanted.unwrap_or(&nobody).is(token.unwrap_or_default());
        known.filter(|known| right || known.token.is_none())
    }

    /// Whether an address may ask how a service is without its token.
    pub fn reads(&self, address: IpAddr) -> bool {
        self.readers.iter().any(|net| net.contains(&address))
    }

    /// The service, for who wants to know how it is: a reader, or who has its token.
    pub fn readable(&self, service: &str, token: Option<&str>, reads: bool) -> Option<&Service> {
        let proven = self.proven(service, token).filter(|known| known.token.is_some());
        if reads { self.checkins.get(service) } else { proven }
    }
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its state.
    pub state: Status,
    /// In words.
    pub output: String,
    /// How old its last report is; none if there is none.
    pub age: Option<Duration>,
    /// Whether that is too old.
    pub late: bool,
}

impl Service {
    /// How it is, by its last report.
    pub fn known(&self, last: Option<&Report>, now: Mono) -> Known {
        let Some(last) = last else {
            return Known {
                state: Status::Unknown,
                output: "no report yet".to_owned(),
                age: None,
                late: false,
            };
        };
        let age = now.since(last.at.mono);
        let Some(timeout) = self.timeout.filter(|timeout| age > *timeout) else {
            return Known { state: last.status, output: last.info.clone(), age: Some(age), late: false };
        };
        let of_seconds = Duration::from_secs(age.as_secs());
        let before = last.status.as_str();
        let output = format!(
            "no report for {} (timeout {}); the last one was {before}: {}",
            shown(of_seconds),
            shown(timeout),
            last.info
        );
        Known { state: self.late, output, age: Some(age), late: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::{Now, Wall};

    fn service(token: Option<&str>) -> Service {
        Service {
            host: None,
            token: token.map(Token::new),
            timeout: Some(Duration::from_mins(1)),
            late: Status::Warning,
        }
    }

    fn site() -> Site {
        let services = [("a", Some("token-of-a")), ("b", Some("token-of-b")), ("open", None)];
        let checkins = services.map(|(name, token)| (name.to_owned(), service(token))).into();
        Site { readers: vec!["192.0.2.0/24".parse().unwrap()], checkins, ..Site::default() }
    }

    #[test]
    fn only_its_token_proves_a_service() {
        let site = site();
        for (name, token, proven) in [
            ("a", Some("token-of-a"), true),
            ("a", Some("token-of-b"), false),
            ("a", Some("token-of-"), false),
            ("a", Some("token-of-a "), false),
            ("a", Some(""), false),
            ("a", None, false),
            ("open", None, true),
            ("open", Some("anything"), true),
            ("none", None, false),
            ("none", Some("token-of-a"), false),
        ] {
            assert_eq!(site.proven(name, token).is_some(), proven, "{name} {token:?}");
        }
        assert!(!format!("{site:?}").contains("token-of"));
    }

    #[test]
    fn readers_and_who_has_the_token_may_ask() {
        let site = site();
        let (reader, other) = ("192.0.2.7", "203.0.113.9");
        for (from, name, token, may) in [
            (reader, "a", Some("token-of-b"), true),
            (reader, "a", None, true),
            (reader, "none", None, false),
            (other, "a", None, false),
            (other, "a", Some("token-of-a"), true),
            (other, "a", Some("token-of-b"), false),
            (other, "open", None, false),
            (other, "open", Some(""), false),
        ] {
            let got = site.readable(name, token, site.reads(from.parse().unwrap())).is_some();
            assert_eq!(got, may, "{from} {name} {token:?}");
        }
    }

    #[test]
    fn a_report_is_late_when_it_is_older_than_the_timeout() {
        let at = |seconds: u64| Mono::from_nanos(seconds * 1_000_000_000);
        let report = Report {
            status: Status::Ok,
            info: "all is well".to_owned(),
            at: Now { wall: Wall::from_micros(5), mono: at(100) },
        };
        let never = Service { timeout: None, ..service(None) };
        for (of, seconds, state, late) in [
            (service(None), 160, Status::Ok, false),
            (service(None), 161, Status::Warning, true),
            (service(None), 50, Status::Ok, false),
            (never, 1_000_000, Status::Ok, false),
        ] {
            let known = of.known(Some(&report), at(seconds));
            assert_eq!((known.state, known.late), (state, late), "{seconds}");
            assert!(known.output.contains("all is well"));
        }
        let known = service(None).known(Some(&report), at(200));
        assert_eq!(known.output, "no report for 100s (timeout 1min); the last one was ok: all is well");
        assert_eq!(service(None).known(None, at(9)).state, Status::Unknown);
    }
}
