//! Sends messages. Over TCP and TLS there is no acknowledgement: a batch goes over a connection of its own and counts as taken when the
//! server, which reads up to the end, closes its side in turn. Over RELP the server acknowledges each message. Over UDP all that is known
//! is that somebody listens.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::form::{Form, Message};
use crate::net::{self, Network, Stream, is_too_long};
use crate::outcome::record::Record;
use crate::reach::{Failure, Stage, during, within};
use crate::settings::address::Address;
use crate::sinks::acks::in_order;
use crate::sinks::hints::{CERTIFICATES, Hints};
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, Unopened,
    Working, too_long,
};
use crate::sinks::tls::{self, Tls};
use crate::syslog::relp::{self, Answer, Found, Number};
use crate::time::clock::Clock;

/// How long the server may take for a batch.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server over TCP is given at least to close at once, and at most.
const REFUSAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

const HINTS: Hints = Hints {
    running: "see whether it runs and takes connections from this machine",
    certificates: CERTIFICATES,
    log: "see its log",
};
const UNANSWERED: &str = "others sent with it were acknowledged, and it was not";

/// How many messages go over UDP at once: about as many as a receiver has room for that does something else.
const DATAGRAMS: usize = 64;
/// How long to await that a machine says that nobody listens there.
const UNHEARD: Duration = Duration::from_millis(50);
/// The longest datagram in octets: what IPv4 leaves of 65,535.
const LONGEST_DATAGRAM: usize = 65_507;

/// A syslog server.
#[derive(Clone)]
pub struct SyslogSink {
    /// Where it is.
    pub target: Target,
    /// What messages look like.
    pub form: Form,
    /// Their facility.
    pub facility: u8,
    /// Their longest size in bytes.
    pub most: usize,
    /// TLS, where it is spoken.
    pub(in crate::sinks) tls: Tls,
}

impl fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyslogSink").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Where a server is, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its host and port.
    pub address: Address,
}

/// How messages are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A message a datagram (RFC 5426).
    Udp,
    /// TCP with octet counting (RFC 6587, section 3.4.1).
    Tcp,
    /// The same over TLS (RFC 5425).
    Tls,
    /// RELP.
    Relp,
    /// RELP over TLS.
    RelpTls,
}

impl Protocol {
    /// All of them, each with its scheme and its default port.
    pub const ALL: [(&str, Protocol, u16); 5] = [
        ("udp", Protocol::Udp, 514),
        ("tcp", Protocol::Tcp, 514),
        ("tls", Protocol::Tls, 6514),
        ("relp", Protocol::Relp, 2514),
        ("relp+tls", Protocol::RelpTls, 2514),
    ];

    /// Whether it needs TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Protocol::Tls | Protocol::RelpTls)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = Protocol::ALL.iter().find(|(_, protocol, _)| *protocol == self.protocol);
        write!(f, "{}://{}", scheme.map_or("", |(scheme, ..)| scheme), self.address)
    }
}

impl SyslogSink {
    async fn connect(&self, network: &dyn Network) -> Result<Box<dyn Stream>, Trouble> {
        let Address { host, port } = &self.target.address;
        let failed = |failure: Failure| HINTS.trouble(&failure, &self.target);
        let stream = net::connect(network, host, *port).await.map_err(failed)?;
        tls::begin(&self.tls, stream).await.map_err(failed)
    }

    fn broken(&self, what: &dyn fmt::Display) -> Trouble {
        HINTS.trouble(&what.to_string().into(), &self.target)
    }

    /// Does work for which there is one patience.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let done = within(PATIENCE, work).await;
        done.map_err(|late| HINTS.unanswered(&late, &self.target)).flatten()
    }

    fn message(&self, record: &Record<'_>) -> Message {
        let most = match self.target.protocol {
            Protocol::Udp => self.most.min(LONGEST_DATAGRAM),
            _ => self.most,
        };
        Message::new(record, self.form, self.facility, most)
    }
}

impl Sink for SyslogSink {
    fn limits(&self) -> Limits {
        let items = if self.target.protocol == Protocol::Udp { DATAGRAMS } else { 512 };
        Limits { items, bytes: 1 << 20, order: Order::Kept, ..Limits::default() }
    }

    fn destination(&self) -> Destination {
        let Address { host, port } = self.target.address.clone();
        match self.target.protocol {
            // Of datagrams nothing can be seen without sending one.
            Protocol::Udp => Destination::Unknown,
            _ => Destination::Server(host, port),
        }
    }

    fn greet(&self, network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(async move {
            if !self.target.protocol.is_secure() {
                return Ok(());
            }
            self.in_time(self.connect(&*network)).await.map(drop)
        })
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let to = Piece::new(Format::Words, format!("to {}:", self.target));
        Some(Ok(vec![to, Piece::new(self.form.format(), self.message(record).bytes)]))
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let (clock, network) = (seat.clock.clone(), seat.network.clone());
        let way = Way { server: self.clone(), clock, network, turn: 0 };
        Box::new(SyslogLane { way, session: None })
    }
}

