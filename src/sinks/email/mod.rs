//! The email sink: outcomes as mail, one by one or many in one, to a server that takes mail for its recipients (RFC 5321).

mod lane;
mod mail;
mod reply;
mod session;
mod settings;

pub use mail::is_address;
pub use settings::KIND;
