//! The daemon: it assembles itself from a configuration, reloads it, supervises its threads and tasks, and drains at the
//! end.
//!
//! [`run`] is its life. [`assembly`] holds what runs; [`plan`] decides what a configuration changes, [`listeners`] and
//! [`sinks`] do what can fail beforehand. [`reload`] is asked by [`signals`] and the [`control`] socket. [`supervise`] has
//! the threads and tasks, [`slots`] those of the sinks.

pub mod assembly;
pub mod awaited;
mod capture;
mod console_rules;
pub mod control;
mod desk;
pub mod drain;
mod feed;
pub mod helpers;
mod history;
mod inbox;
pub mod listeners;
pub mod log;
mod lookups;
pub mod mib_subprocess;
mod minutes;
pub mod mutes;
pub mod needs;
pub mod own_service;
pub mod plan;
pub mod reload;
mod replies;
mod reports;
pub mod reverse;
pub mod run;
pub mod senders;
pub mod signals;
pub mod sinks;
pub mod slots;
pub mod storms;
pub mod supervise;
pub mod sync;
pub mod systemd;
pub mod timers;
