//! `trapline send`: test messages, one or a load of them.

mod args;
mod checkin;
mod inform;
mod notification;
mod run;
mod security;
mod target;
mod wire;

pub use args::SendArgs;
pub use run::run;
