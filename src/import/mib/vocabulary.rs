//! Words that say how a thing is.

use crate::outcome::result::State;

/// What a word or phrase in the name of a notification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The thing is well, or well again.
    Good,
    /// The thing is in trouble.
    Bad(State),
    /// The thing is in trouble, and the word also tells which trouble it is: a rule for its end has the word too.
    Kind(State),
}

use Says::{Bad, Good, Kind};
use State::{Critical, Warning};

/// Phrases in names, in small letters; a longer one comes before those that it starts with.
const PHRASES: &[(&str, Says)] = &[
    ("back to in service", Good),
    ("back to normal", Good),
    ("return from", Good),
    ("returned from", Good),
    ("return to normal", Good),
    ("in service", Good),
    ("in range", Good),
    ("out of range", Bad(Critical)),
    ("out of service", Bad(Critical)),
    ("on battery", Kind(Critical)),
    ("too high", Kind(Critical)),
    ("too low", Kind(Critical)),
    ("over temp", Kind(Critical)),
    ("over temperature", Kind(Critical)),
    ("power off", Bad(Warning)),
    ("powered off", Bad(Warning)),
    ("power on", Good),
    ("powered on", Good),
    ("turned off", Bad(Warning)),
    ("turned on", Good),
    ("woke up", Good),
    ("backward transition", Bad(Critical)),
    ("backward trans", Bad(Critical)),
];

const GOOD: &[&str] = &[
    "up",
    "ok",
    "okay",
    "normal",
    "online",
    "good",
    "clear",
    "cleared",
    "clr",
    "clears",
    "recovered",
    "recovery",
    "recover",
    "recovers",
    "resume",
    "resumed",
    "restored",
    "restore",
    "restoral",
    "resolved",
    "resolve",
    "returned",
    "inserted",
    "insertion",
    "insert",
    "fixed",
    "repaired",
    "completed",
    "complete",
    "success",
    "successful",
    "succeeded",
    "succeded",
    "succ",
    "responding",
    "acquired",
    "heal",
    "healed",
    "healthy",
    "passed",
    "established",
    "connected",
    "connect",
    "joined",
    "join",
    "ended",
    "reachable",
    "avail",
    "available",
    "enabled",
    "powered",
    "associated",
    "registered",
    "alive",
    "started",
    "synchronized",
    "synced",
    "redundant",
    "deasserted",
    "valid",
    "unlocked",
    "unblocked",
    "optimal",
    "replaced",
    "renewed",
    "reconnected",
    "reestablished",
    "rejoined",
    "nominal",
    "ceased",
    "nonalarmed",
];

const CRITICAL: &[&str] = &[
    "fail",
    "failed",
    "failure",
    "failures",
    "fails",
    "failing",
    "down",
    "critical",
    "lost",
    "loss",
    "error",
    "errors",
    "fault",
    "faults",
    "faulted",
    "faulty",
    "offline",
    "dead",
    "disconnected",
    "disconnect",
    "unreachable",
    "unavail",
    "unavailable",
    "emergency",
    "fatal",
    "bad",
    "broken",
    "crash",
    "crashed",
    "disassociated",
    "timeout",
    "timedout",
    "raised",
    "raise",
    "alarm",
    "alarmed",
    "abnormal",
    "shutdown",
    "unresponsive",
    "stalled",
    "inoperative",
    "outage",
    "nonrecoverable",
    "unrecoverable",
];

const WARNING: &[&str] = &[
    "warning",
    "warn",
    "degraded",
    "degrade",
    "removed",
    "removal",
    "remove",
    "exceeded",
    "exceed",
    "exceeds",
    "rising",
    "minor",
    "disabled",
    "asserted",
    "stopped",
    "suspended",
    "unsynchronized",
    "noncritical",
    "nonredundant",
    "missing",
    "absent",
    "left",
    "leave",
    "dropped",
    "blocked",
    "unstable",
];

