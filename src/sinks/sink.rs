//! What a sink is for delivery: a [`Sink`] as it is configured, a [`Lane`] for each of its connections, and the words in
//! which a lane reports what the server answered.
//!
//! [`machine`](super::machine) decides what is sent when; a lane only sends and reports.

use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::journal::{Follower, Payload};
use crate::net::Network;
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::sinks::piece::Piece;
use crate::time::clock::{Clock, Mono, Now};
use crate::time::receipts::Moment;

/// A sink as it is configured. Pure, but for what its lanes do.
pub trait Sink: Debug + Send + Sync {
    /// How much is sent at once, and in which order.
    fn limits(&self) -> Limits;

    /// Whether the server has a place for events. Where it has none, they are skipped, and counted so.
    fn takes_events(&self) -> bool {
        true
    }

    /// What is sent for a record, from the encoder that its lanes use; none if the sink does not take it.
    fn pieces(&self, record: &Record<'_>) -> Option<Pieces>;

    /// The fields of events that it sets itself: a rule's own fields of these names are not sent.
    fn sets(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it sends notifications as they came, so that they must be kept.
    fn wants_originals(&self) -> bool {
        false
    }

    /// Where it delivers to, as far as anybody can look at that without delivering.
    fn destination(&self) -> Destination {
        Destination::Unknown
    }

    /// Connects and logs in, where there is a login, and delivers nothing. Without one it does nothing.
    fn greet(&self, _network: Arc<dyn Network>) -> Working<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What sends letters beside outcomes; none if it has no such thing.
    fn post(&self) -> Option<&dyn Post> {
        None
    }

    /// A lane. Called [`Limits::lanes`] times when delivery starts.
    fn lane(&self, seat: &Seat) -> Box<dyn Lane>;
}

/// A letter with a file, such as a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// What stands in it.
    pub text: String,
    /// The name of the file.
    pub file: String,
    /// Its media type.
    pub kind: &'static str,
    /// Its content.
    pub content: String,
    /// Of when it is, in microseconds since 1970 UTC.
    pub time: i64,
    /// The same for the same letter.
    pub id: String,
}

/// What became of a letter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The server has it.
    Taken,
    /// The server may take it later.
    Later(Said),
    /// The server never takes it.
    Dead(Said),
}

/// A letter on its way: what became of it for each recipient.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<Vec<Posted>, Trouble>> + Send + 'a>>;

/// What sends letters.
pub trait Post: Sync {
    /// To whom it sends unless told otherwise.
    fn recipients(&self) -> &[String];

    /// Sends a letter to some recipients.
    fn post<'a>(&'a self, letter: &'a Letter, to: &'a [String], network: Arc<dyn Network>) -> Posting<'a>;
}

/// Where a sink delivers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A port of a host, which is a name or an address.
    Server(String, u16),
    /// Some of them, all of which are told.
    Servers(Vec<(String, u16)>),
    /// A named pipe that somebody reads.
    Pipe(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// A file.
    File(PathBuf),
    /// Nothing that can be looked at.
    Unknown,
}

/// What a sink sends for an outcome, or why it cannot: the outcome becomes a dead letter.
pub type Pieces = Result<Vec<Piece>, Said>;

/// A connection to the server, or an open file. Runs on its sink's own thread, so it may block.
pub trait Lane: Send {
    /// Sends items and waits for the server's answer.
    ///
    /// `Ok` has one [`Fate`] for each item, in order. Items beyond its end were not sent. With [`Order::Kept`], once an
    /// item is [`Fate::Later`] or [`Fate::Unanswered`], the later ones of its key must be so too, or left out.
    ///
    /// `Err` is about the request as a whole: nothing is known to be taken.
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a>;

    /// When [`Lane::own`] is to be called; none for never.
    fn wants(&self) -> Option<Mono> {
        None
    }

    /// Does what the lane must do by itself, such as repeating what is still open at the server.
    fn own(&mut self, _now: Now) -> Working<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The answer to [`Lane::send`], when it comes.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Fate>, Trouble>> + Send + 'a>>;

/// The end of [`Lane::own`] or [`Sink::greet`], when it comes.
pub type Working<'a> = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send + 'a>>;

/// What a lane may use beside its own settings.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The name of the sink.
    pub name: Arc<str>,
    /// A folder for what the sink must remember over a restart. The sink makes it when it needs it.
    pub memory: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Connections to servers.
    pub network: Arc<dyn Network>,
    /// The file that says which SNMP engine this daemon is.
    pub engine: PathBuf,
    /// Tells when the journal has more records.
    pub follower: Follower,
}

