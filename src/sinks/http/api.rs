//! What one kind of web server is told and what its answers mean: [`Api`], one for each sink that speaks HTTP. Pure.

use std::fmt::Debug;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::answers::{Means, Row, STATUS};
use crate::http::client::Answer;
use crate::outcome::record::Record;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{Fate, Order, Said, Trouble};

/// How long a sink waits where the server asks for a pause and does not say how long.
const PAUSE: Duration = Duration::from_secs(5);

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below the server's URL, with its query; empty for the URL itself.
    pub path: String,
    /// Headers beside those of every request.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A request with a body of JSON.
    pub fn json(method: Method, path: &str, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Call { method, path: path.to_owned(), headers, body: body.into() }
    }
}

/// One outcome, encoded as a request or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The id of the outcome.
    pub id: String,
    /// The path that it goes to, where that is its own.
    pub path: String,
    /// The body, or its part of one.
    pub body: Vec<u8>,
    /// Whether it had to be shortened.
    pub cut: bool,
}

/// How many outcomes go in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// At most so many.
    pub items: usize,
    /// At most so many bytes of bodies. A longer one goes alone.
    pub bytes: usize,
    /// Which order the server must see.
    pub order: Order,
}

impl Batch {
    /// One outcome a request.
    pub const ONE: Batch = Batch { items: 1, bytes: usize::MAX, order: Order::OneByOne };
}

/// What one kind of server is told, and what its answers mean.
pub trait Api: Debug + Send + Sync + 'static {
    /// How many outcomes go in one request.
    fn batch(&self) -> Batch {
        Batch::ONE
    }

    /// Whether the server has a place for events.
    fn takes_events(&self) -> bool {
        true
    }

    /// Encodes an outcome.
    ///
    /// # Errors
    ///
    /// Why it can never be sent: it becomes a dead letter.
    fn part(&self, record: &Record<'_>) -> Result<Part, Said>;

    /// As [`Sink::sets`](crate::sinks::sink::Sink::sets).
    fn sets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The request for some outcomes, at least one.
    fn call(&self, parts: &[Part]) -> Call;

    /// The format of bodies.
    fn format(&self) -> Format {
        Format::Json
    }

    /// What is sent for an outcome, without headers and secrets.
    fn pieces(&self, part: &Part) -> Vec<Piece> {
        let call = self.call(std::slice::from_ref(part));
        vec![
            Piece::new(Format::Words, call.method.as_str()),
            Piece::new(Format::Path, call.path),
            Piece::new(self.format(), call.body),
        ]
    }

    /// What answers mean. What no row fits is looked up in [`STATUS`], and is [`Means::Later`] if it is not there either.
    fn answers(&self) -> &'static [Row];

    /// What an answer's body says in the terms of the API, to be compared with [`Row::body`]; empty if it is not of this
    /// API.
    fn says(&self, answer: &Answer) -> String;

    /// What became of each outcome, where the table says [`Means::Each`].
    ///
    /// # Errors
    ///
    /// If the answer does not say which outcomes it means.
    fn each(&self, _answer: &Answer, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        Ok(parts.iter().map(taken).collect())
    }

    /// The request that begins a session, where there are any.
    fn login(&self) -> Option<Call> {
        None
    }

    /// A request that changes nothing, and that a server refuses whose login is another one.
    fn greeting(&self) -> Option<Call> {
        None
    }

    /// The headers of a session, from the answer to [`Api::login`].
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn session(&self, _answer: &Answer) -> Result<HeaderMap, Said> {
        Ok(HeaderMap::new())
    }

    /// The number under which the server will acknowledge what it has taken, where it does.
    fn ticket(&self, _answer: &Answer) -> Option<u64> {
        None
    }

    /// The request that asks whether a ticket was acknowledged.
    fn ask(&self, _ticket: u64) -> Option<Call> {
        None
    }

    /// Whether the answer to it says so.
    fn acknowledged(&self, _answer: &Answer, _ticket: u64) -> bool {
        true
    }
}

/// The fate of an outcome that the server has.
pub fn taken(part: &Part) -> Fate {
    if part.cut { Fate::Cut } else { Fate::Taken }
}

/// What an answer means for the outcomes of its request. `server` names it in messages.
///
/// # Errors
///
/// What it means for the request as a whole.
pub fn judge(api: &dyn Api, server: &str, answer: &Answer, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
    let says = api.says(answer);
    let row = api.answers().iter().chain(STATUS).find(|row| row.fits(answer.status, &says));
    let said = || if says.is_empty() { answer.excerpt() } else { says.clone() };
    let reason = || {
        if answer.status.is_success() && !says.is_empty() {
            Said::new(&says)
        } else {
            format!("{server} answered {}: {}", answer.status, said()).into()
        }
    };
    let busy = || Trouble::Busy(reason(), answer.retry_after.unwrap_or(PAUSE));
    match row.map_or(Means::Later, |row| row.means) {
        Means::Taken => Ok(parts.iter().map(taken).collect()),
        Means::Each => api.each(answer, parts),
        // Of several it is not known which one is meant.
        Means::Stale | Means::Dead | Means::Later if parts.len() > 1 => Err(Trouble::Halve(reason())),
        Means::Stale => Ok(vec![Fate::Stale(reason())]),
        Means::Dead => Ok(vec![Fate::Dead(reason())]),
        Means::Later if answer.status.is_server_error() && answer.retry_after.is_some() => Err(busy()),
        Means::Later => Ok(vec![Fate::Later(reason())]),
        Means::Busy => Err(busy()),
        Means::TooLarge => Err(Trouble::Halve(reason())),
        Means::AuthFailed => Err(Trouble::Refused(reason(), "check user, password or token of this sink")),
        Means::Misconfigured => Err(Trouble::Refused(reason(), "check the keys of this sink")),
        Means::UnexpectedServer => Err(Trouble::Refused(reason(), "check the url of this sink")),
    }
}

/// `Authorization: Basic` for a user (RFC 7617).
pub fn basic(user: &str, password: &str) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            // Base64 has no character that a header cannot have.
            .unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