/// Words that tell which trouble it is: the name of its end has them too.
const KINDS: &[&str] = &[
    "high",
    "low",
    "full",
    "over",
    "under",
    "near",
    "nearly",
    "threshold",
    "limit",
    "overflow",
    "upper",
    "lower",
    "overvoltage",
    "undervoltage",
    "overcurrent",
    "undertemp",
    "falling",
    "expired",
    "expiring",
    "expire",
    "mismatch",
    "mismatched",
    "conflict",
    "rejected",
    "denied",
    "unauthorized",
    "invalid",
    "congested",
    "congestion",
    "intrusion",
    "discharged",
];
const CRITICAL_KINDS: &[&str] = &[
    "overload",
    "overloaded",
    "overheat",
    "overheated",
    "overtemp",
    "violation",
    "exhausted",
    "corrupt",
    "corrupted",
    "panic",
];

/// Words that turn the next one round.
pub const NEGATIONS: [&str; 4] = ["not", "no", "non", "un"];

/// Words for the end of any trouble, and not of one kind of it.
pub const GENERAL_ENDS: [&str; 22] = [
    "ok",
    "okay",
    "normal",
    "good",
    "clear",
    "cleared",
    "clr",
    "clears",
    "recovered",
    "recovery",
    "recover",
    "recovers",
    "resume",
    "resumed",
    "restored",
    "restore",
    "resolved",
    "resolve",
    "returned",
    "repaired",
    "fixed",
    "nominal",
];

/// Words at the end of a name, or within it, that say nothing.
pub const TAILS: [&str; 18] = [
    "trap",
    "traps",
    "notification",
    "notifications",
    "notif",
    "notifs",
    "notify",
    "notifiy",
    "event",
    "events",
    "alert",
    "alerts",
    "rev1",
    "rev2",
    "v2",
    "ntf",
    "ntfy",
    "msg",
];

/// Words that say that something is told: left out of the name of a service.
pub const CHANGES: [&str; 9] =
    ["status", "state", "change", "changed", "changes", "scn", "oper", "update", "updated"];

/// Words of two notifications that are opposite, if their names are otherwise the same: trouble, and its end.
pub const OPPOSITES: &[(&[&str], &[&str])] = &[
    (&["rising", "rise", "rises", "rose"], &["falling", "fall", "falls", "fell"]),
    (&["set", "sets"], &["cleared", "clear", "clr", "reset", "unset"]),
    (
        &["enter", "entered", "begin", "began", "begins", "entry"],
        &["exit", "exited", "leave", "left", "end", "ended", "ends"],
    ),
    (&["start", "started", "starts"], &["end", "ended", "ends", "finished", "finish"]),
    (&["stop", "stopped", "stops"], &["start", "started", "starts"]),
    (&["open", "opened"], &["close", "closed"]),
    (
        &["lost", "loss", "leave", "left", "leaves"],
        &["join", "joined", "joins", "found", "detected", "acquired", "regained", "back"],
    ),
    (
        &["detected", "detect", "occurred", "occur"],
        &["resolved", "cleared", "clear", "recovery", "recovered", "disappeared", "ended", "gone"],
    ),
    (
        &["remove", "removed", "removal", "removes"],
        &["insert", "inserted", "insertion", "inserts", "installed", "added", "add"],
    ),
    (&["red", "yellow"], &["green"]),
    (&["assert", "asserted"], &["deassert", "deasserted"]),
    (&["suspend", "suspended"], &["resume", "resumed"]),
    (&["takeover"], &["giveback"]),
    (&["failover"], &["failback"]),
    (&["block", "blocked"], &["unblock", "unblocked"]),
    (&["disable", "disabled"], &["enable", "enabled"]),
    (&["inactive"], &["active"]),
    (&["failed", "fail", "failure"], &["active", "ready", "present", "inserted", "acknowledged"]),
];

/// Words of two notifications that are opposite if what they speak of is itself trouble, such as an alarm.
pub const OPPOSITES_OF_TROUBLE: &[(&[&str], &[&str])] = &[
    (&["on", "active", "activated"], &["off", "inactive", "deactivated"]),
    (&["added", "add"], &["removed", "remove", "deleted", "delete"]),
];

/// Words for trouble: `AlarmOn`, `ConditionEntryAdded`.
pub const TROUBLES: [&str; 14] = [
    "alarm",
    "alarms",
    "fault",
    "condition",
    "problem",
    "error",
    "overload",
    "bypass",
    "battery",
    "fail",
    "failure",
    "warning",
    "sfpalarm",
    "faultalarm",
];

