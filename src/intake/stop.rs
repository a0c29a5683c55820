//! How the threads and tasks of one listener are told to stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::watch;
use tokio::time::sleep;

/// Tells the threads and tasks of one listener to stop, and wakes those that wait for input.
#[derive(Debug)]
pub(super) struct Stop {
    told: watch::Sender<bool>,
    /// Readable from the moment on that it is told; nobody reads it, so that it wakes every thread that polls it.
    wake: EventFd,
}

impl Stop {
    /// One that is not told yet.
    ///
    /// # Errors
    ///
    /// If no descriptor is left.
    pub(super) fn new() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Stop { told: watch::channel(false).0, wake })
    }

    /// Tells them. They stop reading as soon as they have taken what waits for them.
    pub(super) fn tell(&self) {
        self.told.send_replace(true);
        // Adding to a counter of 64 bits fails only when it is full: then it is readable already.
        let _ = self.wake.write(1);
    }

    /// Whether they are told.
    pub(super) fn told(&self) -> bool {
        *self.told.borrow()
    }

    /// The same for tasks.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.told.subscribe()
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Returns so long after the listener was told to stop.
pub(super) async fn told_for(stop: &mut watch::Receiver<bool>, long: Duration) {
    told(stop).await;
    sleep(long).await;
}

/// Returns once the listener is told to stop.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    // The sender is gone only when its listener is.
    let _ = stop.wait_for(|told| *told).await;
}
