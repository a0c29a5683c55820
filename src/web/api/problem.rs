//! Why a request is not answered as it was meant: RFC 9457, `application/problem+json`.

use hyper::StatusCode;
use hyper::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};

/// The type of the body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A mistake at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, or the name of what was sent.
    pub file: String,
    /// Line and column from 1.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether it is only a warning.
    pub is_warning: bool,
}

impl Mistake {
    /// The same as JSON: file, line, column, message, hint, severity.
    pub fn to_json(&self) -> Value {
        let (line, column) = self.place.unzip();
        let severity = if self.is_warning { "warning" } else { "error" };
        json!({ "file": self.file, "line": line, "column": column, "message": self.message, "hint": self.hint, "severity": severity })
    }
}

impl From<&Diagnostic> for Mistake {
    fn from(diagnostic: &Diagnostic) -> Self {
        Mistake {
            file: diagnostic.file.clone(),
            place: diagnostic.place,
            message: diagnostic.message.clone(),
            hint: diagnostic.hint.clone(),
            is_warning: diagnostic.severity == Severity::Warning,
        }
    }
}

/// Why a request is not answered as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What is wrong and what to do, in a sentence.
    pub detail: String,
    /// Mistakes in what was sent, with their places.
    pub errors: Vec<Mistake>,
    /// After how many seconds to try again.
    pub retry_after: Option<u64>,
    /// The methods that there are, for 405.
    pub allow: Option<String>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), errors: Vec::new(), retry_after: None, allow: None }
    }

    /// The request says something that cannot be meant (400).
    pub fn wrong(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is nothing of this name (404).
    pub fn absent(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// The daemon cannot answer now (503).
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem { retry_after: Some(1), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// What was sent is understood and refused (422), with all that is wrong in it.
    pub fn refused(detail: impl Into<String>, found: &Diagnostics) -> Problem {
        let errors = found.clone().sorted().iter().map(Mistake::from).collect();
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// The body.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Problem"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.errors.is_empty() {
            json["errors"] = self.errors.iter().map(Mistake::to_json).collect();
        }
        json
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Answer {
        let mut answer = Answer::of(problem.status, CONTENT_TYPE, format!("{}\n", problem.to_json()));
        if let Some(seconds) = problem.retry_after {
            answer = answer.with(RETRY_AFTER, &seconds.to_string());
        }
        if let Some(allow) = &problem.allow {
            answer = answer.with(ALLOW, allow);
        }
        if problem.status == StatusCode::UNAUTHORIZED {
            answer = answer.with(WWW_AUTHENTICATE, "Bearer realm=\"trapline\"");
        }
        answer
    }
}