/// Words at the end of a word in small letters, as in `fanfailed`; a longer one comes first.
const GLUED: [&str; 18] = [
    "disconnected",
    "connected",
    "recovered",
    "exceeded",
    "degraded",
    "inserted",
    "restored",
    "offline",
    "overload",
    "failure",
    "cleared",
    "removed",
    "critical",
    "online",
    "normal",
    "failed",
    "fail",
    "down",
];
/// Words that only look so.
const NOT_GLUED: [&str; 5] = ["countdown", "teardown", "breakdown", "slowdown", "unrecovered"];

/// Splits `fanfailed`; none if the word is one word.
pub fn unglue(word: &str) -> Option<(&str, &str)> {
    let lower = word.to_lowercase();
    if NOT_GLUED.contains(&&*lower) || phrase(&[&lower]).is_some() {
        return None;
    }
    let end = GLUED.iter().find(|end| lower.ends_with(**end) && lower.len() >= end.len() + 3)?;
    word.split_at_checked(word.len() - end.len())
}

/// The phrase at the start of these words, which are in small letters: how many words it has, and what it says.
pub fn phrase(words: &[&str]) -> Option<(usize, Says)> {
    let starts = |phrase: &str| {
        let count = phrase.split(' ').count();
        (words.len() >= count && phrase.split(' ').zip(words).all(|(a, b)| a == *b)).then_some(count)
    };
    if let Some(found) = PHRASES.iter().find_map(|(phrase, says)| Some((starts(phrase)?, *says))) {
        return Some(found);
    }
    let word = *words.first()?;
    let says = match word {
        _ if GOOD.contains(&word) => Good,
        _ if CRITICAL.contains(&word) => Bad(Critical),
        _ if WARNING.contains(&word) => Bad(Warning),
        _ if KINDS.contains(&word) => Kind(Warning),
        _ if CRITICAL_KINDS.contains(&word) => Kind(Critical),
        _ => return None,
    };
    Some((1, says))
}

/// A name of an enumerated value in small letters, without signs.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The names of an enumeration without what all of them start with: `swFwNormal`, `swFwFaulty`.
pub fn bare_names<'n>(names: &[&'n str]) -> Vec<(&'n str, String)> {
    let bare: Vec<String> = names.iter().map(|name| bare(name)).collect();
    let common = match bare.split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            let same =
                |at: &usize| rest.iter().all(|name| name.as_bytes().get(*at) == first.as_bytes().get(*at));
            (0..first.len()).take_while(same).count()
        }
        _ => 0,
    };
    names
        .iter()
        .copied()
        .zip(bare.into_iter().map(|name| name.get(common.min(name.len())..).unwrap_or("").to_owned()))
        .collect()
}

/// The state of a severity in small letters without signs; `graded` if the list has low, medium and high above an
/// informational one. None for a word that is no severity.
pub fn severity(word: &str, graded: bool) -> Option<State> {
    Some(match word {
        "cleared" | "clear" | "normal" | "ok" | "okay" | "info" | "informational" | "information"
        | "informative" | "informationnal" | "inform" | "debug" | "notice" | "notification" | "notify"
        | "unused" | "none" | "green" | "log" | "ack" | "acknowledged" | "trace" | "good" | "nonerror"
        | "noerror" | "success" | "nominal" => State::Ok,
        "low" if graded => State::Ok,
        "minor" | "warning" | "warn" | "medium" | "low" | "noncritical" | "yellow" | "degraded"
        | "attention" | "moderate" | "caution" | "marginal" | "orange" => Warning,
        "critical" | "major" | "emergency" | "emerg" | "alert" | "error" | "err" | "fatal" | "fatalerror"
        | "nonrecoverable" | "unrecoverable" | "severe" | "high" | "red" | "failure" | "failed" | "panic"
        | "crit" | "veryhigh" | "serious" | "catastrophic" | "down" => Critical,
        "indeterminate" | "unknown" | "other" | "undefined" | "undetermined" => State::Unknown,
        _ => return None,
    })
}

