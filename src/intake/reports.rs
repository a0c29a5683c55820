//! How many Reports a source may be sent, so that nobody can turn them on a third party.
//!
//! A source that has proven nothing gets no more bytes than came from it, but for `ALLOWANCE`, which grows back by
//! `PER_SECOND`: the shortest Report of RFC 3414 is longer than the shortest question for an engine id, and without an answer no
//! inform can be sent.

use std::net::IpAddr;

use crate::shares::Shares;

/// Bytes that a source may get beyond what it sent: half a dozen answers.
const ALLOWANCE: i64 = 512;
/// How many of them grow back in a second: an answer each.
const PER_SECOND: i64 = 64;
/// The most that a source can save up, in bytes; what one that has proven itself has.
const MOST: i64 = 8192;
/// Reports a second to one source, proven or not.
const REPORTS_PER_SECOND: u32 = 200;
/// How many sources are told apart, IPv6 ones by their first 64 bits. Those that share an account are strangers to each other.
const ACCOUNTS: usize = 8192;

/// The accounts of sources, of all listeners together.
#[derive(Debug)]
pub struct Reports {
    accounts: Shares<Account>,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    bytes: i64,
    second: u64,
    in_second: u32,
}

impl Default for Reports {
    fn default() -> Self {
        Reports { accounts: Shares::new(ACCOUNTS, Account { bytes: ALLOWANCE, second: 0, in_second: 0 }) }
    }
}

impl Reports {
    /// Whether a Report of `out` bytes may answer a message of `came` bytes that was not proven. `now` is in seconds of a clock that
    /// never goes back.
    pub fn may_answer(&mut self, to: IpAddr, came: usize, out: usize, now: u64) -> bool {
        let account = self.account(to, now);
        account.earn(came);
        if account.bytes < out as i64 || !account.in_turn() {
            return false;
        }
        account.bytes -= out as i64;
        true
    }

    /// Whether a message that was proven may be answered by a Report; its source may be trusted for a while.
    pub fn may_answer_proven(&mut self, to: IpAddr, now: u64) -> bool {
        self.proven(to, now);
        self.account(to, now).in_turn()
    }

    /// A message of this source was proven: it is where it says that it is, as far as anybody can tell.
    pub fn proven(&mut self, source: IpAddr, now: u64) {
        self.account(source, now).bytes = MOST;
    }

    /// An inform of so many bytes was taken that proves nothing: it earns as much as it had, besides its answer.
    pub fn taken(&mut self, source: IpAddr, came: usize, now: u64) {
        self.account(source, now).earn(came);
    }

    fn account(&mut self, source: IpAddr, now: u64) -> &mut Account {
        let account = self.accounts.of(source);
        if account.second != now {
            let passed = i64::try_from(now.saturating_sub(account.second)).unwrap_or(i64::MAX);
            let grown = account.bytes.saturating_add(passed.saturating_mul(PER_SECOND)).min(ALLOWANCE);
            *account = Account { bytes: account.bytes.max(grown), second: now, in_second: 0 };
        }
        account
    }
}

impl Account {
    fn earn(&mut self, bytes: usize) {
        self.bytes = (self.bytes + bytes as i64).min(MOST);
    }

    fn in_turn(&mut self) -> bool {
        self.in_second += 1;
        self.in_second <= REPORTS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn victim() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    #[test]
    fn hardly_more_out_than_in_whatever_else_is_sent() {
        let mut reports = Reports::default();
        let (came, out, seconds) = (60, 105, 100);
        let (mut asked, mut sent) = (0, 0);
        for second in 0..seconds {
            for n in 0..100u32 {
                asked += 1;
                sent += usize::from(reports.may_answer(victim(), came, out, second));
                // Questions from thousands of other addresses do not make it forget this one.
                let other = std::net::Ipv4Addr::from(0x0a00_0000 + second as u32 * 1000 + n);
                reports.may_answer(other.into(), came, out, second);
            }
        }
        let allowed = asked * came + ALLOWANCE as usize + seconds as usize * PER_SECOND as usize;
        assert!(sent * out <= allowed, "{sent}");
        assert!(sent > 5_000, "senders that ask again are answered: {sent}");
        let fresh = (0..1000u32).filter(|n| {
            let other = std::net::Ipv4Addr::from(0xc633_6400 + n);
            reports.may_answer(other.into(), came, out, seconds)
        });
        assert!(fresh.count() >= 950, "other sources are not the worse for it");
    }

    #[test]
    fn one_shot_informs_without_authentication_are_served_at_once() {
        let mut reports = Reports::default();
        for n in 0..100 {
            assert!(reports.may_answer(victim(), 64, 105, 9), "discovery {n}");
            reports.taken(victim(), 130, 9);
        }
    }

    #[test]
    fn the_proven_get_their_answers_up_to_a_rate() {
        let mut reports = Reports::default();
        while reports.may_answer(victim(), 0, 100, 1) {}
        assert!(!reports.may_answer(victim(), 20, 100, 2), "12, 64 and 20 of 100");
        reports.proven(victim(), 2);
        assert!(reports.may_answer(victim(), 60, 100, 2));
        let sent = (0..1000).filter(|_| reports.may_answer_proven(victim(), 3)).count();
        assert_eq!(sent, REPORTS_PER_SECOND as usize);
    }
}
