//! Answers to requests on the control socket that take more than a line.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::mutes;
use crate::intake::mutes::{Covers, MOST_MUTES};
use crate::rules::asks::Sent;
use crate::status::Status;
use crate::time::clock::{Wall, rfc3339};

/// The answer to a request that was not carried out.
pub fn refusal(why: String) -> Value {
    json!({ "ok": false, "error": why })
}

/// What the state of rules answers.
pub(super) fn answer_to(status: &Status, question: &Sent) -> Value {
    let answers = status.shared.commit.correlation.at(status.clock.now());
    match question.answer(&answers) {
        Some(answer) => json!({ "ok": true, "answer": answer }),
        None => refusal("not a question; use the same release as the daemon".to_owned()),
    }
}

/// Mutes, and answers once that is on disk.
pub(super) fn mute(status: &Status, covers: Covers, seconds: u64) -> Value {
    let (mutes, now) = (&status.shared.commit.mutes, status.clock.now().wall);
    let sinks = status.sinks();
    if let Some(unknown) = covers.sinks.iter().find(|name| !sinks.iter().any(|sink| sink.name == **name)) {
        return refusal(format!("sink '{}' is not configured", unknown.escape_debug()));
    }
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let until = Wall::from_micros(now.micros().saturating_add(micros));
    let Some(id) = mutes.add(covers, now, until) else {
        return refusal(format!("there are {MOST_MUTES} mutes; end some: `trapline mute list`"));
    };
    match mutes::save(mutes, status.shared.journal.directory()) {
        Ok(()) => {
            let honoured =
                sinks.iter().filter(|sink| sink.stats.honours_mutes.load(Ordering::Relaxed)).count();
            json!({ "ok": true, "id": id, "until": rfc3339(until.micros()), "honoured": honoured })
        }
        Err(error) => {
            mutes.end(&[id]);
            refusal(format!("the mute cannot be written to disk: {error}; check the disk"))
        }
    }
}

pub(super) fn end_mutes(status: &Status, ids: &[u64]) -> Value {
    let mutes = &status.shared.commit.mutes;
    let ended = mutes.end(ids);
    match mutes::save(mutes, status.shared.journal.directory()) {
        Ok(()) => json!({ "ok": true, "ended": ended }),
        Err(error) => refusal(format!("ended, but a crash brings it back, as the disk refuses: {error}")),
    }
}

pub(super) fn look_at_letters(status: &Status, name: &str) -> Value {
    match status.sinks().iter().find(|sink| sink.name == name) {
        Some(sink) => {
            sink.look_at_letters();
            json!({ "ok": true })
        }
        None => refusal(format!("sink '{name}' is not configured")),
    }
}
