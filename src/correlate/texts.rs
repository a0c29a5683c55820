//! Changes of encoded outcomes.

use std::borrow::Cow;

use crate::outcome::codec;
use crate::outcome::result::{Labels, Outcome};

/// An encoded outcome with another output.
pub(super) fn with_output(payload: &[u8], output: impl FnOnce(&str) -> String) -> Vec<u8> {
    let Some(mut outcome) = codec::decode(payload) else { return payload.to_vec() };
    let text = output(&outcome.common().output);
    outcome.common_mut().output = text.into();
    let mut bytes = Vec::with_capacity(payload.len() + 64);
    codec::encode(&outcome, &mut bytes);
    bytes
}

/// An encoded outcome with the names of another one of its kind.
pub(super) fn with_names(payload: &[u8], names: &[u8]) -> Vec<u8> {
    let (Some(mut outcome), Some(names)) = (codec::decode(payload), codec::decode(names)) else {
        return payload.to_vec();
    };
    match (&mut outcome, names) {
        (Outcome::CheckResult(check), Outcome::CheckResult(names)) => {
            (check.host, check.service) = (names.host, names.service);
        }
        (Outcome::Event(event), Outcome::Event(names)) => {
            (event.component, event.resource) = (names.component, names.resource);
        }
        _ => return payload.to_vec(),
    }
    let mut bytes = Vec::with_capacity(payload.len() + 64);
    codec::encode(&outcome, &mut bytes);
    bytes
}

/// The longest names that are kept of a problem whose outcome is not, in bytes.
const MOST_NAMES: usize = 512;

/// An encoded outcome without its texts: whose it is, with its labels if there is room, as sinks choose by them. None if the names
/// are too long to be kept.
pub(super) fn names_of(payload: &[u8]) -> Option<Vec<u8>> {
    let mut outcome = codec::decode(payload)?;
    let common = outcome.common_mut();
    // Whatever is made of them has a time of its own.
    (common.output, common.long_output, common.time) = (Cow::Borrowed(""), Cow::Borrowed(""), 0);
    match &mut outcome {
        Outcome::CheckResult(check) => check.perfdata = Cow::Borrowed(""),
        Outcome::Event(event) => event.fields.clear(),
    }
    let fits = |outcome: &Outcome<'_>| {
        let mut bytes = Vec::new();
        codec::encode(outcome, &mut bytes);
        (bytes.len() <= MOST_NAMES).then_some(bytes)
    };
    fits(&outcome).or_else(|| {
        outcome.common_mut().labels = Labels::default();
        fits(&outcome)
    })
}
