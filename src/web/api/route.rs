//! A route as data: the server, the checks of roles, the OpenAPI document and the tests read the same table.

use std::fmt;
use std::pin::Pin;

use serde_json::Value;

use super::answer::Answer;
use super::ask::Ask;
pub use super::kinds::{Cost, Method};
use super::problem::Problem;
use super::role::Role;
use super::schema;

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub says: &'static str,
}

/// An answer that comes later.
pub type Answering = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// The function of a route.
#[derive(Clone, Copy)]
pub enum Does {
    /// It waits for nothing.
    Now(fn(&Ask) -> Result<Answer, Problem>),
    /// It waits for a lock, the disk or a database.
    Blocking(fn(&Ask) -> Result<Answer, Problem>),
    /// It waits for others.
    Later(fn(Ask) -> Answering),
}

impl fmt::Debug for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Does::Now(_) => "Now",
            Does::Blocking(_) => "Blocking",
            Does::Later(_) => "Later",
        })
    }
}

/// What an answer has.
#[derive(Debug, Clone, Copy)]
pub enum Gives {
    /// JSON of a schema.
    Json(fn() -> Value),
    /// Something else, by its type.
    Other(&'static str),
    /// Nothing.
    Nothing,
}

/// A route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{name}` stands for one part of it.
    pub path: &'static str,
    /// What somebody must be to ask.
    pub role: Role,
    /// Whether this machine may ask without a token.
    pub local: bool,
    /// Whether it opens a WebSocket.
    pub opens: bool,
    /// What it costs.
    pub cost: Cost,
    /// What it does, in a sentence.
    pub says: &'static str,
    /// What the query may have. Other parameters are refused.
    pub query: &'static [Param],
    /// The schema of the body; none if there is none.
    pub body: Option<fn() -> Value>,
    /// The type of the body.
    pub takes: &'static str,
    /// What is answered.
    pub gives: Gives,
    /// The function.
    pub does: Does,
}

impl Route {
    /// A route that reads, to be changed where it differs: `Route { query: FILTER, ..Route::get("/api/v1/x", "What it gives", does) }`.
    pub const fn get(path: &'static str, says: &'static str, does: Does) -> Route {
        Route {
            method: Method::Get,
            path,
            role: Role::Read,
            local: false,
            opens: false,
            cost: Cost::Small,
            says,
            query: &[],
            body: None,
            takes: "application/json",
            gives: Gives::Json(schema::object),
            does,
        }
    }

    /// A route that changes something.
    pub const fn change(method: Method, path: &'static str, says: &'static str, does: Does) -> Route {
        Route { method, role: Role::Operate, ..Route::get(path, says, does) }
    }

    /// The parameters of a path, still encoded; none if it is not of this route.
    pub fn matches<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut found = Vec::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(found),
                (Some(part), Some(text)) if part.starts_with('{') => {
                    if text.is_empty() {
                        return None;
                    }
                    found.push(text);
                }
                (Some(part), Some(text)) if part == text => {}
                _ => return None,
            }
        }
    }
}
