//! Items that are open, as the [`queue`](super::queue) knows them.

use super::key::Place;
use super::sink::{Item, Said};
use crate::time::clock::Mono;

/// An open item.
#[derive(Debug)]
pub(super) struct Open {
    /// The item.
    pub(super) item: Item,
    /// When it came.
    pub(super) since: Mono,
    /// The largest request that it may be part of.
    pub(super) most: usize,
    /// The same, until the server answers something.
    pub(super) guess: usize,
    /// How often it was sent.
    pub(super) sent: u32,
    /// Whether it was sent last without an answer, and how many answers to other requests there had been then.
    pub(super) unanswered: Option<u64>,
    pub(super) key: Place,
    pub(super) next: Place,
    pub(super) state: State,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum State {
    /// Not under way.
    Ready,
    /// Under way.
    Sending,
    /// The server has it, but an earlier one of its key is dead and not done.
    Held,
    /// The server will never take it; done when its dead letter is written.
    Dead(Said),
}

impl Open {
    /// The largest request that it may be part of now.
    pub(super) fn most(&self) -> usize {
        self.most.min(self.guess)
    }
}

/// An item that became a dead letter, until that letter is written.
#[derive(Debug, Clone)]
pub struct DeadItem {
    /// The item.
    pub item: Item,
    /// Why the server does not take it.
    pub reason: Said,
    pub(super) place: Place,
}
