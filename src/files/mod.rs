//! Every file of the state directory: private files that no link redirects, atomic replacement, append-only files that a
//! crash cannot spoil, locks between processes, lines into pipes. And the files that users name for what commands write: [`named`].
//!
//! A [`Folder`] is an open directory; all names are relative to it. An [`AppendLog`] is a file that entries are appended
//! to. The journal has files of its own form, on the same `disk`, which tests replace by one that fails as disks fail:
//! `faulty`. A simulation mounts that in the place of a directory (`mount`, with the feature `simulation`).

pub mod append_log;
pub(crate) mod disk;
pub mod entries;
#[cfg(any(test, feature = "simulation"))]
pub mod faulty;
pub mod folder;
mod frame;
mod holder;
pub mod lock;
#[cfg(any(test, feature = "simulation"))]
pub mod mount;
pub mod named;
mod pinned;
pub mod pipe;
mod room;
pub(crate) mod system;

pub use append_log::AppendLog;
pub use folder::Folder;
pub use pinned::PinnedFile;
pub use room::{RAISE_LIMIT, is_without_room};

#[cfg(test)]
pub(crate) mod only_here_tests;
