//! Files of the state directory: locks, and the few operations that the journal asks of a file system.

pub mod disk;
#[cfg(test)]
pub mod faulty;
pub mod lock;
