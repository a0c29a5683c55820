//! A connection to a server.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::answer::{self, About};
use super::nkey;
use super::protocol::{self, Event, Found, Info, Login, Message};
use crate::net::{self, Network};
use crate::reach::{Failure, Stage, within};
use crate::settings::address::Address;
use crate::sinks::acks::Ack;
use crate::sinks::hints::{CERTIFICATES, Hints};
use crate::sinks::link::Link;
use crate::sinks::session_lane::Progress;
use crate::sinks::sink::{Fate, Hint, Trouble, Unopened};
use crate::sinks::tls::{self, Tls};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long of silence to ask whether the server is there.
pub(super) const QUIET: Duration = Duration::from_mins(1);

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether url of this sink is right",
    certificates: CERTIFICATES,
    log: "see the log of the server",
};
const NO_ACK: Hint = "see whether a stream has the subject, and the log of the server";

/// A server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) tls: Tls,
    pub(super) login: Credentials,
}

/// How to log in.
#[derive(Clone)]
pub(super) enum Credentials {
    Nobody,
    User(String, Zeroizing<String>),
    Token(Zeroizing<String>),
    Key(nkey::Credentials),
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection on which the server has let us in.
pub(super) struct Session {
    link: Link,
    server: String,
    info: Info,
    /// Where answers come.
    inbox: String,
    /// The number of the next message.
    next: u64,
}

/// Messages under way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Whether they were sent.
    sent: bool,
    /// Their places, by the numbers that stand at the end of the subjects of their answers.
    waiting: HashMap<u64, usize>,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(server: &Server, network: &dyn Network) -> Result<Self, Unopened> {
        Ok(Self::begin(server, network).await?)
    }

    async fn begin(server: &Server, network: &dyn Network) -> Result<Self, Trouble> {
        let name = format!("the NATS server {}", server.address);
        let failed = |failure: Failure| HINTS.trouble(&failure, &name);
        let connect = net::connect(network, &server.address.host, server.address.port);
        let stream = within(PATIENCE, connect).await.flatten().map_err(failed)?;
        let mut random = [0; 12];
        let filled = getrandom::fill(&mut random).map_err(io::Error::other);
        filled.map_err(|error| failed(Failure::of(Stage::Connect, error)))?;
        let inbox = format!("_INBOX.{}", HEXLOWER.encode(&random));
        let (link, info) = (Link::new(stream), Info::default());
        let mut session = Session { link, server: server.address.to_string(), info, inbox, next: 0 };
        let greeting = within(PATIENCE, async { Ok(session.next().await?) }).await.flatten();
        match greeting.map_err(failed)? {
            Event::Info(info) => session.info = info,
            Event::Error(words) => return Err(session.error(&words)),
            _ => return Err(session.broken(&"it does not begin with INFO")),
        }
        session = session.secured(server).await?;
        session.introduce(server).await?;
        session.fits()?;
        Ok(session)
    }

    /// Begins TLS, where it is wanted.
    async fn secured(mut self, server: &Server) -> Result<Self, Trouble> {
        let refused = |what: &str, hint| {
            Err(Trouble::Refused(format!("the NATS server {} {what}", server.address).into(), hint))
        };
        if server.tls.is_none() {
            return if self.info.tls.0 { refused("wants TLS", "write tls:// in url") } else { Ok(self) };
        }
        if !self.info.tls.0 && !self.info.tls.1 {
            return refused("has no TLS", "write nats:// in url, or configure TLS on the server");
        }
        // What stands behind INFO did not come over TLS.
        if !self.link.received().is_empty() {
            return Err(self.broken(&"it sent more than INFO before TLS"));
        }
        let stream = within(PATIENCE, tls::begin(&server.tls, self.link.into_stream())).await.flatten();
        let name = format!("the NATS server {}", server.address);
        self.link = Link::new(stream.map_err(|failure| HINTS.trouble(&failure, &name))?);
        Ok(self)
    }

    async fn introduce(&mut self, server: &Server) -> Result<(), Trouble> {
        let proof;
        let login = match &server.login {
            Credentials::Nobody => Login::Nobody,
            Credentials::User(user, password) => Login::User(user, password),
            Credentials::Token(token) => Login::Token(token),
            Credentials::Key(key) => {
                proof = self.info.nonce.as_deref().and_then(|nonce| key.prove(nonce));
                match &proof {
                    Some(proof) => Login::Key(proof),
                    None => return Err(self.no_keys()),
                }
            }
        };
        let hello = Zeroizing::new(protocol::hello(login, server.tls.is_some(), &self.inbox));
        self.ask(&hello).await
    }

    fn no_keys(&self) -> Trouble {
        let said = format!("the NATS server {} sends no nonce that a key could sign", self.server);
        Trouble::Refused(
            said.into(),
            "configure nkeys or operator mode on the server, or log in with user and password",
        )
    }

