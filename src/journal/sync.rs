//! What [`visible`](super::visible) locks and waits with.

pub(super) use std::sync::atomic::AtomicU64;
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) use tokio::sync::Notify;
