//! What mutes keep on disk, and what of it counts no more after a start. Pure.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::intake::mute::{Ordered, endpoint};
use crate::journal::Point;
use crate::outcome::{Record, codec};

/// What is kept on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    pub(super) last_id: u64,
    pub(super) mutes: Vec<Ordered>,
    pub(super) words: Vec<KeptWord>,
}

/// The last outcome of a service that was muted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptWord {
    payload: String,
    pub(super) sinks: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Point>,
}

impl KeptWord {
    pub(super) fn new(payload: &[u8], sinks: &str, since: Option<Point>) -> Self {
        KeptWord { payload: HEXLOWER.encode(payload), sinks: sinks.to_owned(), since }
    }

    /// The outcome; none if somebody has changed the file.
    pub(super) fn payload(&self) -> Option<Vec<u8>> {
        HEXLOWER.decode(self.payload.as_bytes()).ok()
    }
}

/// What the journal has of the services whose last outcome is kept, since that was withheld. The file may be older than the
/// journal, as a full disk lets nobody replace it: then the journal may have newer outcomes, which are not muted.
#[derive(Debug)]
pub struct Newer {
    /// By service, from which number on, and whether the last one from there on is not withheld.
    services: HashMap<String, (u64, bool)>,
}

impl Newer {
    /// Nothing is known of the journal. `resumes` says from which number on it goes on after a point.
    pub fn new(kept: &Kept, resumes: impl Fn(Point) -> u64) -> Self {
        let service = |word: &KeptWord| {
            let payload = word.payload()?;
            Some((endpoint(&codec::decode(&payload)?), (resumes(word.since?), false)))
        };
        Newer { services: kept.words.iter().filter_map(service).collect() }
    }

    /// From which number on the journal is to be read; none if it need not be.
    pub fn first(&self) -> Option<u64> {
        self.services.values().map(|(from, _)| *from).min()
    }

    /// The journal has this record. They come in their order.
    pub fn add(&mut self, record: &Record<'_>, encoded: &[u8]) {
        if let Some((from, newer)) = self.services.get_mut(&endpoint(&record.outcome))
            && *from <= record.sequence
        {
            *newer = codec::mute_of(encoded).is_none_or(|mute| mute.last);
        }
    }

    /// Forgets what newer outcomes have taken the place of; of how many services.
    pub fn forget(&self, kept: &mut Kept) -> usize {
        let before = kept.words.len();
        let is_overtaken = |word: &KeptWord| {
            let payload = word.payload()?;
            self.services.get(&endpoint(&codec::decode(&payload)?)).map(|(_, newer)| *newer)
        };
        kept.words.retain(|word| !is_overtaken(word).unwrap_or(false));
        before - kept.words.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Outcome;
    use crate::sinks::testing::check;

    const SINCE: u64 = 10;

    #[derive(Debug, Clone, Copy)]
    enum Said {
        Plain,
        Withheld,
        Last,
    }

    fn payload(host: &str, said: Said) -> Vec<u8> {
        let mut payload = Vec::new();
        codec::encode(&Outcome::CheckResult(check(host, None, "x")), &mut payload);
        match said {
            Said::Plain => payload,
            Said::Withheld => codec::muted(&payload, "*", false),
            Said::Last => codec::muted(&payload, "*", true),
        }
    }

    /// Whether what is withheld of a host counts after a start whose journal has these records.
    fn counts(since: Option<u64>, journal: &[(u64, &str, Said)]) -> bool {
        let point = |next| Point { epoch: 1, next };
        let word = KeptWord::new(&payload("h", Said::Plain), "*", since.map(point));
        let mut kept = Kept { words: vec![word], ..Kept::default() };
        let mut newer = Newer::new(&kept, |point| point.next);
        for (sequence, host, said) in journal {
            let encoded = payload(host, *said);
            let outcome = codec::decode(&encoded).unwrap();
            newer.add(&Record { epoch: 1, sequence: *sequence, outcome }, &encoded);
        }
        newer.forget(&mut kept) == 0
    }

    #[test]
    fn what_is_withheld_counts_unless_the_journal_has_something_newer() {
        use Said::{Last, Plain, Withheld};
        type Case<'c> = (&'c [(u64, &'c str, Said)], bool);
        let cases: [Case<'_>; 9] = [
            (&[], true),
            (&[(9, "h", Plain)], true),
            (&[(9, "h", Plain), (10, "h", Withheld)], true),
            (&[(10, "h", Plain)], false),
            (&[(10, "h", Withheld), (11, "h", Plain)], false),
            (&[(10, "h", Withheld), (11, "h", Last)], false),
            // An older one that waited for the journal.
            (&[(10, "h", Plain), (11, "h", Withheld)], true),
            (&[(10, "h", Withheld), (11, "other", Plain)], true),
            (&[(10, "h", Withheld), (11, "h", Plain), (12, "h", Withheld)], true),
        ];
        for (journal, expected) in cases {
            assert_eq!(counts(Some(SINCE), journal), expected, "{journal:?}");
            assert!(counts(None, journal), "an earlier release has not kept since when");
        }
    }
}