/// The words of all severities that are text, by their state.
pub const TEXT_SEVERITIES: [(State, &[&str]); 3] = [
    (
        State::Ok,
        &[
            "cleared",
            "clear",
            "normal",
            "ok",
            "info",
            "informational",
            "information",
            "notice",
            "debug",
            "green",
        ],
    ),
    (Warning, &["minor", "warning", "warn", "medium", "low", "yellow"]),
    (
        Critical,
        &["critical", "major", "error", "err", "alert", "emergency", "fatal", "severe", "high", "red"],
    ),
];

/// The state of a thing by a status in small letters without signs; none for a word that says nothing.
pub fn status(word: &str) -> Option<State> {
    Some(match word {
        "ok"
        | "okay"
        | "up"
        | "normal"
        | "online"
        | "active"
        | "good"
        | "operational"
        | "present"
        | "enabled"
        | "running"
        | "clear"
        | "cleared"
        | "on"
        | "full"
        | "established"
        | "designatedrouter"
        | "backupdesignatedrouter"
        | "otherdesignatedrouter"
        | "pointtopoint"
        | "nominal"
        | "presentok"
        | "deliveringpower"
        | "noerror"
        | "nonerror"
        | "complete"
        | "completed"
        | "optimal"
        | "healthy"
        | "connected"
        | "reachable"
        | "success"
        | "succeeded"
        | "successful"
        | "passed"
        | "pass"
        | "insync"
        | "synced"
        | "ready"
        | "available"
        | "powered"
        | "poweredup"
        | "linkup"
        | "noalarm"
        | "nofault"
        | "inservice"
        | "green"
        | "registered"
        | "associated"
        | "functional"
        | "functioning"
        | "presentpoweron"
        | "upandrunning"
        | "joined"
        | "linksup"
        | "working"
        | "standby"
        | "detected" => State::Ok,
        "warning" | "warn" | "noncritical" | "minor" | "degraded" | "marginal" | "lowwarning"
        | "highwarning" | "yellow" | "rebuilding" | "recovering" | "partial" | "nearfull" | "caution"
        | "exstart" | "exchange" | "loading" | "twoway" | "init" | "attempt" => Warning,
        "down" | "failed" | "failure" | "fail" | "critical" | "error" | "err" | "offline" | "fault"
        | "faulty" | "notpresent" | "shutdown" | "lowerlayerdown" | "notfunctioning" | "nonrecoverable"
        | "unrecoverable" | "major" | "fatal" | "dead" | "absent" | "missing" | "unreachable"
        | "disconnected" | "lost" | "notresponding" | "broken" | "bad" | "alarm" | "red" | "emergency"
        | "exceeded" | "overload" | "overtemp" | "overheat" | "toohigh" | "toolow" | "outofrange"
        | "crashed" | "abnormal" | "notoperational" | "nonoperational" | "notok" | "inactive"
        | "unavailable" | "stopped" | "malfunction" | "presentnotok" | "failing" | "othererror"
        | "lossofsignal" | "linkdown" => Critical,
        "unknown" | "other" | "undefined" | "notavailable" | "notapplicable" | "na" | "unspecified" => {
            State::Unknown
        }
        _ => return None,
    })
}

/// The names of an enumeration, bare if that tells more.
pub fn known_names<'n>(
    names: &[&'n str],
    known: impl Fn(&str) -> Option<State>,
) -> Vec<(&'n str, Option<State>)> {
    let plain: Vec<_> = names.iter().map(|name| (*name, known(&bare(name)))).collect();
    let short: Vec<_> = bare_names(names).into_iter().map(|(name, bare)| (name, known(&bare))).collect();
    let count = |all: &[(&str, Option<State>)]| all.iter().filter(|(_, state)| state.is_some()).count();
    if count(&short) > count(&plain) { short } else { plain }
}

/// Whether a list of severities has low, medium and high above informational ones.
pub fn is_graded(names: &[&str]) -> bool {
    let bare: Vec<String> = names.iter().map(|name| bare(name)).collect();
    let has = |word: &str| bare.iter().any(|name| name.contains(word));
    has("low") && has("high") && (has("inform") || has("info") || has("unused"))
}
