//! Listeners, and the way of a message from the socket to the journal.
//!
//! A [`listener::Listener`] is a protocol over a transport. [`bind`] gives it sockets, [`serve`] starts it. Datagrams
//! (`datagrams.rs`) are taken in batches by a thread per socket, streams (`streams.rs`) by one task each. Both run the
//! [`pipeline`] on every message and commit each batch to the journal in one append; only then are informs answered.
//! [`http`] answers requests by HTTP in the same way. [`reports`] limits what senders of SNMPv3 are told before they have proven who they are, [`refused`] counts what was
//! refused by source, [`senders`] who sends and what would let the others in ([`letting_in`]), [`tap`] shows messages to people who look on.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod admission;
pub mod amqp;
pub mod bind;
pub mod board;
mod budget;
pub mod commit;
mod complaints;
mod conversation;
pub mod correlation;
mod counts;
mod datagrams;
pub mod describe;
mod file_socket;
pub mod follow;
pub mod forward;
pub mod http;
mod incoming;
pub mod informs;
pub mod letting_in;
pub mod line;
pub mod listener;
pub mod made;
mod made_nothing;
pub mod mute;
pub mod mutes;
pub mod mutes_kept;
mod original;
mod packets;
pub mod pipeline;
mod posts;
pub mod refused;
pub mod relays;
pub mod reports;
pub mod senders;
pub mod serve;
pub mod settings;
mod settling;
pub mod shared;
mod state_found;
mod state_log;
pub mod state_view;
pub mod stats;
mod stop;
pub mod storm;
mod storm_buckets;
mod storm_gate;
mod storm_kinds;
pub mod storms;
mod stream_end;
pub mod streams;
mod taken;
pub mod tap;
pub mod tls;
pub mod undecided;
pub mod untold;
pub mod waiting;
mod waits;

pub use shared::{Active, Shared};

#[cfg(test)]
mod conformance_tests;
