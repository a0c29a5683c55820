//! What is posted over HTTP, without I/O: bodies of requests to messages.
//!
//! [`checkin`] reads what a service says of itself, [`events`] takes events of other programs apart, [`form`] the forms that browsers and curl send, [`kept`] is how such a message
//! is kept and shown.

pub mod checkin;
pub mod events;
pub mod form;
pub mod kept;
