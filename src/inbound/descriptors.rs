//! A budget of descriptors: streams get what the rest of the daemon does not need. Without it, senders of streams could keep
//! the journal from its next segment and sinks from their servers.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More is of no use: a listener has 100,000 streams at most.
const MOST: u64 = 1 << 20;

/// Raises the limit of descriptors of this process as far as it may (RLIMIT_NOFILE: the soft limit to the hard one), and
/// gives the limit.
///
/// # Errors
///
/// What the system says.
pub fn raise() -> io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(MOST).max(soft);
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    };
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// What needs descriptors besides streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Sockets for datagrams, and listeners.
    pub sockets: usize,
    /// Sinks.
    pub sinks: usize,
    /// Connections that sinks have to their servers.
    pub connections: usize,
}

/// Standard streams, runtimes, the journal with its spare and unsynced segments, locks, the inbox, the waiting room, files
/// that a reload reads, name look-ups, the files of the history and of searches in it.
const BASE: usize = 128;
/// Clients of the control socket, those whose orders wait, clients of the web server, and its WebSockets.
const CLIENTS: usize = 64 + 64 + 64 + 32;
/// A socket, and what wakes its thread.
const SOCKET: usize = 2;
/// The cursor, the segments that are read and read again, dead letters and their lock, the target, and the thread's runtime.
const SINK: usize = 10;
/// A connection, and one more while it is made anew.
const CONNECTION: usize = 2;
/// So many streams a listener may have in any case: with less it is of no use.
const LEAST: usize = 4;

impl Needs {
    /// How many the daemon needs before anybody connects: with less, threads cannot begin.
    pub fn least(&self) -> usize {
        BASE + SOCKET * self.sockets + SINK * self.sinks
    }

    /// How many descriptors are kept for all that is not a stream.
    pub fn reserve(&self) -> usize {
        self.least() + CLIENTS + CONNECTION * self.connections
    }
}

/// How many streams listeners may have that want so many. A listener that wants no more than an equal share gets all of it;
/// the others share what is left.
pub fn shares(limit: usize, needs: &Needs, wanted: &[usize]) -> Vec<usize> {
    let mut left = limit.saturating_sub(needs.reserve());
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|at| wanted[*at]);
    let mut shares = vec![0; wanted.len()];
    for (done, at) in order.iter().copied().enumerate() {
        let share = wanted[at].min(left / (wanted.len() - done));
        left -= share;
        shares[at] = share.max(LEAST.min(wanted[at]));
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_limits() {
        let needs = Needs { sockets: 4, sinks: 3, connections: 6 };
        assert_eq!(needs.reserve(), 402);
        assert_eq!(shares(1024, &needs, &[1000, 1000]), [311, 311]);
        assert_eq!(shares(1024, &needs, &[1000, 100]), [522, 100]);
        assert_eq!(shares(524_288, &needs, &[1000, 1000]), [1000, 1000]);
        assert_eq!(shares(100, &needs, &[1000, 2]), [4, 2], "of little use, and the log says so");
        assert_eq!(shares(1024, &needs, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn what_is_reserved_is_never_given_away(
            limit in 0usize..100_000,
            sinks in 0usize..50,
            wanted in prop::collection::vec(1usize..100_000, 0..8),
        ) {
            let needs = Needs { sockets: 2, sinks, connections: 2 * sinks };
            let shares = shares(limit, &needs, &wanted);
            prop_assert!(shares.iter().zip(&wanted).all(|(share, wanted)| share <= wanted && *share > 0));
            let most = limit.saturating_sub(needs.reserve()).max(LEAST * wanted.len());
            let total: usize = shares.iter().sum();
            prop_assert!(total <= most + LEAST * wanted.len());
            if limit >= needs.reserve() + wanted.iter().sum::<usize>() {
                prop_assert_eq!(shares, wanted);
            } else if limit >= needs.reserve() + LEAST * wanted.len() {
                prop_assert!(total + needs.reserve() <= limit);
            }
        }
    }
}