/// How much is sent at once, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many requests may be under way at once; at least 1.
    pub lanes: usize,
    /// The most items in one request; at least 1.
    pub items: usize,
    /// The most bytes of payload in one request. A larger item goes alone.
    pub bytes: usize,
    /// Which order the server must see.
    pub order: Order,
    /// How long items are gathered before a request that is not full is sent.
    pub linger: Duration,
}

impl Default for Limits {
    /// One request at a time with one item, in order.
    fn default() -> Self {
        Limits { lanes: 1, items: 1, bytes: usize::MAX, order: Order::OneByOne, linger: Duration::ZERO }
    }
}

/// In which order the server gets the outcomes of one host and service. Different ones never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One at a time: the next is sent when the server has answered the one before.
    OneByOne,
    /// Several in one request, in their order. For servers that process a request from its start to its end.
    Kept,
    /// Any order. For servers that sort by time themselves.
    Free,
}

/// An outcome on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place in the order of delivery.
    pub id: Id,
    /// The epoch of its journal, the first half of the outcome's id.
    pub epoch: u64,
    /// Its sequence number in that journal, the second half of the outcome's id.
    pub sequence: u64,
    /// Of which host and service it is.
    pub key: Key,
    /// When its message was received, in microseconds since 1970 UTC.
    pub time: i64,
    /// The same on the monotonic clock, for its age.
    pub received: Moment,
    /// The outcome, encoded as in the journal.
    pub payload: Payload,
}

impl Item {
    /// Equal for outcomes of the same host and service.
    pub fn key(&self) -> u64 {
        match self.key {
            Key::Known(key) => key,
            Key::Hash(keys) => keys.of(&self.payload),
        }
    }

    /// The outcome; none if the payload is damaged, which reading it from the journal has ruled out.
    #[inline]
    pub fn record(&self) -> Option<Record<'_>> {
        let outcome = codec::decode(&self.payload)?;
        Some(Record { epoch: self.epoch, sequence: self.sequence, outcome })
    }
}

/// Tells outcomes of one host and service from those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It is the same number for them.
    Known(u64),
    /// A hash says so. Most items are delivered without anybody asking, so it is made when it is asked for.
    Hash(Keys),
}

/// Makes numbers that are equal for outcomes of one host and service, and that no sender can foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys(pub [u64; 2]);

impl Keys {
    /// The number of an encoded outcome.
    pub fn of(self, payload: &[u8]) -> u64 {
        let Some((names, has_second)) = codec::names(payload) else { return 0 };
        let [first, second] = self.0;
        // No service is another than one without a name.
        SipHasher13::new_with_keys(first, second).hash(names) ^ u64::from(has_second)
    }
}

/// Where an item comes from, and its number there. Dead letters are older than what the journal has, so they come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A dead letter that is sent again, by a number that rises with each.
    Letter(u64),
    /// A record of the journal, by its sequence number.
    Journal(u64),
}

/// What the server made of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The server has it, by its own confirmation.
    Taken,
    /// The server has it, shortened to what it can hold.
    Cut,
    /// The server has something newer, and has put this aside.
    Stale(Said),
    /// The server will never take it: it becomes a dead letter.
    Dead(Said),
    /// Not now: it is sent again after a pause of its own.
    Later(Said),
    /// It was sent and not answered, while others of the request were: it is sent again after a pause of its own, and not with items of which
    /// nothing is known.
    Unanswered(Said),
    /// Not tried: the lane keeps an order that [`Order::Free`] does not, and an earlier item is open. It is given to the lane again soon,
    /// however often that was so.
    Behind(Said),
}

/// Why a request as a whole was not answered by fates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server cannot be reached; nothing was sent.
    Away(Said, Hint),
    /// It was sent and not answered. The server may have taken all, a part or nothing of it.
    Unanswered(Said, Hint),
    /// The server takes nothing now: to wait for so long, as it asks, or as is usual if it asks for nothing.
    Busy(Said, Duration),
    /// The server refuses what the configuration says: a wrong password, URL or option.
    Refused(Said, Hint),
    /// The server refuses the request because of some item, or its size, and does not say which: each half is tried alone.
    Halve(Said),
}

