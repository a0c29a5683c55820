//! The configuration file: typed, defaulted, every mistake with its file, line and column. Each module reads its own
//! section; this one combines them and checks what spans two modules.
//!
//! Relative paths in the file are relative to the folder that the file is in.

#[expect(clippy::module_inception, reason = "it holds the type Config")]
pub mod config;
pub mod file;
pub mod loaded;
pub mod log;
mod mutes;
mod ports;
pub mod sinks;

pub use config::Config;

#[cfg(test)]
mod misspelt_tests;
#[cfg(test)]
mod tests;
