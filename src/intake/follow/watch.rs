//! Waits until something happens to the files of a folder.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

/// How long to wait where the kernel does not say what happens.
const POLL: Duration = Duration::from_secs(1);
/// How long what follows is gathered.
const GATHER: Duration = Duration::from_millis(50);

/// The folder of a file.
pub(super) struct Watch(Option<AsyncFd<OwnedFd>>);

impl Watch {
    /// Watches the folder of a file. Where that is not possible, waiting ends each second.
    pub(super) fn of(path: &Path) -> Self {
        Watch(Self::watched(path).ok())
    }

    #[expect(deprecated, reason = "what replaces it is unsafe; an OwnedFd keeps its descriptor")]
    fn watched(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM;
        inotify.add_watch(parent.unwrap_or(Path::new(".")), what)?;
        AsyncFd::new(OwnedFd::from(inotify))
    }

    /// Waits until something happens, or for so long.
    pub(super) async fn wait(&mut self, most: Duration) {
        let Some(watched) = &self.0 else { return sleep(POLL.min(most)).await };
        let Ok(Ok(mut ready)) = timeout(most, watched.readable()).await else { return };
        sleep(GATHER).await;
        // What it was is seen by looking.
        let mut events = [0; 4096];
        while matches!(nix::unistd::read(watched.get_ref(), &mut events), Ok(1..)) {}
        ready.clear_ready();
    }
}
