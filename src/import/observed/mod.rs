//! Makes a rule from a message that was received: what the message says decides the names, and with MIBs the definition of
//! its notification does ([`mib`](super::mib)).
//!
//! A [`Draft`] is a rule without its expectations: whoever has the rules compiles it, applies it to the message, and writes
//! with [`Draft::with_test`] what came out.

mod draft;
mod line;
mod notification;
mod posted;

#[cfg(test)]
mod tests;

pub use draft::{Draft, Expected};
pub use line::{Span, line, line_with, suggested};
pub use notification::{notification, pairs};
pub use posted::posted;
