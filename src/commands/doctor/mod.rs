//! `trapline doctor`: what is wrong with Trapline on this machine, and what to do.
//!
//! Facts are gathered in [`run`]; what they mean is decided by pure functions, in the files beside it.

mod certificates;
mod finding;
pub mod machine;
mod ports;
mod probe;
mod run;
mod running;
pub mod sockets;

pub use run::{DoctorArgs, run};