struct SyslogLane {
    way: Way,
    /// That of RELP, between batches.
    session: Option<Session>,
}

/// The way to a server.
struct Way {
    server: SyslogSink,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    /// Which address of the server is next, for datagrams.
    turn: usize,
}

impl Lane for SyslogLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl SyslogLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut fates = Vec::with_capacity(items.len());
        let mut messages = Vec::with_capacity(items.len());
        for item in items {
            let Some(record) = item.record() else {
                fates.push(Fate::Dead("the outcome is damaged".into()));
                continue;
            };
            let Message { bytes, cut } = self.way.server.message(&record);
            messages.push((fates.len(), bytes));
            fates.push(if cut { Fate::Cut } else { Fate::Taken });
        }
        match self.way.server.target.protocol {
            Protocol::Udp => {
                self.way.turn = self.way.turn.wrapping_add(1);
                self.way.in_time(self.way.over_udp(&messages, &mut fates)).await?;
            }
            Protocol::Tcp | Protocol::Tls => self.way.in_time(self.way.over_tcp(&messages)).await?,
            Protocol::Relp | Protocol::RelpTls => self.over_relp(&messages, &mut fates).await?,
        }
        in_order(items, &mut fates);
        Ok(fates)
    }

    async fn over_relp(&mut self, messages: &[(usize, Vec<u8>)], fates: &mut [Fate]) -> Result<(), Trouble> {
        let mut kept = self.session.take();
        loop {
            let is_old = kept.is_some();
            let mut session = match kept.take() {
                Some(session) => session,
                None => self.way.open().await?,
            };
            let mut exchange = Exchange::new(&mut session.number, messages);
            // What was acknowledged until then stays so.
            let ended = async { Ok(session.exchange(&mut exchange).await?) };
            let ended = within(PATIENCE, ended).await.flatten();
            let is_late = ended.as_ref().is_err_and(Failure::is_late);
            // A server may have closed a session that was idle.
            if is_old && !is_late && ended.is_err() && exchange.answers == 0 {
                continue;
            }
            if ended.is_ok() {
                self.session = Some(session);
            }
            if exchange.answers == 0
                && let Err(failure) = ended
            {
                return Err(HINTS.trouble(&failure, &self.way.server.target));
            }
            for (place, answer) in exchange.places {
                match answer {
                    Some(Ok(())) => {}
                    Some(Err(said)) => fates[place] = Fate::Later(said),
                    None => fates[place] = Fate::Unanswered(UNANSWERED.into()),
                }
            }
            return Ok(());
        }
    }
}

impl Way {
    async fn connect(&self) -> Result<Box<dyn Stream>, Trouble> {
        self.server.connect(&*self.network).await
    }

    /// Sends datagrams. A machine on which nobody listens says so of one before.
    async fn over_udp(&self, messages: &[(usize, Vec<u8>)], fates: &mut [Fate]) -> Result<(), Trouble> {
        let Address { host, port } = &self.server.target.address;
        let failed = |failure: Failure| {
            Trouble::Away(
                format!("cannot send to {}: {failure}", self.server.target).into(),
                HINTS.of(&failure),
            )
        };
        let away = |error: io::Error| failed(Failure::of(Stage::Connect, error));
        let opening = self.network.datagrams(host, *port, self.turn);
        let socket = during(Stage::Connect, opening).await.map_err(failed)?;
        for (place, message) in messages {
            match socket.send(message).await {
                Ok(_) => {}
                Err(error) if is_too_long(&error) => {
                    fates[*place] = Fate::Dead(too_long(message.len(), &self.server.target));
                }
                Err(error) => return Err(away(error)),
            }
        }
        match tokio::time::timeout(UNHEARD, socket.recv(&mut [0])).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(away(error)),
            _ => Ok(()),
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        self.server.in_time(work).await
    }

    fn broken(&self, what: &dyn fmt::Display) -> Trouble {
        self.server.broken(what)
    }

