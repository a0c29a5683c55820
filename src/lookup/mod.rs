//! Lookups: from what a message says of its origin to the name that the monitoring core uses for the host.

pub mod choice;
pub mod hosts;
pub mod names;
pub mod networks;
pub mod read;
pub mod reverse;
pub mod zones;
