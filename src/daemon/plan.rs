//! What a reload changes, decided from what runs and what is configured. Pure.

use crate::config::Config;
use crate::journal;
use crate::settings::diagnostic::{Diagnostics, Place};
use crate::settings::section::Digest;

/// A sink that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningSink<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its section said.
    pub digest: Digest,
}

/// A sink that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedSink<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its former name.
    pub was: Option<&'a str>,
    /// What its section says.
    pub digest: Digest,
}

/// What becomes of a configured sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkStep {
    /// It goes on as it is.
    Keep,
    /// It ends its sending and goes on at its progress with other settings.
    Change,
    /// It starts, at its cursor if it has one, else with what comes from now on.
    Start,
    /// A running sink of this name ends its sending; the sink goes on at its progress.
    Rename(String),
    /// It starts at the cursor of this name, which no sink uses.
    TakeOver(String),
}

/// What becomes of all sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSteps {
    /// For each configured sink, in their order.
    pub steps: Vec<SinkStep>,
    /// Running sinks that end. Their cursors stay.
    pub removed: Vec<String>,
}

/// What becomes of the sinks. `cursors` are the names of all cursors, running or not.
///
/// `was` counts once: only as long as the sink has no cursor of its own.
pub fn sinks(running: &[RunningSink<'_>], cursors: &[String], wanted: &[WantedSink<'_>]) -> SinkSteps {
    let runs = |name: &str| running.iter().find(|sink| sink.name == name);
    let has_cursor = |name: &str| cursors.iter().any(|cursor| cursor == name);
    let step = |sink: &WantedSink<'_>| {
        if let Some(before) = runs(sink.name) {
            return if before.digest == sink.digest { SinkStep::Keep } else { SinkStep::Change };
        }
        match sink.was.filter(|was| !has_cursor(sink.name) && has_cursor(was)) {
            Some(was) if runs(was).is_some() => SinkStep::Rename(was.to_owned()),
            Some(was) => SinkStep::TakeOver(was.to_owned()),
            None => SinkStep::Start,
        }
    };
    let steps: Vec<SinkStep> = wanted.iter().map(step).collect();
    let goes_on = |name: &str| {
        wanted.iter().any(|sink| sink.name == name)
            || steps.iter().any(|step| matches!(step, SinkStep::Rename(from) if from == name))
    };
    let removed = running.iter().filter(|sink| !goes_on(sink.name)).map(|sink| sink.name.to_owned());
    SinkSteps { removed: removed.collect(), steps }
}

/// What becomes of things that are told apart by a key: listeners, for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// Places among the running of those that go on; and places among the wanted of what they shall be.
    pub kept: Vec<(usize, usize)>,
    /// Places among the wanted of those that start.
    pub added: Vec<usize>,
    /// Places among the running of those that end.
    pub removed: Vec<usize>,
}

/// Compares keys of what runs with keys of what is wanted. Equal keys go on, in their order.
pub fn steps<K: PartialEq>(running: &[K], wanted: &[K]) -> Steps {
    let mut removed: Vec<usize> = (0..running.len()).collect();
    let (mut kept, mut added) = (Vec::new(), Vec::new());
    for (to, key) in wanted.iter().enumerate() {
        match removed.iter().position(|from| running[*from] == *key) {
            Some(at) => kept.push((removed.remove(at), to)),
            None => added.push(to),
        }
    }
    Steps { kept, added, removed }
}

/// The journal cannot be exchanged while listeners and sinks use it.
pub fn journal_stays(running: &journal::Settings, config: &Config, found: &mut Diagnostics) {
    let wanted = &config.journal;
    let changed = [
        ("directory", running.directory != wanted.directory),
        ("max_size", running.max_size != wanted.max_size),
        ("sync", running.sync != wanted.sync),
        ("when_full", running.when_full != wanted.when_full),
    ];
    let changed: Vec<&str> =
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
    if !changed.is_empty() {
        let message = format!("[journal] {} cannot be changed by a reload", changed.join(", "));
        error_at(config.journal_place.as_ref(), message, "restart trapline, or undo this change", found);
    }
}

