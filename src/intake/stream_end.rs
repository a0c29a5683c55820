//! How streams end, and how far what they have brought was given.

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its sender has closed it.
    Closed,
    /// It broke, or its messages cannot be told apart.
    Lost,
    /// It was silent for too long.
    Silent,
    /// Another stream has got its place.
    Displaced,
    /// The listener was told to stop.
    Stopped,
}

/// What was given of what has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// All whole messages.
    All,
    /// What the journal has taken; there may be more.
    Some,
    /// All, and nothing follows.
    Closed,
    /// All that can be told apart.
    Broken,
}
