//! Reads MIB modules from files, and keeps the compiled index on disk.

pub mod cache;
pub mod index_file;
pub mod modules;
pub mod shipped;

pub use cache::Held;
pub use modules::{Loaded, load};
