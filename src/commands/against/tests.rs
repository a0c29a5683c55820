use std::sync::Arc;

use super::difference::{Differences, Kind, compare};
use super::run::Comparison;
use crate::capture::{Body, Entry};
use crate::config::Config;
use crate::mib::Mib;
use crate::outcome::name::Name;
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::rules::RuleSet;
use crate::rules::compile::{RuleFile, compile};

fn outcome(
    rule: &'static str,
    service: &'static str,
    state: State,
    output: &'static str,
) -> Outcome<'static> {
    Outcome::CheckResult(CheckResult {
        common: Common {
            time: 7,
            rule: rule.into(),
            state,
            output: output.into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        },
        host: Name::new("h"),
        service: Some(Name::new(service)),
        perfdata: "".into(),
    })
}

#[test]
fn each_kind_of_difference() {
    use State::{Critical, Ok};
    let a = outcome("a", "s", Ok, "x");
    let renamed = outcome("b", "s", Ok, "x");
    let (worse, other_text) = (outcome("a", "s", Critical, "x"), outcome("a", "s", Ok, "y"));
    let elsewhere = outcome("a", "t", Ok, "x");
    let kinds = |before: &[&Outcome<'static>], after: &[&Outcome<'static>]| -> Vec<Kind> {
        let owned = |all: &[&Outcome<'static>]| all.iter().map(|one| (*one).clone()).collect::<Vec<_>>();
        let mut kinds: Vec<Kind> =
            compare(&owned(before), &owned(after)).iter().map(|difference| difference.kind).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&[&a], &[&a]), []);
    assert_eq!(kinds(&[&a], &[&renamed]), [], "receivers do not see it");
    assert_eq!(kinds(&[&a, &worse], &[&worse, &a]), []);
    assert_eq!(kinds(&[], &[&a]), [Kind::New]);
    assert_eq!(kinds(&[&a], &[]), [Kind::Gone]);
    assert_eq!(kinds(&[&a], &[&worse]), [Kind::State]);
    assert_eq!(kinds(&[&a], &[&other_text]), [Kind::Text]);
    assert_eq!(kinds(&[&a], &[&elsewhere]), [Kind::New, Kind::Gone]);
    assert_eq!(kinds(&[&a, &elsewhere], &[&elsewhere]), [Kind::Gone]);
    let mut all = Differences::default();
    for (before, after) in [(&[&a][..], &[&worse][..]), (&[&a], &[&worse]), (&[], &[&renamed]), (&[&a], &[])]
    {
        let owned = |all: &[&Outcome<'static>]| all.iter().map(|one| (*one).clone()).collect::<Vec<_>>();
        for difference in compare(&owned(before), &owned(after)) {
            all.add(difference, || "a message".to_owned());
        }
    }
    insta::assert_snapshot!(all.to_text());
    insta::assert_snapshot!(all.to_json());
}

fn rules(text: &str) -> RuleSet {
    let file = RuleFile { name: "r.toml".into(), text: text.into() };
    let compiled = compile(&[file], Arc::new(Mib::default()));
    assert_eq!(compiled.found.to_text(), "");
    compiled.rules.unwrap()
}

fn rule(more: &str, state: &str) -> String {
    format!(
        "[[rule]]\nid = \"a\"\nsyslog = {{ program = \"p\" }}\n{more}\n[rule.check]\nservice = \"S\"\nstate = \"{state}\"\noutput = \"{{{{ message }}}}\"\n"
    )
}

/// Lines at these seconds through both rule sets.
fn differ(before: &str, after: &str, seconds: &[i64]) -> u64 {
    let (config, before, after) = (Config::default(), rules(before), rules(after));
    let mut comparison = Comparison::new(&config, &before, &after);
    for second in seconds {
        comparison.entry(&Entry {
            received: 1_700_000_000_000_000 + second * 1_000_000,
            from: [192, 0, 2, 1].into(),
            tags: None,
            body: Body::Line { text: "<13>Nov 14 22:13:20 h p: down", cut: false },
        });
    }
    comparison.differences.count()
}

#[test]
fn what_rules_keep_over_time_counts() {
    let plain = rule("", "critical");
    assert_eq!(differ(&plain, &plain, &[0, 1, 2]), 0);
    assert_eq!(differ(&plain, &rule("", "warning"), &[0, 1, 2]), 3);
    assert_eq!(differ(&plain, "", &[0, 1, 2]), 3);
    let dedup = |window: &str| rule(&format!("dedup = {{ window = \"{window}\" }}"), "critical");
    assert_eq!(differ(&dedup("1h"), &dedup("1h"), &[0, 60, 120]), 0);
    assert_eq!(differ(&plain, &dedup("1h"), &[0, 60, 120]), 2);
    assert_eq!(differ(&dedup("90s"), &dedup("1h"), &[0, 60, 120]), 1);
    // A message that was received before another one changes nothing.
    assert_eq!(differ(&dedup("1h"), &dedup("1h"), &[60, 0, 120]), 0);
}
