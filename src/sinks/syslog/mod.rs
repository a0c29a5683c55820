//! The syslog sink: outcomes as syslog messages for a SIEM or a log server, over TCP or RELP.

mod form;
mod lane;
mod settings;

pub use settings::KIND;
