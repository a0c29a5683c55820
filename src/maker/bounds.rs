//! How much may be tried or saved at once: whoever may only read must not occupy the daemon.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most of a text of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Rules.
    pub rules: usize,
    /// Tests; each step counts as one.
    pub tests: usize,
    /// Keys and elements of lists, in all rules and tests.
    pub values: usize,
}

/// The most of rules that are tried behind the others.
pub const NEW: Bounds = Bounds { bytes: 64 << 10, rules: 100, tests: 200, values: 5_000 };
/// The most of all rules of the console.
pub const ALL: Bounds =
    Bounds { bytes: crate::rules::console::MOST, rules: 1_000, tests: 2_000, values: 50_000 };

/// A text that is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text has {count} {what}, and at most {most} are taken; {hint}")]
pub struct TooMuch {
    /// How many it has.
    pub count: usize,
    /// Of what.
    pub what: &'static str,
    /// How many it may have.
    pub most: usize,
    /// What to do.
    pub hint: &'static str,
}

impl Bounds {
    /// Whether a text is within them. One that is no TOML is: nothing but its syntax is looked at.
    ///
    /// # Errors
    ///
    /// What is too much.
    pub fn check(&self, text: &str) -> Result<(), TooMuch> {
        let hint = if *self == ALL {
            "move rules into a rule file of [rules] paths"
        } else {
            "try fewer of them at a time"
        };
        let within = |count: usize, most: usize, what: &'static str| {
            if count > most { Err(TooMuch { count, what, most, hint }) } else { Ok(()) }
        };
        within(text.len(), self.bytes, "bytes")?;
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Ok(());
        }
        let root = DeValue::Table(root.into_inner());
        let rules = below(&root, "rule");
        within(rules.len(), self.rules, "rules")?;
        let tests: Vec<_> = rules.iter().flat_map(|rule| below(rule, "test")).collect();
        let steps: usize = tests.iter().map(|test| below(test, "step").len().max(1)).sum();
        within(steps, self.tests, "tests and steps")?;
        within(values(&root), self.values, "keys and elements")
    }
}

/// The elements of a list in a table.
fn below<'v, 's>(value: &'v DeValue<'s>, key: &str) -> Vec<&'v DeValue<'s>> {
    let DeValue::Table(table) = value else { return Vec::new() };
    match table.get(key).map(Spanned::get_ref) {
        Some(DeValue::Array(list)) => list.iter().map(Spanned::get_ref).collect(),
        _ => Vec::new(),
    }
}

/// How many values there are.
fn values(root: &DeValue<'_>) -> usize {
    let (mut count, mut left) = (0, vec![root]);
    while let Some(value) = left.pop() {
        let before = left.len();
        match value {
            DeValue::Table(table) => left.extend(table.values().map(Spanned::get_ref)),
            DeValue::Array(list) => left.extend(list.iter().map(Spanned::get_ref)),
            _ => {}
        }
        count += left.len() - before;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_with_its_limit() {
        let rule = "[[rule]]\nid = 'a'\n";
        let test = "[[rule.test]]\nsyslog = 'x'\n";
        let step = "[[rule.test.step]]\nat = '1s'\n";
        let too_much = |text: &str| NEW.check(text).map_err(|error| (error.count, error.what, error.most));
        assert_eq!(too_much(&rule.repeat(100)), Ok(()));
        assert_eq!(too_much(&rule.repeat(101)), Err((101, "rules", 100)));
        assert_eq!(too_much(&format!("{rule}{}", test.repeat(201))), Err((201, "tests and steps", 200)));
        assert_eq!(
            too_much(&format!("{rule}{test}{}", step.repeat(201))),
            Err((201, "tests and steps", 200))
        );
        assert_eq!(too_much(&" ".repeat(70_000)), Err((70_000, "bytes", 65_536)));
        let keys: String = (0..5_001).map(|n| format!("k{n} = 1\n")).collect();
        assert_eq!(too_much(&keys), Err((5_001, "keys and elements", 5_000)));
        assert_eq!(
            too_much(&format!("x = [{}]", "[],".repeat(5_000))),
            Err((5_001, "keys and elements", 5_000))
        );
        assert_eq!(too_much(&"[[".repeat(10_000)), Ok(()), "its syntax is said elsewhere");
        assert_eq!(ALL.check(&rule.repeat(1_000)), Ok(()));
        let error = ALL.check(&rule.repeat(1_001)).unwrap_err().to_string();
        assert!(error.contains("1001 rules") && error.contains("[rules] paths"), "{error}");
    }
}