    async fn over_tcp(&self, messages: &[(usize, Vec<u8>)]) -> Result<(), Trouble> {
        let start = self.clock.now().mono;
        let mut stream = self.connect().await?;
        let round_trip = self.clock.now().mono.since(start);
        let mut frames = Vec::new();
        for (_, message) in messages {
            frames.extend_from_slice(format!("{} ", message.len()).as_bytes());
            frames.extend_from_slice(message);
        }
        stream.write_all(&frames).await.map_err(|error| self.broken(&error))?;
        // Before our end is there, it has no reason to close: a server with too many connections closes at once.
        let patience = (round_trip * 2).clamp(REFUSAL.0, REFUSAL.1);
        let mut octet = [0];
        if let Ok(ended) = tokio::time::timeout(patience, stream.read(&mut octet)).await {
            let what =
                ended.map_or_else(|error| error.to_string(), |_| "it closed or answered early".to_owned());
            return Err(self.broken(&what));
        }
        stream.shutdown().await.map_err(|error| self.broken(&error))?;
        match stream.read(&mut octet).await {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.broken(&"it says something, as no syslog server does")),
            // It has read to our end, and ends without the goodbye of TLS.
            Err(error) if self.server.tls.is_some() && error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Begins a session.
    async fn open(&self) -> Result<Session, Unopened> {
        Ok(self.in_time(self.begin()).await?)
    }

    async fn begin(&self) -> Result<Session, Trouble> {
        let stream = self.connect().await?;
        let mut session = Session { stream, number: Number::FIRST, buffer: Vec::new() };
        let mut frame = Vec::new();
        relp::push_frame(&mut frame, session.number, "open", relp::OFFERS);
        session.number = session.number.next();
        session.stream.write_all(&frame).await.map_err(|error| self.broken(&error))?;
        let (mut read, _) = tokio::io::split(&mut session.stream);
        match next(&mut read, &mut session.buffer).await {
            Ok(Answer::Taken(_)) => Ok(session),
            Ok(Answer::Refused(_, said)) => {
                let what = format!("{} refuses the session: {said}", self.server.target);
                Err(Trouble::Refused(what.into(), HINTS.log))
            }
            Ok(Answer::Closes) => Err(self.broken(&"it closes the session")),
            Err(what) => Err(self.broken(&what)),
        }
    }
}

/// A session of RELP.
struct Session {
    stream: Box<dyn Stream>,
    /// The number of the next frame.
    number: Number,
    buffer: Vec<u8>,
}

/// Messages under way, by the numbers of their frames.
struct Exchange {
    frames: Vec<u8>,
    numbers: HashMap<Number, usize>,
    /// The place of each message, and what was answered.
    places: Vec<(usize, Option<Result<(), Said>>)>,
    answers: usize,
}

impl Exchange {
    fn new(number: &mut Number, messages: &[(usize, Vec<u8>)]) -> Self {
        let (mut frames, mut numbers) = (Vec::new(), HashMap::with_capacity(messages.len()));
        for (at, (_, message)) in messages.iter().enumerate() {
            relp::push_frame(&mut frames, *number, "syslog", message);
            numbers.insert(*number, at);
            *number = number.next();
        }
        Exchange {
            frames,
            numbers,
            places: messages.iter().map(|(place, _)| (*place, None)).collect(),
            answers: 0,
        }
    }

    /// Whether an answer is about one of the messages.
    fn settle(&mut self, number: Number, answer: Result<(), Said>) -> bool {
        let Some(at) = self.numbers.remove(&number) else { return false };
        self.places[at].1 = Some(answer);
        self.answers += 1;
        true
    }
}

impl Session {
    /// Sends and reads at once: a server that has answered much may not read on before its answers are read.
    async fn exchange(&mut self, exchange: &mut Exchange) -> Result<(), String> {
        let frames = std::mem::take(&mut exchange.frames);
        let (mut read, mut write) = tokio::io::split(&mut self.stream);
        let sent = send(&mut write, &frames);
        let answered = answers(&mut read, &mut self.buffer, exchange);
        let (sent, answered) = tokio::join!(sent, answered);
        sent.map_err(|error| error.to_string()).and(answered)
    }
}

async fn send(write: &mut WriteHalf<&mut Box<dyn Stream>>, frames: &[u8]) -> io::Result<()> {
    write.write_all(frames).await?;
    write.flush().await
}

async fn answers(
    read: &mut ReadHalf<&mut Box<dyn Stream>>,
    buffer: &mut Vec<u8>,
    exchange: &mut Exchange,
) -> Result<(), String> {
    while !exchange.numbers.is_empty() {
        let (number, answer) = match next(read, buffer).await? {
            Answer::Taken(number) => (number, Ok(())),
            Answer::Refused(number, said) => (number, Err(Said::from(said))),
            Answer::Closes => return Err("it closes the session".to_owned()),
        };
        if !exchange.settle(number, answer) {
            return Err("it answers what was not sent".to_owned());
        }
    }
    Ok(())
}

/// The next answer.
async fn next(read: &mut ReadHalf<&mut Box<dyn Stream>>, buffer: &mut Vec<u8>) -> Result<Answer, String> {
    loop {
        match relp::answer(buffer) {
            Found::Answer(answer, length) => {
                buffer.drain(..length);
                return Ok(answer);
            }
            Found::Nonsense => return Err("it does not speak RELP".to_owned()),
            Found::Partial => match read.read_buf(buffer).await {
                Ok(0) => return Err("it closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            },
        }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