/// Why there is no connection. Nothing was sent, so it says nothing of any outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unopened {
    /// The server cannot be reached, or ends the connection before it is ready.
    Away(Said, Hint),
    /// As [`Trouble::Busy`].
    Busy(Said, Duration),
    /// As [`Trouble::Refused`].
    Refused(Said, Hint),
}

impl From<Unopened> for Trouble {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Away(said, hint) => Trouble::Away(said, hint),
            Unopened::Busy(said, pause) => Trouble::Busy(said, pause),
            Unopened::Refused(said, hint) => Trouble::Refused(said, hint),
        }
    }
}

impl From<Trouble> for Unopened {
    /// What a trouble means while a connection is opened.
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Away(said, hint) | Trouble::Unanswered(said, hint) => Unopened::Away(said, hint),
            Trouble::Busy(said, pause) => Unopened::Busy(said, pause),
            Trouble::Refused(said, hint) => Unopened::Refused(said, hint),
            Trouble::Halve(said) => Unopened::Away(said, "see the log of the server"),
        }
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(said, hint) | Trouble::Unanswered(said, hint) | Trouble::Refused(said, hint) => {
                write!(f, "{said}; {hint}")
            }
            Trouble::Busy(said, pause) => write!(f, "{said}; waiting {} s", pause.as_secs()),
            Trouble::Halve(said) => write!(f, "{said}"),
        }
    }
}

/// What the user can do about a trouble.
pub type Hint = &'static str;

/// What a server or the system says, safe to print: one line of at most [`Said::MOST`] characters, without control
/// characters, line separators and bidirectional overrides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Said(Box<str>);

impl Said {
    /// The most characters.
    pub const MOST: usize = 200;

    /// Cleans a text.
    pub fn new(text: &str) -> Self {
        let mut line = String::with_capacity(text.len().min(Self::MOST));
        let (mut count, mut space) = (0, false);
        for c in text.chars() {
            if c.is_whitespace() || c.is_control() {
                space = count > 0;
                continue;
            }
            if hidden(c) {
                continue;
            }
            if count + 1 + usize::from(space) > Self::MOST {
                break;
            }
            if space {
                line.push(' ');
                count += 1;
                space = false;
            }
            line.push(c);
            count += 1;
        }
        Said(line.into())
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an outcome cannot be sent whose datagram has so many octets.
pub(super) fn too_long(octets: usize, to: &dyn Display) -> Said {
    format!("its datagram of {octets} octets is longer than one to {to} can be; have rules make shorter texts and fewer fields").into()
}

/// Characters that have no glyph and change how others are shown: bidirectional controls, joiners, the byte order mark.
fn hidden(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Said::new(text)
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Said::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_answer_becomes_one_line() {
        let said =
            Said::new("  \u{1b}]0;pwn\u{7}\u{1b}[2J \n2026-01-01 ERROR\u{2028}forged\u{202e}line\u{85} ");
        assert_eq!(said.as_str(), "]0;pwn [2J 2026-01-01 ERROR forgedline");
        assert_eq!(Said::new("\u{1b}\n\t").as_str(), "");
        assert_eq!(Said::new(&"é".repeat(1000)).as_str(), "é".repeat(200));
    }

    #[test]
    fn letters_come_before_the_journal() {
        let mut ids = [Id::Journal(1), Id::Letter(9), Id::Journal(0), Id::Letter(2)];
        ids.sort();
        assert_eq!(ids, [Id::Letter(2), Id::Letter(9), Id::Journal(0), Id::Journal(1)]);
    }

    proptest! {
        #[test]
        fn what_is_said_is_one_clean_line(text in any::<String>(), again in "[\\x00-\\x20\u{2028}\u{2029}\u{202e}a]{0,500}") {
            for text in [text, again] {
                let said = Said::new(&text);
                let line = said.as_str();
                prop_assert!(line.chars().count() <= Said::MOST);
                prop_assert!(!line.chars().any(|c| c.is_control() || hidden(c) || (c.is_whitespace() && c != ' ')));
                prop_assert_eq!(line.trim(), line);
                prop_assert_eq!(Said::new(line), said.clone(), "cleaning twice changes nothing");
            }
        }
    }
}
