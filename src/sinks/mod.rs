//! Sinks: each delivers the outcomes of the journal to one place, at its own pace, with its own cursor.
//!
//! [`sink`] has the traits, [`registry`] the types, [`settings`] what their keys share. Each type has a file or folder with
//! its keys, its encoding, its response table and its preview; [`http`], [`amqp`], [`fields`] and [`plugin_output`] are what
//! several of them use.

pub mod alignak;
pub mod amqp;
pub mod canopsis;
pub mod dead;
pub mod fields;
pub mod file;
pub mod http;
pub mod icinga2;
pub mod machine;
pub mod nagios;
pub mod nrdp;
pub mod nsca;
pub mod plugin_output;
mod queue;
pub mod registry;
pub mod settings;
pub mod sink;
pub mod splunk;
pub mod stats;
#[cfg(test)]
pub(crate) mod testing;
mod tracker;
pub mod webhook;

mod delivery;

pub use delivery::{Running, deliver};
