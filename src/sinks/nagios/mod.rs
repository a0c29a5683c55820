//! The nagios sink: passive check results for Nagios and its kin, through the command file ([`pipe`]) or the check result
//! directory ([`spool`]).

pub mod format;
pub mod pipe;
mod settings;
pub mod spool;

pub use settings::KIND;
