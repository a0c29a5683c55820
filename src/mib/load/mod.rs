//! Reads MIB modules from files, and keeps the compiled index on disk.

pub mod cache;
pub mod compiled;
pub mod files;
pub mod index_file;
pub mod loaded;
pub mod modules;
mod own;
pub mod shipped;

pub use cache::Held;
pub use files::{ModuleFile, module_files};
pub use loaded::Loaded;
pub use modules::load;
pub use own::{own_folder, with_own};

/// The shipped modules, read once for all tests.
#[cfg(test)]
pub(crate) fn shipped_once() -> std::sync::Arc<super::index::Mib> {
    static MIB: std::sync::OnceLock<std::sync::Arc<super::index::Mib>> = std::sync::OnceLock::new();
    MIB.get_or_init(|| std::sync::Arc::new(load(&[]).mib)).clone()
}
