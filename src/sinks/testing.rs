//! What the tests of sinks share.

use std::sync::Arc;

use crate::net::Internet;
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::sinks::sink::{Id, Item, Seat};
use crate::time::clock::TestClock;
use crate::time::receipts::Moment;

/// A critical result.
pub(crate) fn check<'a>(host: &'a str, service: Option<&'a str>, output: &'a str) -> CheckResult<'a> {
    CheckResult {
        common: Common {
            time: 1_700_000_000_123_456,
            rule: "r".into(),
            state: State::Critical,
            output: output.into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        },
        host: host.into(),
        service: service.map(Into::into),
        perfdata: "".into(),
    }
}

/// A record of it.
pub(crate) fn record<'a>(host: &'a str, service: Option<&'a str>, output: &'a str) -> Record<'a> {
    Record { epoch: 1, sequence: 2, outcome: Outcome::CheckResult(check(host, service, output)) }
}

/// An item of it, by its number in the journal.
pub(crate) fn item(number: u64, host: &str, service: Option<&str>, output: &str) -> Item {
    let outcome = Outcome::CheckResult(check(host, service, output));
    let mut payload = Vec::new();
    codec::encode(&outcome, &mut payload);
    let time = outcome.common().time;
    Item {
        id: Id::Journal(number),
        epoch: 1,
        sequence: number,
        key: 0,
        time,
        received: Moment::default(),
        payload: payload.into(),
    }
}

/// A seat with a clock that stands still.
pub(crate) fn seat() -> (Seat, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    // Where nothing can be kept, whoever runs the tests.
    let (memory, network) = ("/dev/null/nowhere".into(), Arc::new(Internet));
    let engine = "/dev/null/engine".into();
    (Seat { name: "sink".into(), memory, clock: clock.clone(), network, engine }, clock)
}
