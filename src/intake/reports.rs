//! How many Reports a source may be sent, so that nobody can turn them on a third party.
//!
//! A source that has proven nothing gets no more bytes than came from it, but for `FIRST` once: the shortest Report
//! of RFC 3414 is longer than the shortest question for an engine id, and without an answer no inform can be sent.

use std::collections::HashMap;
use std::net::IpAddr;

/// Bytes that a source may get beyond what it sent: half a dozen answers.
const FIRST: i64 = 512;
/// The most that a source can save up, in bytes; what one that has proven itself has.
const MOST: i64 = 8192;
/// Reports a second to one source, proven or not.
const PER_SECOND: u32 = 200;
/// How many sources are told apart.
const MAX_SOURCES: usize = 10_000;

/// The accounts of sources.
#[derive(Debug, Default)]
pub struct Reports {
    accounts: HashMap<IpAddr, Account>,
}

#[derive(Debug)]
struct Account {
    bytes: i64,
    second: u64,
    in_second: u32,
}

impl Reports {
    /// Whether a Report of `out` bytes may answer a message of `came` bytes that was not proven. `now` is in seconds.
    pub fn may_answer(&mut self, to: IpAddr, came: usize, out: usize, now: u64) -> bool {
        let account = self.account(to);
        account.bytes = (account.bytes + came as i64).min(MOST);
        if account.bytes < out as i64 || !account.in_turn(now) {
            return false;
        }
        account.bytes -= out as i64;
        true
    }

    /// Whether a message that was proven may be answered by a Report; its source may be trusted for a while.
    pub fn may_answer_proven(&mut self, to: IpAddr, now: u64) -> bool {
        self.proven(to);
        self.account(to).in_turn(now)
    }

    /// A message of this source was proven: it is where it says that it is, as far as anybody can tell.
    pub fn proven(&mut self, source: IpAddr) {
        self.account(source).bytes = MOST;
    }

    fn account(&mut self, source: IpAddr) -> &mut Account {
        if self.accounts.len() >= MAX_SOURCES && !self.accounts.contains_key(&source) {
            self.accounts.clear();
        }
        self.accounts.entry(source).or_insert(Account { bytes: FIRST, second: 0, in_second: 0 })
    }
}

impl Account {
    fn in_turn(&mut self, now: u64) -> bool {
        if self.second != now {
            (self.second, self.in_second) = (now, 0);
        }
        self.in_second += 1;
        self.in_second <= PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_out_than_in() {
        let mut reports = Reports::default();
        let victim: IpAddr = "192.0.2.1".parse().unwrap();
        let (came, out) = (60, 105);
        let sent = (0..10_000).filter(|n| reports.may_answer(victim, came, out, n / 100)).count();
        assert!(sent * out <= 10_000 * came + FIRST as usize, "{sent}");
        assert!(sent > 5_000, "senders that ask again are answered: {sent}");
        // Another source is not the worse for it.
        assert!(reports.may_answer("192.0.2.2".parse().unwrap(), came, out, 0));
    }

    #[test]
    fn the_proven_get_their_answers_up_to_a_rate() {
        let mut reports = Reports::default();
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        while reports.may_answer(source, 0, 100, 1) {}
        assert!(!reports.may_answer(source, 60, 100, 2));
        reports.proven(source);
        assert!(reports.may_answer(source, 60, 100, 2));
        let sent = (0..1000).filter(|_| reports.may_answer_proven(source, 3)).count();
        assert_eq!(sent, PER_SECOND as usize);
        for n in 0..100_000u32 {
            reports.may_answer(std::net::Ipv4Addr::from(n).into(), 1, 1, 3);
        }
        assert!(reports.accounts.len() <= MAX_SOURCES);
    }
}
