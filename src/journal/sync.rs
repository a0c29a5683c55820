//! The locks of [`visible`](super::visible).

pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) use tokio::sync::watch;
