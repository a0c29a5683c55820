//! How messages and outcomes are named: `uid12a` is the first outcome of message 12. The name stands in every output, so that
//! whoever sees it knows what it is, however it is encoded.

use std::fmt;

/// An outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// The message.
    pub uid: u64,
    /// Which of its outcomes: `a` for the check result, `b` for the event.
    pub part: char,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid{}{}", self.uid, self.part)
    }
}

/// The outcomes that a text names, in its order, each once.
pub fn named_in(text: &[u8]) -> Vec<Outcome> {
    let mut found: Vec<Outcome> = Vec::new();
    for at in memchr::memmem::find_iter(text, "uid") {
        let at = at + 3;
        let digits = text[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let Some(part) = text.get(at + digits).filter(|_| digits > 0) else { continue };
        let uid = text[at..at + digits].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        let outcome = Outcome { uid, part: char::from(*part) };
        if matches!(part, b'a' | b'b') && !found.contains(&outcome) {
            found.push(outcome);
        }
    }
    found
}

/// A message on its way to the daemon.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number.
    pub uid: u64,
    /// Which host.
    pub host: u64,
    /// Which service of it.
    pub service: u64,
    /// The state, 0 to 3.
    pub state: u64,
    /// What the rules make of it.
    pub makes: Makes,
}

/// What the rules make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    /// A check result.
    Check,
    /// A check result and an event.
    Both,
    /// A check result, or nothing: that depends on what was before it.
    State,
    /// Nothing, on purpose.
    Dropped,
    /// Nothing, as no rule takes it.
    Unmatched,
}

impl Makes {
    /// How many outcomes.
    pub fn count(self) -> u64 {
        match self {
            Makes::Check | Makes::State => 1,
            Makes::Both => 2,
            Makes::Dropped | Makes::Unmatched => 0,
        }
    }

    /// The word by which the rules tell it.
    pub fn word(self) -> &'static str {
        match self {
            Makes::Check | Makes::State => "check",
            Makes::Both => "both",
            Makes::Dropped => "drop",
            Makes::Unmatched => "other",
        }
    }
}
