//! Lines of files, and entries of systemd's journal, as lines of syslog. Where reading goes on after a restart is kept in the state
//! directory, written after the outcomes of what was read are in the journal.
//!
//! `reader` reads one file, `file` knows which files have the name that is followed: those that were renamed, as `names` tells, and the one
//! that is new.
//! `journald` runs journalctl. `run` is a task for each on one thread.

#![cfg_attr(
    not(test),
    allow(clippy::disallowed_methods, reason = "a thread of its own, which nothing else runs on")
)]

pub mod board;
mod entry;
mod feed;
mod file;
mod journald;
mod names;
mod place;
mod reader;
pub mod run;
pub mod settings;
mod store;
mod watch;

#[cfg(test)]
mod file_tests;
