//! What was posted over HTTP.

use crate::body::{Bodies, Body, Form};

/// What was posted over HTTP: a check-in, or an event in JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted<'a> {
    /// What it is.
    pub what: PostedWhat<'a>,
    /// The service that checks in; of an event the name of its `[[intake.json]]`.
    pub name: &'a str,
    /// The host that the configuration names, or the field that it names.
    pub host: Option<&'a str>,
    /// All fields as JSON.
    pub text: &'a str,
    /// The same, as far as somebody has asked for it.
    pub bodies: Bodies,
}

/// What was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostedWhat<'a> {
    /// A service says how it is.
    CheckIn {
        /// How it is.
        status: Status,
        /// What it says.
        info: &'a str,
    },
    /// An event.
    Json,
}

/// The kinds of what is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PostKind {
    /// Check-ins.
    CheckIn,
    /// Events.
    Json,
}

impl PostKind {
    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            PostKind::CheckIn => "checkin",
            PostKind::Json => "json",
        }
    }
}

impl Posted<'_> {
    /// What it is.
    pub fn kind(&self) -> PostKind {
        match self.what {
            PostedWhat::CheckIn { .. } => PostKind::CheckIn,
            PostedWhat::Json => PostKind::Json,
        }
    }

    /// The fields; none if they are no object or array.
    pub fn body(&self) -> Option<&Body> {
        self.bodies.open(Form::Json, self.text)
    }
}

/// How a service says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is well.
    Ok,
    /// It needs attention.
    Warning,
    /// It does not work.
    Critical,
    /// Nobody knows.
    Unknown,
}

impl Status {
    /// All of them, by the exit status of plugins.
    pub const ALL: [Status; 4] = [Status::Ok, Status::Warning, Status::Critical, Status::Unknown];

    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Critical => "critical",
            Status::Unknown => "unknown",
        }
    }

    /// The status of a word in any case, or of the exit status of a plugin.
    pub fn from_word(word: &str) -> Option<Self> {
        let number = word.parse::<usize>().ok().filter(|_| word.len() == 1);
        let named = || Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word));
        number.and_then(|number| Self::ALL.get(number).copied()).or_else(named)
    }
}
