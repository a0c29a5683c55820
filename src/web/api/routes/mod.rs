//! The routes, by what they are about.

pub(super) mod daemon;
pub(super) mod problems;
