//! What the user can do where a server cannot be reached or does not answer.

use std::fmt::Display;

use crate::reach::{Failure, Stage};
use crate::sinks::sink::{Hint, Said, Trouble};

/// What to do, by what has failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hints {
    /// There is no connection.
    pub(super) running: Hint,
    /// There is no TLS on it.
    pub(super) certificates: Hint,
    /// There is no answer.
    pub(super) log: Hint,
}

/// What to do about TLS that does not begin, where a sink has all keys for it.
pub(super) const CERTIFICATES: Hint =
    "check ca_file, fingerprint, server_name, cert_file and key_file of this sink";

impl Hints {
    /// What a failure means: without a connection, nothing was sent.
    pub(super) fn trouble(&self, failure: &Failure, server: &dyn Display) -> Trouble {
        match failure.stage() {
            Stage::Resolve | Stage::Connect | Stage::Tls => {
                Trouble::Away(failure.said(server).into(), self.of(failure))
            }
            Stage::Answer => self.unanswered(failure, server),
        }
    }

    /// What it means where one patience is for all: that of a server that does not answer.
    pub(super) fn unanswered(&self, failure: &Failure, server: &dyn Display) -> Trouble {
        Trouble::Unanswered(Said::from(failure.said(server)), self.of(failure))
    }

    /// What to do about a failure.
    pub(super) fn of(&self, failure: &Failure) -> Hint {
        match failure.stage() {
            Stage::Resolve | Stage::Connect => self.running,
            Stage::Tls => self.certificates,
            Stage::Answer => self.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_failed_says_what_to_look_at_and_whether_anything_was_sent() {
        const HINTS: Hints = Hints { running: "run", certificates: "trust", log: "read" };
        for (stage, hint, sent) in [
            (Stage::Resolve, "run", false),
            (Stage::Connect, "run", false),
            (Stage::Tls, "trust", false),
            (Stage::Answer, "read", true),
        ] {
            let failure = Failure::late(stage, Duration::from_secs(30));
            let said = Said::from(failure.said(&"S"));
            let away = Trouble::Away(said.clone(), hint);
            let unanswered = Trouble::Unanswered(said, hint);
            assert_eq!(HINTS.unanswered(&failure, &"S"), unanswered);
            assert_eq!(HINTS.trouble(&failure, &"S"), if sent { unanswered } else { away });
        }
    }
}
