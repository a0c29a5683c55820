//! The nagios sink: passive check results for Nagios and its kin, through the command file ([`pipe`]), the check result
//! directory ([`spool`]), or the central of Centreon ([`centcore`]).

pub mod centcore;
pub mod format;
pub mod pipe;
mod results;
mod settings;
pub mod spool;

pub use settings::KIND;
