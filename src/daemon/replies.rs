//! Answers to requests on the control socket that take more than a line.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::mutes;
use crate::intake::mute::Covers;
use crate::intake::mutes::MOST_MUTES;
use crate::maker::groups;
use crate::outcome::result::Outcome;
use crate::rules::asks::Sent;
use crate::status::Status;
use crate::time::clock::{Wall, rfc3339};

/// The answer to a request that was not carried out.
pub fn refusal(why: String) -> Value {
    json!({ "ok": false, "error": why })
}

/// The answer to a request that the machine cannot carry out now.
pub fn unable(why: String) -> Value {
    json!({ "ok": false, "error": why, "unable": true })
}

/// What the state of rules answers.
pub(super) fn answer_to(status: &Status, question: &Sent) -> Value {
    let answers = status.shared.commit.correlation.at(status.clock.now());
    match question.answer(&answers) {
        Some(answer) => json!({ "ok": true, "answer": answer }),
        None => refusal("not a question; use the same release as the daemon".to_owned()),
    }
}

/// How many kinds of messages an answer names.
const MOST_KINDS: usize = 200;

/// The kinds of messages that no rule takes, those with most first.
pub(super) fn kinds(status: &Status) -> Value {
    let active = status.shared.active();
    let mut all = status.inbox().groups();
    let count = all.len();
    all.sort_by_key(|group| std::cmp::Reverse(group.count));
    let shown: Vec<Value> =
        all.iter().take(MOST_KINDS).map(|group| groups::summary(group, active.rules.mib())).collect();
    json!({ "ok": true, "all": count, "groups": shown })
}

/// How many of the newest outcomes are looked at for hosts and services, how many of these there are at most, and how long the look
/// may take.
const MOST_OUTCOMES: u64 = 1_000_000;
const MOST_ENDPOINTS: usize = 100_000;
const LONGEST: Duration = Duration::from_secs(2);
/// How many outcomes are read at a time.
const AT_ONCE: usize = 1000;

/// The hosts and services of check results that are still in the journal. Blocks.
pub(super) fn endpoints(status: &Status) -> Value {
    let (journal, began) = (&status.shared.journal, status.clock.now().mono);
    let (next, oldest) = (journal.next(), journal.oldest());
    let from = next.saturating_sub(MOST_OUTCOMES).max(oldest);
    let mut found: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let mut reader = journal.reader(from);
    let mut complete = from == oldest;
    loop {
        let read = reader.read(AT_ONCE, |record| {
            if let Outcome::CheckResult(check) = &record.outcome {
                let service = check.service.as_ref().map(ToString::to_string);
                found.insert((check.host.to_string(), service));
            }
            true
        });
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return unable(format!("cannot read the journal: {error}; check the disk")),
        }
        if found.len() > MOST_ENDPOINTS || status.clock.now().mono.since(began) > LONGEST {
            complete = false;
            break;
        }
    }
    let all: Vec<Value> =
        found.iter().map(|(host, service)| json!({ "host": host, "service": service })).collect();
    json!({ "ok": true, "complete": complete, "endpoints": all })
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
            unable(format!("the mute cannot be written to disk: {error}; check the disk"))
        }
    }
}

pub(super) fn end_mutes(status: &Status, ids: &[u64]) -> Value {
    let mutes = &status.shared.commit.mutes;
    let ended = mutes.end(ids);
    match mutes::save(mutes, status.shared.journal.directory()) {
        Ok(()) => json!({ "ok": true, "ended": ended }),
        Err(error) => unable(format!(
            "ended, but a crash brings it back, as the disk refuses: {error}; make room on it"
        )),
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
