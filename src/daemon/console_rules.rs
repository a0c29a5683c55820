//! Changes of the console's rules: everything is compiled and every test of a rule file runs before anything is written; then the
//! file is replaced and the rules are put in force. If anything is wrong, nothing changes.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::assembly::{Assembly, Changes};
use super::awaited::Awaited;
use super::mib_subprocess;
use crate::config::loaded;
use crate::maker::trial::{Bench, NotTried, Trial};
use crate::maker::versions::{Edit, tag};
use crate::maker::{Ground, Versions, bounds, trial};
use crate::rules::console::ConsoleRules;
use crate::settings::diagnostic::Diagnostics;

/// How long groups of the inbox are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long compiling the rules and running their tests may take.
const COMPILING: Duration = Duration::from_secs(30);

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The new rules.
    pub edit: Edit,
    /// The [`tag`] of the rules that the change was made from; none to change whatever there is.
    pub base: Option<String>,
    /// Only look whether it can be done.
    pub dry_run: bool,
}

/// What became of a change.
#[derive(Debug)]
pub struct Changed {
    /// What is told to whoever wanted it.
    pub answer: Value,
    /// What is in force now; none if nothing has changed.
    pub changes: Option<Changes>,
    /// Why it is refused.
    pub refused: Option<Diagnostics>,
}

impl Changed {
    fn not(answer: Value) -> Self {
        Changed { answer, changes: None, refused: None }
    }

    /// Something is in the way that has nothing to do with the rules.
    fn failed(why: &str) -> Self {
        tracing::warn!("the rules of the console: {why}");
        Changed::not(json!({ "ok": true, "result": "failed", "error": why }))
    }

    fn refused(found: Diagnostics, tests: &Value) -> Self {
        let diagnostics = found.clone().first(trial::DIAGNOSTICS).to_json();
        let answer = json!({ "ok": true, "result": "refused", "diagnostics": diagnostics, "tests": tests });
        Changed { answer, changes: None, refused: Some(found) }
    }
}

/// Carries out a change. Blocks.
pub fn change(path: Option<&Path>, assembly: &Assembly, awaited: &Awaited, change: &Change) -> Changed {
    let directory = assembly.status.shared.journal.directory().to_owned();
    match changed(path, assembly, awaited, change, &directory) {
        Ok(changed) => changed,
        Err(error) => Changed::failed(&format!(
            "cannot use the rules of the console in {}: {error}; check the disk",
            directory.display()
        )),
    }
}

fn changed(
    path: Option<&Path>,
    assembly: &Assembly,
    awaited: &Awaited,
    change: &Change,
    directory: &Path,
) -> io::Result<Changed> {
    let mut versions = Versions::open(directory)?;
    let before = tag(versions.text());
    if change.base.as_ref().is_some_and(|base| *base != before) {
        return Ok(Changed::not(json!({ "ok": true, "result": "stale", "tag": before })));
    }
    let (undone, text): (Option<u64>, Arc<str>) = match &change.edit {
        Edit::Put { text } => (None, text.as_str().into()),
        Edit::Undo { skip } => match versions.before(*skip)? {
            Some((number, text)) => (Some(number), text.into()),
            None => return Ok(Changed::not(json!({ "ok": true, "result": "nothing", "tag": before }))),
        },
    };
    let none = json!({ "passed": 0, "failed": 0 });
    let whole = |found: Diagnostics| Ok(Changed::refused(found, &none));
    if let Err(too_much) = bounds::ALL.check(&text) {
        let mut found = Diagnostics::default();
        let file = ConsoleRules::In(directory.to_owned()).path().display().to_string();
        found.file_error(&file, too_much.to_string(), "");
        return whole(found);
    }
    if takes_too_long(assembly, &text) {
        let mut found = Diagnostics::default();
        let file = ConsoleRules::In(directory.to_owned()).path().display().to_string();
        found.file_error(
            &file,
            NotTried::TooLong.to_string(),
            "move rules into a rule file of [rules] paths, where nobody else waits for them",
        );
        return whole(found);
    }
    let (mut config, mut found) = match loaded::config(path) {
        Ok(read) => read,
        Err(found) => return whole(found),
    };
    let absent = awaited.excuse(&mut config, &mut found);
    config.console = ConsoleRules::Text(directory.to_owned(), text.clone());
    mib_subprocess::index(&config);
    let setup = assembly.load(config, found);
    if setup.compiled.rules.is_none() {
        return whole(setup.found);
    }
    let report = loaded::prove(&setup);
    let tests = json!({ "passed": report.passed, "failed": report.failed });
    if report.failed > 0 {
        return Ok(Changed::refused(report.found, &tests));
    }
    let warnings = setup.found.clone().first(trial::DIAGNOSTICS).to_json();
    if change.dry_run {
        let answer = json!({ "ok": true, "result": "possible", "tag": before, "text": &*text, "diagnostics": warnings, "tests": tests });
        return Ok(Changed::not(answer));
    }
    let plan = match assembly.plan_loaded(setup) {
        Ok(plan) => plan,
        Err(found) => return Ok(Changed::refused(found, &tests)),
    };
    match undone {
        Some(number) => versions.undo(number, &text)?,
        None => versions.save(&text)?,
    }
    let Some(changes) = assembly.carry_out(plan) else {
        return Ok(Changed::failed("saved; the daemon stops, and its next start reads it"));
    };
    awaited.now_only(absent);
    let answer = json!({
        "ok": true, "result": "saved", "tag": tag(&text), "rules": changes.rules, "tests": tests, "diagnostics": warnings,
        "undo": versions.count()?, "left": settle(assembly),
    });
    Ok(Changed { answer, changes: Some(changes), refused: None })
}

/// Whether to compile the rules and to run their tests takes longer than reloads may wait for it. They are tried apart, where that can be
/// given up.
fn takes_too_long(assembly: &Assembly, text: &str) -> bool {
    let status = &assembly.status;
    let (in_force, workshop, began) = (status.shared.in_force(), status.workshop(), Cell::new(None));
    let spent = || {
        let now = status.clock.now().mono;
        let start = began.get().unwrap_or(now);
        began.set(Some(start));
        now.since(start) > COMPILING
    };
    let bench = Bench {
        workshop: &workshop,
        mib: in_force.active.rules.mib_handle(),
        tables: &in_force.tables,
        ground: Ground::of(&in_force, None, &|_| None),
        max_message: in_force.active.rules.max_message,
        late: &|| true,
        spent: &spent,
    };
    let trial = Trial { toml: text.to_owned(), whole: true, ..Trial::default() };
    matches!(bench.run(&trial, &[]), Err(NotTried::TooLong))
}

/// Forgets the groups of the inbox that rules take now; gives their numbers.
fn settle(assembly: &Assembly) -> Vec<u64> {
    let status = &assembly.status;
    let (in_force, began) = (status.shared.in_force(), status.clock.now());
    let answers = status.shared.commit.correlation.at(began);
    let ground = Ground::of(&in_force, Some(&answers), &|_| None);
    let late = || status.clock.now().mono.since(began.mono) > LOOK;
    let settled = trial::settled(&in_force.active.rules, &ground, &status.inbox().groups(), &late);
    // No number at all would mean all groups.
    if !settled.is_empty() {
        status.inbox().forget(&settled);
    }
    settled
}