/// A mistake at its place in the configuration, where that is known.
pub fn error_at(place: Option<&Place>, message: String, hint: &str, found: &mut Diagnostics) {
    match place {
        Some(place) => found.push(place.error(message, hint)),
        None => found.file_error("trapline", message, hint),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn running(name: &str, digest: u8) -> RunningSink<'_> {
        RunningSink { name, digest: [digest; 32] }
    }

    fn wanted<'a>(name: &'a str, was: Option<&'a str>, digest: u8) -> WantedSink<'a> {
        WantedSink { name, was, digest: [digest; 32] }
    }

    fn cursors(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn sinks_are_kept_changed_added_and_removed() {
        let before = [running("same", 1), running("other", 1), running("gone", 1)];
        let after = [wanted("new", None, 1), wanted("other", None, 2), wanted("same", None, 1)];
        let steps = sinks(&before, &cursors(&["gone", "other", "same"]), &after);
        assert_eq!(steps.steps, [SinkStep::Start, SinkStep::Change, SinkStep::Keep]);
        assert_eq!(steps.removed, ["gone"]);
        assert_eq!(sinks(&before, &[], &[]).removed, ["same", "other", "gone"]);
        assert_eq!(sinks(&[], &cursors(&["same"]), &after).steps, vec![SinkStep::Start; 3]);
    }

    #[test]
    fn a_former_name_counts_once() {
        let renamed = [wanted("new", Some("old"), 1)];
        let rename = sinks(&[running("old", 1)], &cursors(&["old"]), &renamed);
        assert_eq!((rename.steps, rename.removed), (vec![SinkStep::Rename("old".into())], vec![]));
        let take_over = sinks(&[], &cursors(&["old"]), &renamed);
        assert_eq!(take_over.steps, [SinkStep::TakeOver("old".into())]);
        // The sink has a cursor of its own: what is left under the former name is another's.
        for before in [vec![], vec![running("old", 1)]] {
            let steps = sinks(&before, &cursors(&["new", "old"]), &renamed);
            assert_eq!(steps.steps, [SinkStep::Start]);
            assert_eq!(steps.removed.len(), before.len());
        }
        assert_eq!(sinks(&[], &[], &renamed).steps, [SinkStep::Start], "nobody was 'old'");
        assert_eq!(sinks(&[running("new", 1)], &cursors(&["new"]), &renamed).steps, [SinkStep::Keep]);
    }

    #[test]
    fn two_sinks_change_names() {
        // Both have cursors, so each goes on with its own.
        let steps = sinks(
            &[running("a", 1), running("b", 2)],
            &cursors(&["a", "b"]),
            &[wanted("a", None, 2), wanted("b", None, 1)],
        );
        assert_eq!(steps.steps, [SinkStep::Change, SinkStep::Change]);
    }

    proptest! {
        #[test]
        fn every_sink_gets_one_step(
            before in prop::collection::btree_map("[a-d]", 0u8..2, 0..4),
            left_over in prop::collection::btree_set("[a-f]", 0..3),
            after in prop::collection::btree_map("[a-f]", (prop::option::of("[a-f]"), 0u8..2), 0..5),
        ) {
            let before: Vec<_> = before.iter().map(|(name, digest)| running(name, *digest)).collect();
            let mut names: Vec<&str> = before.iter().map(|sink| sink.name).collect();
            names.extend(left_over.iter().map(String::as_str));
            let mut used: Vec<&str> = Vec::new();
            // As the configuration allows it: a former name is no sink's name and has one heir.
            let after: Vec<_> = after.iter().map(|(name, (was, digest))| {
                let was = was.as_deref().filter(|was| !after.contains_key(*was) && !used.contains(was));
                used.extend(was);
                wanted(name, was, *digest)
            }).collect();
            let result = sinks(&before, &cursors(&names), &after);
            prop_assert_eq!(result.steps.len(), after.len());
            let mut ends = result.removed.clone();
            for (step, sink) in result.steps.iter().zip(&after) {
                let runs = before.iter().find(|before| before.name == sink.name);
                match step {
                    SinkStep::Keep => prop_assert_eq!(runs.unwrap().digest, sink.digest),
                    SinkStep::Change => prop_assert_ne!(runs.unwrap().digest, sink.digest),
                    SinkStep::Start => prop_assert!(runs.is_none()),
                    SinkStep::Rename(from) => {
                        prop_assert!(before.iter().any(|before| before.name == from));
                        prop_assert!(!names.contains(&sink.name), "no cursor is lost");
                        ends.push(from.clone());
                    }
                    SinkStep::TakeOver(from) => {
                        prop_assert!(names.contains(&from.as_str()) && !names.contains(&sink.name));
                        prop_assert!(before.iter().all(|before| before.name != from));
                    }
                }
            }
            // Whoever ran before goes on, is renamed once, or ends.
            for sink in &before {
                let goes_on = after.iter().filter(|after| after.name == sink.name).count();
                prop_assert_eq!(goes_on + ends.iter().filter(|name| **name == sink.name).count(), 1);
            }
        }

        #[test]
        fn keys_are_kept_added_or_removed(before in prop::collection::vec(0u8..6, 0..6), after in prop::collection::vec(0u8..6, 0..6)) {
            let Steps { kept, added, removed } = steps(&before, &after);
            prop_assert!(kept.iter().all(|(from, to)| before[*from] == after[*to]));
            let mut from: Vec<usize> = kept.iter().map(|(from, _)| *from).chain(removed.iter().copied()).collect();
            let mut to: Vec<usize> = kept.iter().map(|(_, to)| *to).chain(added.iter().copied()).collect();
            from.sort_unstable();
            to.sort_unstable();
            prop_assert_eq!(from, (0..before.len()).collect::<Vec<_>>());
            prop_assert_eq!(to, (0..after.len()).collect::<Vec<_>>());
            prop_assert!(added.iter().all(|to| !removed.iter().any(|from| before[*from] == after[*to])));
        }
    }
}
