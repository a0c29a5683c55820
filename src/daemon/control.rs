//! The socket in the journal directory on which the running daemon tells its state: one JSON document a
//! connection.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::status::Status;

/// Binds the socket; one that a process before has left is taken over.
///
/// # Errors
///
/// What the system says.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // The lock on the journal says that no other daemon uses this directory.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

/// Answers until told to stop.
pub async fn serve(listener: UnixListener, state: Arc<Status>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut stream, _)) = accepted else { continue };
                let answer = format!("{}\n", state.to_json());
                let _ = tokio::time::timeout(std::time::Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
            }
            _ = stop.changed() => return,
        }
    }
}
