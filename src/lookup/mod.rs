//! Lookups: from an address or a host name to the name that the monitoring core uses.

pub mod hosts;
pub mod read;
