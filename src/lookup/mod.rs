//! Lookups: from what a message says of its origin to the name that the monitoring core uses for the host, and tables that rules
//! look things up in.

pub mod board;
pub mod choice;
pub mod copy;
pub mod csv;
pub mod fetch;
pub mod hosts;
pub mod load;
pub mod nagios;
pub mod names;
pub mod networks;
pub mod pointer;
pub mod read;
pub mod reverse;
pub mod rows;
pub mod server;
pub mod settings;
pub mod sqlite;
pub mod stream;
pub mod table;
pub mod tables;
pub mod zones;
