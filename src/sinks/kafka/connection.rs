//! A connection to a broker.

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::answer::name;
use super::scram::{Hash, Scram};
use super::wire::{self, AUTHENTICATE, Api, HANDSHAKE, Reader, VERSIONS, Versions, Writer};
use crate::net::{self, Network, Stream};
use crate::reach::{Failure, Stage, within};
use crate::settings::address::Address;
use crate::sinks::hints::{CERTIFICATES, Hints};
use crate::sinks::sink::{Hint, Trouble, Unopened};
use crate::sinks::tls::{self, Tls};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer: that to a question for topics names all their partitions.
const LONGEST: usize = 16 << 20;
/// For how long at most a broker is left alone that asks for it.
const MOST_PAUSE: Duration = Duration::from_secs(30);

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether addresses of this sink is right",
    certificates: CERTIFICATES,
    log: "see the log of the broker, and whether its listener wants TLS or a login",
};
const LOGIN: Hint = "check user, password and mechanism of this sink";
const OLD: Hint = "Kafka 0.11 or later is needed";

/// How brokers are spoken to.
#[derive(Clone)]
pub(super) struct Manner {
    /// TLS, and the name in all certificates where one is given.
    pub(super) tls: Option<(Arc<ClientConfig>, Option<ServerName<'static>>)>,
    pub(super) login: Option<Login>,
}

impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = self.login.as_ref().map(|login| login.mechanism);
        f.debug_struct("Manner").field("tls", &self.tls.is_some()).field("login", &login).finish()
    }
}

/// A login by SASL.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
    pub(super) mechanism: Mechanism,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram(hash) => hash.mechanism(),
        }
    }
}

