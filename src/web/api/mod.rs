//! The API under `/api`, described in `docs/api.md`.
//!
//! **To add a route:**
//!
//! 1. Write a function in a file of `web/api/routes/`. It takes an [`Ask`] (parameters of the path and the query, the body, who
//!    asks, and the [`Desk`] with what the daemon lets routes reach) and gives an [`Answer`] or a [`Problem`].
//! 2. Add a [`Route`] with it to the `ROUTES` of that file: method, path, the role that it needs, what it costs, and the words and the
//!    schema that the OpenAPI document has of it. A new file gets a line in `table.rs`.
//! 3. Add it to `docs/api.md`; a test compares that page with the table.
//!
//! Whoever asks has been judged before a route is called: token or cookie, role, host, origin, limits (`serve.rs`). A function
//! that waits for a lock, the disk or a database is [`Does::Blocking`]; it runs on a thread of its own.
//!
//! What needs the daemon (a reload, mutes, rules that are compiled) goes through traits of the [`Desk`], which the daemon implements,
//! as this module knows neither configuration nor daemon.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod access;
pub mod answer;
pub mod ask;
pub mod asked;
pub mod audit;
pub mod caller;
pub mod desk;
pub mod kinds;
mod let_in;
pub mod limits;
pub mod messages;
pub mod openapi;
pub mod origin;
mod past;
pub mod problem;
pub mod role;
pub mod route;
mod routes;
pub mod schema;
pub mod serve;
pub mod sessions;
pub mod streams;
pub mod table;
pub mod tokens;

pub use answer::{Answer, Body};
pub use ask::Ask;
pub use desk::Desk;
pub use problem::{Mistake, Problem};
pub use role::Role;
pub use route::{Cost, Does, Method, Param, Route};
