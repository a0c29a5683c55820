//! What a report says: figures out of the files of a history.

use std::collections::HashMap;

use serde_json::Value;

use crate::files::Folder;
use crate::history::account::{self, Account, Most, Named};
use crate::history::search::IsOver;
use crate::history::series::{self, By, Wanted};
use crate::history::{HistoryError, rollup};
use crate::outcome::result::State;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The longest time of a report.
pub const LONGEST: i64 = 3660 * DAY;
/// Up to this time a report has a step an hour, and beyond it a step a day.
const BY_HOUR: i64 = 32 * DAY;
/// How many hosts, rules and services that flapped a report names.
pub const TOP: usize = 20;
/// How many services that are not ok a report names.
pub const PROBLEMS: usize = 1000;
/// Of how many hosts and services changes are counted.
const COUNTED: usize = 200_000;

/// How many outcomes there were of each state, in the order of [`State::ALL`].
pub type ByState = [u64; State::ALL.len()];

/// Outcomes of an hour or a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it begins, in microseconds since 1970 UTC.
    pub time: i64,
    /// Outcomes by state.
    pub states: ByState,
    /// Changes of state.
    pub changes: u64,
}

/// A host or service that changed its state often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flap {
    /// The host, or the component.
    pub host: String,
    /// The service, or the resource.
    pub service: Option<String>,
    /// How often its state changed.
    pub changes: u64,
    /// Its state after the last change.
    pub state: State,
}

/// A host or service that is not ok.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The host, or the component.
    pub host: String,
    /// The service, or the resource.
    pub service: Option<String>,
    /// The state.
    pub state: State,
    /// Since when, RFC 3339.
    pub since: String,
    /// Its last outcome, RFC 3339.
    pub last: String,
    /// The rule that made it.
    pub rule: String,
    /// One line of text.
    pub output: String,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where its time begins, a whole minute, in microseconds since 1970 UTC.
    pub from: i64,
    /// Before which time it ends, a whole minute.
    pub to: i64,
    /// When it was made.
    pub made: i64,
    /// How long a step is.
    pub step: i64,
    /// Outcomes by state.
    pub states: ByState,
    /// The rules with most outcomes.
    pub rules: Most,
    /// The hosts with most outcomes.
    pub hosts: Most,
    /// All steps, the first one first.
    pub steps: Vec<Step>,
    /// What is not ok when the report is made, the worst first, then what has lasted longest.
    pub problems: Vec<Problem>,
    /// Whether there are more problems.
    pub more_problems: bool,
    /// What changed its state most often.
    pub flapped: Vec<Flap>,
    /// Changes of hosts and services that are not counted by name.
    pub uncounted: u64,
    /// What the files of rows have and lack.
    pub account: Account,
}

/// Reads the figures of a time, from one time on and before another, in microseconds since 1970 UTC.
///
/// # Errors
///
/// If the folder or the file of counts cannot be read. Files of rows that cannot be read are named in the report.
pub fn gather(
    folder: &Folder,
    (from, to): (i64, i64),
    made: i64,
    is_over: Option<IsOver>,
) -> Result<Report, HistoryError> {
    // Counts are of minutes, so the time is, too.
    let from = from.max(to.saturating_sub(LONGEST)).div_euclid(MINUTE) * MINUTE;
    let to = to.saturating_add(MINUTE - 1).div_euclid(MINUTE).saturating_mul(MINUTE).max(from);
    let step = if to - from <= BY_HOUR { HOUR } else { DAY };
    let first = from.div_euclid(step);
    let count = (to - 1).div_euclid(step) - first + 1;
    let mut steps: Vec<Step> = (0..count)
        .map(|n| Step { time: (first + n) * step, states: ByState::default(), changes: 0 })
        .collect();
    let at = |time: i64| usize::try_from(time.div_euclid(step) - first).unwrap_or(usize::MAX);
    let (points, _) = series::points(
        folder,
        By::State,
        &series::Of::default(),
        (from, to),
        step / MINUTE,
        is_over.clone(),
    )?;
    let mut states = ByState::default();
    for point in points {
        let Some(code) = State::ALL.iter().position(|state| state.as_str() == point.series) else { continue };
        states[code] += point.value;
        if let Some(step) = steps.get_mut(at(point.time)) {
            step.states[code] += point.value;
        }
    }
    let mut flaps: HashMap<(String, Option<String>), (u64, State)> = HashMap::new();
    let mut uncounted = 0;
    let account = account::account(folder, (from, to), is_over.as_ref(), |change| {
        if let Some(step) = steps.get_mut(at(change.time)) {
            step.changes += 1;
        }
        let key = (change.host.to_owned(), change.service.map(str::to_owned));
        if flaps.len() >= COUNTED && !flaps.contains_key(&key) {
            uncounted += 1;
            return;
        }
        let flap = flaps.entry(key).or_insert((0, change.state));
        *flap = (flap.0 + 1, change.state);
    })?;
    let bad = State::ALL.into_iter().filter(|state| !state.is_good()).collect();
    let wanted = Wanted { states: bad, ..Wanted::default() };
    let (problems, more_problems) = series::states(folder, &wanted, PROBLEMS, is_over.clone())?;
    Ok(Report {
        from,
        to,
        made,
        step,
        states,
        rules: account::most(folder, Named::Rule, (from, to), TOP, is_over.as_ref())?,
        hosts: account::most(folder, Named::Host, (from, to), TOP, is_over.as_ref())?,
        steps,
        problems: sorted(&problems),
        more_problems,
        flapped: most_flapped(flaps),
        uncounted,
        account,
    })
}

