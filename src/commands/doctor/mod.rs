//! `trapline doctor`: what is wrong with Trapline on this machine, and what to do.
//!
//! Facts are gathered in `run` and `facts`; what they mean is decided by pure functions, in the files beside it.

mod certificates;
mod facts;
mod finding;
mod here;
pub mod machine;
mod ports;
mod probe;
mod run;
mod running;
pub mod sockets;

pub use here::obstacles;
pub use run::{DoctorArgs, run};