    /// Sends lines that end with PING, and awaits PONG.
    async fn ask(&mut self, lines: &[u8]) -> Result<(), Trouble> {
        let answered = within(PATIENCE, async {
            self.link.write(lines).await?;
            loop {
                match self.next().await? {
                    Event::Pong => return Ok(Ok(())),
                    Event::Error(words) => return Ok(Err(words)),
                    Event::Info(info) => self.info = info,
                    Event::Ping => self.link.write(b"PONG\r\n").await?,
                    Event::Ok | Event::Message(..) => {}
                }
            }
        });
        match answered.await.flatten() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(words)) => Err(self.error(&words)),
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    /// Whether the server can do what is wanted.
    fn fits(&self) -> Result<(), Trouble> {
        if self.info.headers && self.info.jetstream {
            return Ok(());
        }
        let what = format!("the NATS server {} has no JetStream", self.server);
        Err(Trouble::Refused(what.into(), "enable JetStream on the server: jetstream { store_dir: ... }"))
    }

    /// Publishes messages, and awaits the answer of their stream to one more of them.
    pub(super) async fn advance(
        &mut self,
        flight: &mut Flight,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<Progress, Trouble> {
        if !flight.sent {
            flight.sent = true;
            self.send(flight, messages, acks);
        }
        while !flight.waiting.is_empty() {
            match self.next().await.map_err(|error| self.broken(&error))? {
                Event::Message(subject, status, body) => {
                    let number = subject.rsplit('.').next().and_then(|number| number.parse().ok());
                    let place = number.and_then(|number: u64| flight.waiting.remove(&number));
                    if let Some((at, message)) = place.and_then(|at| Some((at, messages[at].as_ref()?))) {
                        acks[at] = answer::ack(message, status, &body);
                        return Ok(Progress::More);
                    }
                }
                Event::Error(words) => {
                    let before = flight.waiting.len();
                    self.told(&words, messages, &mut flight.waiting, acks)?;
                    if flight.waiting.len() < before {
                        return Ok(Progress::More);
                    }
                }
                Event::Ping => self.link.push(b"PONG\r\n"),
                Event::Info(info) => self.info = info,
                Event::Pong | Event::Ok => {}
            }
        }
        Ok(Progress::All)
    }

    fn send(&mut self, flight: &mut Flight, messages: &[Option<Message>], acks: &mut [Ack]) {
        for (at, message) in messages.iter().enumerate() {
            let Some(message) = message else { continue };
            if let Some(longest) = self.info.longest.filter(|longest| message.size() > *longest) {
                let said =
                    format!("the message has {} bytes, and the server takes {longest}", message.size());
                acks[at] = Ack::Fate(Fate::Dead(said.into()));
                continue;
            }
            self.link.push(&message.encode(&format!("{}.{}", self.inbox, self.next)));
            flight.waiting.insert(self.next, at);
            self.next += 1;
        }
    }

    /// What it means that no stream has acknowledged anything for `patience`.
    pub(super) fn silent(&self, patience: Duration) -> Trouble {
        let (server, seconds) = (&self.server, patience.as_secs());
        let said = format!("the NATS server {server} acknowledged nothing for {seconds} s");
        Trouble::Unanswered(said.into(), NO_ACK)
    }

    /// What the server says of what it was sent: those to whose subject nobody may publish here are settled.
    fn told(
        &self,
        words: &str,
        messages: &[Option<Message>],
        waiting: &mut HashMap<u64, usize>,
        acks: &mut [Ack],
    ) -> Result<(), Trouble> {
        match answer::error(&self.server, words) {
            About::Connection(trouble) => Err(trouble),
            About::Subject(subject) => {
                let is_about = |at: usize| messages[at].as_ref().is_some_and(|m| m.subject == subject);
                waiting.retain(|_, at| {
                    if is_about(*at) {
                        acks[*at] = answer::forbidden(&subject);
                    }
                    !is_about(*at)
                });
                Ok(())
            }
        }
    }

    /// Asks whether the server is there.
    pub(super) async fn ping(&mut self) -> Result<(), Trouble> {
        self.ask(b"PING\r\n").await
    }

    fn error(&self, words: &str) -> Trouble {
        match answer::error(&self.server, words) {
            About::Connection(trouble) => trouble,
            About::Subject(_) => self.broken(&words),
        }
    }

    fn broken(&self, what: &dyn Display) -> Trouble {
        self.failed(&what.to_string().into())
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        HINTS.trouble(failure, &format_args!("the NATS server {}", self.server))
    }

    /// The next event.
    async fn next(&mut self) -> Result<Event, String> {
        loop {
            match protocol::parse(self.link.received()) {
                Found::Event(event, length) => {
                    self.link.understood(length);
                    return Ok(event);
                }
                Found::Nonsense => return Err("it does not speak NATS".to_owned()),
                Found::Partial => self.link.more().await?,
            }
        }
    }
}