/// The worst first, then what has lasted longest.
fn sorted(problems: &[Value]) -> Vec<Problem> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<Problem> = problems
        .iter()
        .filter_map(|problem| {
            let state = State::ALL.into_iter().find(|state| problem["status"] == state.as_str())?;
            Some(Problem {
                host: text(&problem["host"]),
                service: problem["service"].as_str().map(str::to_owned),
                state,
                since: text(&problem["since"]),
                last: text(&problem["last"]),
                rule: text(&problem["rule"]),
                output: text(&problem["output"]),
            })
        })
        .collect();
    all.sort_by(|a, b| {
        let key = |one: &Problem| (std::cmp::Reverse(one.state.severity()), one.since.clone());
        key(a).cmp(&key(b)).then_with(|| (&a.host, &a.service).cmp(&(&b.host, &b.service)))
    });
    all
}

/// Those with more than one change, the largest number first.
fn most_flapped(flaps: HashMap<(String, Option<String>), (u64, State)>) -> Vec<Flap> {
    let mut all: Vec<Flap> = flaps
        .into_iter()
        .filter(|(_, (changes, _))| *changes > 1)
        .map(|((host, service), (changes, state))| Flap { host, service, changes, state })
        .collect();
    all.sort_by(|a, b| {
        b.changes.cmp(&a.changes).then_with(|| (&a.host, &a.service).cmp(&(&b.host, &b.service)))
    });
    all.truncate(TOP);
    all
}

impl Report {
    /// How many outcomes there were.
    pub fn outcomes(&self) -> u64 {
        self.states.iter().sum()
    }

    /// How many changes of state have a row.
    pub fn changes(&self) -> u64 {
        self.steps.iter().map(|step| step.changes).sum()
    }

    /// "hour" or "day".
    pub fn step_name(&self) -> &'static str {
        if self.step == HOUR { "hour" } else { "day" }
    }

    /// What the figures lack, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let account = &self.account;
        let (outcomes, rows) = (self.outcomes(), account.rows);
        if rows < outcomes {
            notes.push(format!(
                "{rows} of {outcomes} outcomes have a row of their own. Outcomes by state, rule, host and time count all of them; \
                 changes of state count rows alone, so those without a row are missing there."
            ));
        }
        if rows > 0 && account.stand_for > outcomes {
            notes.push(
                "The counts of minutes have less than the rows: the oldest minutes may have been removed."
                    .to_owned(),
            );
        }
        if account.missed > 0 {
            notes.push(format!(
                "{} outcomes are in no figure: the journal had removed them before the history read them. The number is that of the \
                 files with rows of this time, which may be longer than it.",
                account.missed
            ));
        }
        match account.oldest {
            None => notes.push("The history has no rows.".to_owned()),
            Some(oldest) if oldest > self.from => notes.push(format!(
                "The oldest row is of {}: changes of state before that are not in this report.",
                crate::time::clock::rfc3339(oldest)
            )),
            Some(_) => {}
        }
        if self.hosts.first.iter().any(|(host, _)| host == rollup::OTHER) {
            notes.push(format!(
                "{} stands for hosts beyond the first 1,000 of a minute, whose outcomes have no count by name.",
                rollup::OTHER
            ));
        }
        if self.more_problems {
            notes.push(format!("Only {PROBLEMS} of what is not ok are listed."));
        }
        if self.uncounted > 0 {
            notes.push(format!(
                "{} changes of state are of hosts and services that are not counted by name, as there were more than {COUNTED}.",
                self.uncounted
            ));
        }
        if self.account.is_cut {
            notes.push("Not everything was read.".to_owned());
        }
        notes.extend(account.unreadable.iter().map(|why| format!("A file could not be read: {why}")));
        notes
    }
}
