//! What the tests of sinks share.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::Follower;
use crate::net::Internet;
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Section};
use crate::sinks::registry::{self, KINDS};
use crate::sinks::settings::Configured;
use crate::sinks::sink::{Fate, Id, Item, Key, Seat, Trouble};
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

/// The sink that an entry of these lines configures, and what is said of them.
pub(crate) fn configured(lines: &str) -> (Option<Configured>, Diagnostics) {
    let source = SourceText { file: "t.toml", text: lines };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap_or_else(|| panic!("{}", found.to_text()));
    let section = Section::new(&source, root.get_ref(), root.span(), "[[sinks]]");
    let sink = registry::read(KINDS, &section, &|path: &str| PathBuf::from(path), &mut found);
    section.finish(&mut found);
    (sink.map(|config| config.sink), found)
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
        key: Key::Known(0),
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
    let (follower, _) = Follower::of_nothing(Duration::ZERO);
    (Seat { name: "sink".into(), memory, clock: clock.clone(), network, engine, follower }, clock)
}

/// What becomes of three outcomes, of which the first two are of one host and service, if the server took, refused for good or put off
/// these: what it took is delivered, unless an earlier one has to be sent before it. If it said nothing of any, the connection is
/// at fault, or the configuration.
pub(crate) fn assert_fates(
    does: &dyn Debug,
    result: Result<Vec<Fate>, Trouble>,
    [taken, dead, later]: [[bool; 3]; 3],
) {
    if [taken, dead, later] == [[false; 3]; 3] {
        let is_right = matches!(result, Err(Trouble::Unanswered(..) | Trouble::Refused(..)));
        assert!(is_right, "{does:?}: {result:?}");
        return;
    }
    let fates = result.unwrap();
    let done = [taken[0], taken[1] && (taken[0] || dead[0]), taken[2]];
    for (at, fate) in fates.iter().enumerate() {
        assert_eq!(matches!(fate, Fate::Taken), done[at], "{does:?}: {fates:?}");
        assert_eq!(matches!(fate, Fate::Dead(_)), dead[at], "{does:?}: {fates:?}");
    }
}
