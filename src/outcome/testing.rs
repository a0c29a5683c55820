//! Outcomes for tests that look at little of them.

use super::result::{CheckResult, Common, Event, Labels, Outcome, State};

/// How many seeds a test draws that draws `all` of them where PROPTEST_CASES is the library's default of 256.
pub(crate) fn seeds(all: u64) -> u64 {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    (all * cases / 256).max(1)
}

/// What all outcomes have, with this text.
pub(crate) fn common(output: &str) -> Common<'static> {
    Common {
        time: 1,
        rule: "r".into(),
        state: State::Ok,
        output: output.to_owned().into(),
        long_output: "".into(),
        source: "192.0.2.1".into(),
        labels: Labels::default(),
    }
}

/// An event with this text.
pub(crate) fn event(output: &str) -> Outcome<'static> {
    Outcome::Event(Event {
        common: common(output),
        component: "c".into(),
        resource: None,
        fields: Vec::new(),
    })
}

/// A check result of a host with this text.
pub(crate) fn check(output: &str) -> Outcome<'static> {
    Outcome::CheckResult(CheckResult {
        common: common(output),
        host: "h".into(),
        service: None,
        perfdata: "".into(),
    })
}
