//! What came in, decoded: a [`Notification`] (trap or inform), a [`SyslogLine`] or what was [`Posted`] over HTTP, and where it came
//! from.
//!
//! Messages borrow from the received bytes, so that decoding one costs no copy of its strings.

mod decoded;
mod posted;

pub use crate::oid::Oid;
pub use decoded::{
    Message, Notification, NotificationKind, Security, SecurityAction, SecurityLevel, SecurityLine, Source,
    StructuredElement, SyslogClock, SyslogLine, TlsSender, Value, Varbind, Version, WrapperAction,
    WrapperLine,
};
pub use posted::{PostKind, Posted, PostedWhat, Status};
