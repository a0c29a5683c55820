//! The nsca sink: check results for the NSCA daemon, protocol version 3.

mod cipher;
mod lane;
#[cfg(test)]
mod lane_tests;
mod packet;
mod settings;

pub use cipher::Method;
pub use settings::KIND;
