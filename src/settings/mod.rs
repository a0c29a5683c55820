//! Settings: TOML files read key by key with the position of every value, diagnostics with hints, and the kinds of values
//! that several modules read: secrets, TLS, URLs, sizes, networks; the files and folders that they name.

pub mod address;
pub mod certificate;
pub(crate) mod clear;
pub mod diagnostic;
pub mod folder;
pub mod input;
pub mod secret;
pub mod section;
mod statements;
pub mod tls;
pub mod tls_errors;
pub mod tls_keys;
pub mod tls_server;
mod toml_errors;
pub mod url;
pub mod values;
