//! Whether who has opened a stream may still read it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ask::Ask;
use super::desk::Desk;
use super::tokens::Hash;

/// How long a token that has been judged is taken for good.
const JUDGED: Duration = Duration::from_secs(1);

/// The token, and the session by whose cookie a stream was opened.
#[derive(Debug)]
pub struct LetIn {
    desk: Arc<Desk>,
    token: Option<Hash>,
    session: Option<Hash>,
    /// Changes when a session is ended.
    ended: watch::Receiver<()>,
    /// When they are looked at again.
    judged: Instant,
}

impl LetIn {
    /// Who asks. It is judged at once, as a session may end while the stream is opened.
    pub fn new(ask: &Ask) -> LetIn {
        LetIn {
            desk: ask.desk.clone(),
            token: ask.caller.hash,
            session: ask.caller.session,
            ended: ask.desk.access.ended(),
            judged: Instant::now(),
        }
    }

    /// Whether token and session are in force: as of the last second, or of the end of a session.
    pub async fn holds(&mut self) -> bool {
        let Some(token) = self.token else { return true };
        if Instant::now() < self.judged {
            return true;
        }
        let now = self.desk.status.clock.now();
        self.desk.freshen(now).await;
        self.judged = Instant::now() + JUDGED;
        self.desk.access.is_in_force(&token, self.session.as_ref(), now)
    }

    /// Waits until a session ends: it may be this one.
    pub async fn ends(&mut self) {
        if self.ended.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.judged = Instant::now();
    }
}
