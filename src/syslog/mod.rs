//! The syslog protocol without I/O: lines (RFC 3164, RFC 5424), stream framing (RFC 6587), RELP and what TCP Wrappers
//! write; what differs between messages of one kind ([`mod@pieces`]).

pub mod framing;
mod header;
mod keyed;
mod moment;
pub mod names;
pub mod parse;
pub mod pieces;
pub mod relp;
pub mod relp_server;
mod rfc5424;
mod security;
mod security_accounts;
mod security_net;
mod security_parts;
mod security_sshd;
mod stamp;
mod tag;
mod wrapper_forms;
pub mod wrappers;

pub use framing::Framer;
pub use names::{FACILITIES, SEVERITIES, number_of};
pub use parse::{parse_line, parse_line_in};
