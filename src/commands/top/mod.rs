//! `trapline top`: a screen of rates, drops, sinks, senders and unmatched messages.
//!
//! `figures` makes numbers of two looks at the daemon, `view` makes lines of them, `run` asks the daemon and draws.

mod figures;
pub mod run;
mod view;

pub use run::{TopArgs, run};
