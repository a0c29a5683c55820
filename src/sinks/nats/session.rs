//! A connection to a server.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::answer::{self, About};
use super::nkey;
use super::protocol::{self, Event, Found, Info, Login, Message};
use crate::net::{Network, Stream};
use crate::settings::address::Address;
use crate::sinks::acks::Ack;
use crate::sinks::sink::{Fate, Hint, Said, Trouble};
use crate::sinks::tls::{self, Tls};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const SILENT: &str = "no answer within 30 s";
/// After how long of silence to ask whether the server is there.
pub(super) const QUIET: Duration = Duration::from_mins(1);

const RUNNING: Hint = "see whether it runs, and whether url of this sink is right";
const CERTIFICATES: Hint = "check ca_file, fingerprint, server_name, cert_file and key_file of this sink";
const LOG: Hint = "see the log of the server";
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
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    server: String,
    info: Info,
    /// Where answers come.
    inbox: String,
    /// The number of the next message.
    next: u64,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(server: &Server, network: &dyn Network) -> Result<Self, Trouble> {
        let name = server.address.to_string();
        let away = |error: &dyn Display| {
            Trouble::Away(format!("cannot connect to the NATS server {name}: {error}").into(), RUNNING)
        };
        let connect = network.connect(&server.address.host, server.address.port);
        let stream = tokio::time::timeout(PATIENCE, connect).await;
        let stream = stream.map_err(|_| away(&SILENT))?.map_err(|error| away(&error))?;
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(|error| away(&error))?;
        let inbox = format!("_INBOX.{}", HEXLOWER.encode(&random));
        let (buffer, info) = (Vec::new(), Info::default());
        let mut session = Session { stream, buffer, server: name.clone(), info, inbox, next: 0 };
        let greeting = tokio::time::timeout(PATIENCE, session.next()).await;
        match greeting.unwrap_or_else(|_| Err(SILENT.to_owned())) {
            Ok(Event::Info(info)) => session.info = info,
            Ok(Event::Error(words)) => return Err(session.error(&words)),
            Ok(_) => return Err(away(&"it does not begin with INFO")),
            Err(error) => return Err(away(&error)),
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
        if !self.buffer.is_empty() {
            return Err(self.broken(&"it sent more than INFO before TLS"));
        }
        let stream = tokio::time::timeout(PATIENCE, tls::begin(&server.tls, self.stream)).await;
        let away = |error: &dyn Display| {
            Trouble::Away(
                format!("no TLS with the NATS server {}: {error}", server.address).into(),
                CERTIFICATES,
            )
        };
        self.stream = stream.map_err(|_| away(&SILENT))?.map_err(|error| away(&error))?;
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
        let answered = tokio::time::timeout(PATIENCE, async {
            self.write(lines).await?;
            loop {
                match self.next().await? {
                    Event::Pong => return Ok(Ok(())),
                    Event::Error(words) => return Ok(Err(words)),
                    Event::Info(info) => self.info = info,
                    Event::Ping => self.write(b"PONG\r\n").await?,
                    Event::Ok | Event::Message(..) => {}
                }
            }
        });
        match answered.await.unwrap_or_else(|_| Err(SILENT.to_owned())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(words)) => Err(self.error(&words)),
            Err(error) => Err(self.broken(&error)),
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

    /// Publishes messages, and awaits the answer of their stream to each.
    pub(super) async fn publish(
        &mut self,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<(), Trouble> {
        let mut frames = Vec::new();
        // By the numbers that stand at the end of the subjects of their answers.
        let mut waiting: HashMap<u64, usize> = HashMap::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            let Some(message) = message else { continue };
            if let Some(longest) = self.info.longest.filter(|longest| message.size() > *longest) {
                let said =
                    format!("the message has {} bytes, and the server takes {longest}", message.size());
                acks[at] = Ack::Fate(Fate::Dead(said.into()));
                continue;
            }
            frames.extend_from_slice(&message.encode(&format!("{}.{}", self.inbox, self.next)));
            waiting.insert(self.next, at);
            self.next += 1;
        }
        let mut failed = self.write(&frames).await.err();
        while !waiting.is_empty() {
            let event = tokio::time::timeout(PATIENCE, self.next()).await;
            let Ok(event) = event else {
                let said =
                    Said::from(format!("the NATS server {} did not acknowledge for 30 s", self.server));
                return Err(Trouble::Unanswered(said, NO_ACK));
            };
            match event {
                Ok(Event::Message(subject, status, body)) => {
                    let number = subject.rsplit('.').next().and_then(|number| number.parse().ok());
                    let place = number.and_then(|number: u64| waiting.remove(&number));
                    if let Some((at, message)) = place.and_then(|at| Some((at, messages[at].as_ref()?))) {
                        acks[at] = answer::ack(message, status, &body);
                    }
                }
                Ok(Event::Error(words)) => self.told(&words, messages, &mut waiting, acks)?,
                Ok(Event::Ping) => {
                    let written = self.write(b"PONG\r\n").await;
                    failed = failed.or(written.err());
                }
                Ok(Event::Info(info)) => self.info = info,
                Ok(Event::Pong | Event::Ok) => {}
                Err(error) => return Err(self.broken(&failed.unwrap_or(error))),
            }
        }
        Ok(())
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
        Trouble::Unanswered(format!("the NATS server {} broke off: {what}", self.server).into(), LOG)
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        let written = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| error.to_string())
    }

    /// The next event.
    async fn next(&mut self) -> Result<Event, String> {
        loop {
            match protocol::parse(&self.buffer) {
                Found::Event(event, length) => {
                    self.buffer.drain(..length);
                    return Ok(event);
                }
                Found::Nonsense => return Err("it does not speak NATS".to_owned()),
                Found::Partial => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return Err("it closed the connection".to_owned()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}
