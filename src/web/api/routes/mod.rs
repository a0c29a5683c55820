//! The routes, by what they are about.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub(super) mod access;
pub(super) mod checkins;
pub(super) mod daemon;
pub(super) mod export;
pub(super) mod grafana;
pub(super) mod letters;
pub(super) mod mibs;
pub(super) mod outcomes;
pub(super) mod problems;
pub(super) mod replay;
pub(super) mod rules;
pub(super) mod senders;
pub(super) mod streams;
