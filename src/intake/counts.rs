//! What a pipeline counts between two commits.

use crate::intake::stats::Stats;

/// What happened since the last commit.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) snmp_received: u64,
    pub(super) decoded: u64,
    pub(super) syslog_received: u64,
    pub(super) posts_received: u64,
    pub(super) claim_refused: u64,
    pub(super) odd_varbinds: u64,
    pub(super) informs_repeated: u64,
    pub(super) messages_cut: u64,
    pub(super) matched: u64,
    pub(super) dropped: u64,
    pub(super) unmatched: u64,
    pub(super) storm_left_out: u64,
}

impl Counts {
    /// Adds all to the counters of the daemon.
    pub(super) fn add_to(&self, stats: &Stats) {
        stats.snmp_received.add(self.snmp_received);
        stats.decoded.add(self.decoded);
        stats.syslog_received.add(self.syslog_received);
        stats.posts_received.add(self.posts_received);
        stats.claim_refused.add(self.claim_refused);
        stats.odd_varbinds.add(self.odd_varbinds);
        stats.informs_repeated.add(self.informs_repeated);
        stats.messages_cut.add(self.messages_cut);
        stats.matched.add(self.matched);
        stats.dropped.add(self.dropped);
        stats.unmatched.add(self.unmatched);
        stats.storm_left_out.add(self.storm_left_out);
    }
}
