//! The subcommands, one file each. A command returns whether what was asked held.

mod against;
pub mod args;
pub mod check;
pub mod cli;
pub mod completions;
mod daemon;
pub mod dead;
mod decoded;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod import;
pub mod init;
mod junit;
pub mod man;
mod messages;
pub mod mib;
pub mod mute;
pub mod reload;
pub mod rule;
mod rule_file;
mod rule_new;
pub mod run;
pub mod send;
pub mod senders;
pub mod sinks;
pub mod state;
mod state_query;
pub mod status;
pub mod tap;
pub mod test;
pub mod unmatched;

pub use cli::Cli;
