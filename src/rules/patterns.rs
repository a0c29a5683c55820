//! Which of many message patterns can match a message.
//!
//! Nearly every pattern needs some literal text. One automaton searches a message for the literals of all patterns in
//! one pass, and only patterns whose literal it finds are tried. The cost of the search does not depend on the number
//! of patterns. Patterns without a literal are searched for together.

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{AhoCorasick, Anchored};
use regex_syntax::hir::{Hir, HirKind};

use crate::language::{budget, pattern};

/// The minimum length of a literal, in bytes. Shorter ones are found too often to help.
const SHORTEST: usize = 3;
/// The maximum number of alternative literals of a pattern.
const MOST: usize = 32;

/// The most bytes of all literals for which the fastest automaton is built. It has a state for each of them.
const MOST_FAST: usize = 16_384;

/// The index of patterns. They are known by the numbers that they were added with.
#[derive(Debug, Default)]
pub struct Patterns {
    literals: Option<Literals>,
    /// The pattern of each literal.
    owners: Vec<u32>,
    set: pattern::Patterns,
    set_owners: Vec<u32>,
}

/// The automaton of the literals.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for all rules")]
enum Literals {
    /// While they are few.
    Dense(DFA),
    Other(AhoCorasick),
}

impl Literals {
    fn new(literals: &[Vec<u8>]) -> Result<Self, aho_corasick::BuildError> {
        // A state of the fastest automaton has up to 1 KiB.
        if literals.iter().map(Vec::len).sum::<usize>() <= MOST_FAST {
            DFA::builder().prefilter(false).build(literals).map(Literals::Dense)
        } else {
            AhoCorasick::new(literals).map(Literals::Other)
        }
    }

    /// Calls `found` for each that a text contains, as often as it does.
    #[inline]
    fn each_in(&self, text: &str, mut found: impl FnMut(usize)) {
        match self {
            Literals::Dense(dfa) => {
                // It is built for searches that begin anywhere.
                let Ok(mut state) = dfa.start_state(Anchored::No) else { return };
                for octet in text.as_bytes() {
                    state = dfa.next_state(Anchored::No, state, *octet);
                    if dfa.is_special(state) && dfa.is_match(state) {
                        (0..dfa.match_len(state))
                            .for_each(|at| found(dfa.match_pattern(state, at).as_usize()));
                    }
                }
            }
            Literals::Other(automaton) => {
                automaton.find_overlapping_iter(text).for_each(|literal| found(literal.pattern().as_usize()));
            }
        }
    }
}

impl Patterns {
    /// The index of some patterns, each with its number.
    ///
    /// # Errors
    ///
    /// If the patterns without literals together exceed the size limit.
    pub fn new<'p>(patterns: impl Iterator<Item = (u32, &'p str)>) -> Result<Self, regex::Error> {
        let (mut literals, mut owners) = (Vec::new(), Vec::new());
        let (mut rest, mut set_owners) = (Vec::new(), Vec::new());
        for (number, pattern) in patterns {
            match needed(pattern) {
                Some(texts) => {
                    owners.extend(texts.iter().map(|_| number));
                    literals.extend(texts);
                }
                None => {
                    rest.push(pattern);
                    set_owners.push(number);
                }
            }
        }
        let set = pattern::Patterns::new(&rest)?;
        let literals = if literals.is_empty() {
            None
        } else {
            let automaton = Literals::new(&literals).map(Some);
            automaton.map_err(|e| regex::Error::Syntax(e.to_string()))?
        };
        Ok(Patterns { literals, owners, set, set_owners })
    }

    /// Appends the numbers of the patterns that can match. A number can appear more than once.
    pub fn candidates(&self, message: &str, candidates: &mut Vec<u32>) {
        if let Some(literals) = &self.literals {
            budget::spend(message.len() as u64);
            literals.each_in(message, |literal| candidates.push(self.owners[literal]));
        }
        self.set.candidates(message, |at| candidates.push(self.set_owners[at]));
    }
}

/// Literals of which every match contains at least one; none if there are no such literals.
fn needed(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    literals_of(&hir).filter(|texts| texts.len() <= MOST && shortest(texts) >= SHORTEST)
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

fn literals_of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => literals_of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => literals_of(&repetition.sub),
        // Every part of a sequence matches; the part with the longest literals is the most selective.
        HirKind::Concat(parts) => parts.iter().filter_map(literals_of).max_by_key(|texts| shortest(texts)),
        // Any of the alternatives can match.
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(literals_of).collect();
            all.map(|texts| texts.into_iter().flatten().collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        needed(pattern).map(|all| all.into_iter().map(|t| String::from_utf8(t).unwrap()).collect())
    }

    #[test]
    fn literals_that_a_match_contains() {
        assert_eq!(texts(r"^Failed (?<m>\S+) for (?<u>.*) from \S+ port \d+"), Some(vec!["Failed ".into()]));
        assert_eq!(texts(r"(?:error|warning): \d+"), Some(vec!["error".into(), "warning".into()]));
        assert_eq!(texts(r"(?:error|x\d*)"), None);
        assert_eq!(texts(r"(?i)failed"), None);
        assert_eq!(texts(r"(?:abc)*"), None);
        assert_eq!(texts(r"(?:abcd)+"), Some(vec!["abcd".into()]));
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "abc", "cab", "bca", "a", "[bc]", r"\w", ".", "a+", "(?i)abc", "b{2,3}",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                inner.clone().prop_map(|a| format!("(?:{a})?")),
                inner.prop_map(|a| format!("({a})+")),
            ]
        })
    }

    proptest! {
        /// Every pattern that matches is among the candidates.
        #[test]
        fn no_match_is_missed(patterns in prop::collection::vec(pattern(), 1..8), message in "[abcABC ]{0,16}") {
            let index = Patterns::new(patterns.iter().enumerate().map(|(n, p)| (n as u32, p.as_str()))).unwrap();
            let mut candidates = Vec::new();
            index.candidates(&message, &mut candidates);
            for (n, pattern) in patterns.iter().enumerate() {
                if Regex::new(pattern).unwrap().is_match(&message) {
                    prop_assert!(candidates.contains(&(n as u32)), "{} on {:?}", pattern, message);
                }
            }
        }
    }
}