/// A connection on which the broker has let us in.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    broker: String,
    versions: Versions,
    /// The number of the next request.
    next: i32,
    /// How long the broker wants to be left alone.
    pause: Duration,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(
        address: &Address,
        manner: &Manner,
        network: &dyn Network,
    ) -> Result<Self, Unopened> {
        Ok(Self::begin(address, manner, network).await?)
    }

    async fn begin(address: &Address, manner: &Manner, network: &dyn Network) -> Result<Self, Trouble> {
        let broker = address.to_string();
        let failed = |failure: Failure| HINTS.trouble(&failure, &format_args!("the Kafka broker {broker}"));
        let tls = certificate(manner, &address.host).map_err(io::Error::other);
        let tls = tls.map_err(|error| failed(Failure::of(Stage::Tls, error)))?;
        let connect = net::connect(network, &address.host, address.port);
        let stream = within(PATIENCE, connect).await.flatten().map_err(failed)?;
        let stream = within(PATIENCE, tls::begin(&tls, stream)).await.flatten().map_err(failed)?;
        let mut connection =
            Connection { stream, broker, versions: Vec::new(), next: 0, pause: Duration::ZERO };
        connection.versions = connection.versions().await?;
        if let Some(login) = &manner.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    async fn versions(&mut self) -> Result<Versions, Trouble> {
        let answer = self.ask(VERSIONS, 0, &[]).await?;
        match wire::versions(&answer) {
            Some((0, versions)) => Ok(versions),
            Some((code, _)) => Err(self.refused(&name(code), OLD)),
            None => Err(self.nonsense()),
        }
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Trouble> {
        let mut body = Writer::default();
        body.text(login.mechanism.name());
        let answer = self.ask(HANDSHAKE, 1, &body.0).await?;
        let code = Reader(&answer).i16().ok_or_else(|| self.nonsense())?;
        if code != 0 {
            let what = format!("does not log anybody in by {}: {}", login.mechanism.name(), name(code));
            return Err(self.refused(&what, "set mechanism to one that the listener of the broker has"));
        }
        match login.mechanism {
            Mechanism::Plain => {
                let words = Zeroizing::new(format!("\0{}\0{}", login.user, &*login.password));
                self.step(words.as_bytes()).await?;
            }
            Mechanism::Scram(hash) => {
                let mut random = [0; 18];
                getrandom::fill(&mut random).map_err(|error| self.broken(&error))?;
                let scram = Scram::new(hash, &login.user, &login.password, HEXLOWER.encode(&random));
                let first = self.step(scram.first().as_bytes()).await?;
                let last = scram.last(&first).map_err(|why| self.refused(&wrong(&why), LOGIN))?;
                let proof = self.step(last.message.as_bytes()).await?;
                last.proven(&proof).map_err(|why| self.refused(&wrong(&why), LOGIN))?;
            }
        }
        Ok(())
    }

    /// A step of a login.
    async fn step(&mut self, message: &[u8]) -> Result<String, Trouble> {
        let mut body = Writer(Vec::with_capacity(message.len() + 4));
        body.octets(message);
        let body = Zeroizing::new(body.0);
        let answer = self.ask(AUTHENTICATE, 0, &body).await?;
        let mut answer = Reader(&answer);
        let read = (|| Some((answer.i16()?, answer.text()?, answer.octets()?)))();
        match read {
            Some((0, _, octets)) => {
                String::from_utf8(octets.to_vec()).map_err(|_| self.refused("answers no text", LOGIN))
            }
            Some((code, words, _)) => {
                let what = words.map_or_else(|| name(code), str::to_owned);
                Err(self.refused(&format!("does not let this user in: {what}"), LOGIN))
            }
            None => Err(self.nonsense()),
        }
    }

    /// The newest version of a request that both sides speak.
    pub(super) fn version(&self, api: Api) -> Result<i16, Trouble> {
        let offered = self.versions.iter().find(|(key, ..)| *key == api.key);
        let newest = offered.map(|(_, oldest, newest)| (api.newest.min(*newest), api.oldest.max(*oldest)));
        match newest {
            Some((newest, oldest)) if newest >= oldest => Ok(newest),
            _ => {
                let what = format!("speaks no version of {} from {} to {}", api.says, api.oldest, api.newest);
                Err(self.refused(&what, OLD))
            }
        }
    }

    /// Has the next request wait, if the broker wants that.
    pub(super) fn pause(&mut self, milliseconds: i32) {
        let pause = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
        self.pause = pause.min(MOST_PAUSE);
    }

    /// A request and its answer.
    pub(super) async fn ask(&mut self, api: Api, version: i16, body: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.request(api, version, body).await?;
        self.answer().await
    }

    /// Sends a request, whose answer has to be read before the next one.
    pub(super) async fn request(&mut self, api: Api, version: i16, body: &[u8]) -> Result<(), Trouble> {
        tokio::time::sleep(std::mem::take(&mut self.pause)).await;
        self.next = self.next.wrapping_add(1);
        let frame = Zeroizing::new(wire::request(api, version, self.next, body));
        let written = async {
            self.stream.write_all(&frame).await?;
            Ok(self.stream.flush().await?)
        };
        let written = within(PATIENCE, written).await.flatten();
        written.map_err(|failure| self.failed(&failure))
    }

    /// The answer to the request before.
    pub(super) async fn answer(&mut self) -> Result<Vec<u8>, Trouble> {
        let read = async {
            let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(0);
            if !(4..=LONGEST).contains(&length) {
                return Ok::<_, io::Error>(None);
            }
            let number = self.stream.read_i32().await?;
            let mut body = Vec::new();
            // Room is made for what comes, not for what is promised.
            let rest = u64::try_from(length - 4).unwrap_or(0);
            (&mut self.stream).take(rest).read_to_end(&mut body).await?;
            if body.len() < length - 4 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((number == self.next).then_some(body))
        };
        match within(PATIENCE, read).await {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(self.nonsense()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.broken(&"it closed the connection"))
            }
            Ok(Err(error)) => Err(self.failed(&error.into())),
            Err(late) => Err(self.failed(&late)),
        }
    }

    /// The broker sends what this protocol has not.
    pub(super) fn nonsense(&self) -> Trouble {
        self.broken(&"it does not speak Kafka's protocol as it is spoken here")
    }

    fn refused(&self, what: &str, hint: Hint) -> Trouble {
        Trouble::Refused(format!("the Kafka broker {} {what}", self.broker).into(), hint)
    }

    fn broken(&self, what: &dyn Display) -> Trouble {
        self.failed(&what.to_string().into())
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        HINTS.trouble(failure, &format_args!("the Kafka broker {}", self.broker))
    }
}

fn wrong(why: &str) -> String {
    format!("does not log us in as SCRAM says: {why}")
}

/// How TLS is spoken with a broker, whose certificate must have its name unless another one is given.
fn certificate(manner: &Manner, host: &str) -> Result<Tls, String> {
    let Some((config, name)) = &manner.tls else { return Ok(None) };
    let name = match name {
        Some(name) => name.clone(),
        None => ServerName::try_from(host.to_owned())
            .map_err(|_| format!("'{host}' is no name that a certificate can have; set server_name"))?,
    };
    Ok(Some((config.clone(), name)))
}
