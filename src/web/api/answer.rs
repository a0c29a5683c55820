//! What a route answers.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;
use hyper::body::{Body as HyperBody, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::role::Role;

/// Octets that come in pieces. After an error the connection is closed before its last chunk, so that nobody takes them for all.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of an answer.
pub enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// Pieces, as they come.
    Pieces(Pieces),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Body::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

impl HyperBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Pieces(pieces) => {
                pieces.as_mut().poll_next(context).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Pieces(_) => SizeHint::default(),
        }
    }
}

/// What a route answers.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Header fields; each has a name of its own.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Body,
    /// The name and the role of the token that somebody has logged in with, for the audit.
    pub login: Option<(String, Role)>,
}

impl Answer {
    /// An answer with a body of some type.
    pub fn of(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        let fields = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Answer { status, fields, body: Body::Whole(Some(body.into())), login: None }
    }

    /// JSON.
    pub fn json(value: &Value) -> Answer {
        Answer::of(StatusCode::OK, "application/json", format!("{value}\n"))
    }

    /// Plain text.
    pub fn text(status: StatusCode, text: String) -> Answer {
        Answer::of(status, "text/plain; charset=utf-8", text)
    }

    /// Nothing but that it was done.
    pub fn done() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, fields: Vec::new(), body: Body::Whole(None), login: None }
    }

    /// Pieces, as they come.
    pub fn pieces(content_type: &'static str, pieces: Pieces) -> Answer {
        let fields = vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Answer { status: StatusCode::OK, fields, body: Body::Pieces(pieces), login: None }
    }

    /// The same with a header field. A value that no field can have is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Answer {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.fields.push((name, value));
        }
        self
    }

    /// As hyper sends it.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        for (name, value) in self.fields {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
