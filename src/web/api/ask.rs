//! A request as routes get it: whoever asks has been judged.

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::upgrade::OnUpgrade;
use serde::de::DeserializeOwned;

pub use super::caller::Caller;
use super::desk::Desk;
use super::limits::Place;
use super::problem::Problem;
use crate::text::without_bom;
use crate::web::query::Query;

/// A request.
#[derive(Debug)]
pub struct Ask {
    /// What the daemon lets routes reach.
    pub desk: Arc<Desk>,
    /// Who asks.
    pub caller: Caller,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// The parameters of the path, decoded, in its order.
    pub path: Vec<String>,
    /// The parameters of the query.
    pub query: Query,
    /// The header fields.
    pub fields: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The connection, for a route that opens a WebSocket.
    pub upgrade: Option<OnUpgrade>,
    /// A place for what costs much; others get it when this is dropped.
    pub place: Option<Place>,
}

impl Ask {
    /// A header field; none if it is absent or no text.
    pub fn field(&self, name: HeaderName) -> Option<&str> {
        self.fields.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// 400 with the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(without_bom(&self.body))
            .map_err(|error| Problem::wrong(format!("the body is not what is asked for: {error}")))
    }

    /// The body as text.
    ///
    /// # Errors
    ///
    /// 400 if it is not UTF-8.
    pub fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(without_bom(&self.body)).map_err(|_| Problem::wrong("the body is not UTF-8"))
    }

    /// A number of the query, within bounds.
    ///
    /// # Errors
    ///
    /// 400 if it is none.
    pub fn number(&self, name: &str, absent: u64, most: u64) -> Result<u64, Problem> {
        let Some(text) = self.query.get(name) else { return Ok(absent) };
        text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            Problem::wrong(format!("{name}={} is no number from 1 to {most}", text.escape_debug()))
        })
    }

    /// A yes or no of the query: `1`, `true` or nothing behind its name for yes.
    ///
    /// # Errors
    ///
    /// 400 for another word: `dry_run=yes` must not change anything.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        flag(name, self.query.get(name))
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<bool, Problem> {
    match value {
        None | Some("0" | "false") => Ok(false),
        Some("" | "1" | "true") => Ok(true),
        Some(other) => Err(Problem::wrong(format!("{name}={}: write 1 or 0", other.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_said_in_words_that_are_known() {
        for (value, said) in [
            (None, false),
            (Some("0"), false),
            (Some("false"), false),
            (Some(""), true),
            (Some("1"), true),
            (Some("true"), true),
        ] {
            assert_eq!(flag("dry_run", value).unwrap(), said, "{value:?}");
        }
        for wrong in ["yes", "no", "True", "2", " 1", "on"] {
            assert_eq!(flag("dry_run", Some(wrong)).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }
}
