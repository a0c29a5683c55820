//! Regular expressions with a budget.
//!
//! The regex crates find one match in a time that is linear in the length of the text, but also in the size of the pattern:
//! `(a{1,60}){1,60}b` needs seconds for 64 KiB. All matches of a text can need quadratic time. So texts that are short for
//! their pattern go to the ordinary engine. Longer ones go through a lazy DFA, which looks at each byte once and
//! counts what it does: its bytes, and its states, whose number is limited.

use std::ops::Range;
use std::sync::OnceLock;

use regex::{RegexSet, RegexSetBuilder};
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, MatchKind, PatternSet, meta};
use regex_syntax::hir::{Hir, HirKind};

use crate::language::budget;

/// The most steps of the ordinary engine: bytes of the text times positions in the pattern, of which each can cost about
/// 9 ns.
const STEPS: u64 = 512 * 1024;
/// The most memory for states of the lazy DFA. A pattern that needs more for a text is over budget.
const STATES: usize = 1 << 20;
/// The units of a match, beside its bytes.
const MATCH: u64 = 64;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: Box<str>,
    regex: meta::Regex,
    /// The positions in the pattern at which its automaton can be at the same time, at most.
    width: u64,
    bounded: OnceLock<Option<Box<Bounded>>>,
}

/// The lazy DFAs that find the end of a match, and from there its start.
#[derive(Debug, Clone)]
struct Bounded {
    forward: DFA,
    reverse: DFA,
}

/// Why a lazy DFA does not search a text to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It needs more work than it may.
    OverBudget,
    /// It knows the boundaries of words in ASCII only.
    WordBoundary,
}

/// The matches of groups: of each its place in the text, none for a group that did not take part.
pub type Groups = Vec<Option<Range<usize>>>;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// If it is no regular expression, or too large.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        // The same limits and the same words for mistakes as everywhere else.
        regex::Regex::new(pattern)?;
        let wrong = |error: &dyn std::fmt::Display| regex::Error::Syntax(error.to_string());
        let width = regex_syntax::parse(pattern).map_or(u64::MAX, |hir| width(&hir));
        let regex = meta::Regex::new(pattern).map_err(|error| wrong(&error))?;
        Ok(Pattern { source: pattern.into(), regex, width, bounded: OnceLock::new() })
    }

    /// The names of the groups, without those that have none, each with its index.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.regex.group_info().pattern_names(regex_automata::PatternID::ZERO);
        names.enumerate().filter_map(|(at, name)| Some((at, name?)))
    }

    /// Whether the pattern matches anywhere in the text. False if that is over budget.
    pub fn is_match(&self, text: &str) -> bool {
        if self.is_cheap(text.len()) {
            return budget::spend(text.len() as u64) && self.regex.is_match(text);
        }
        self.search(text).is_some_and(|mut search| search.is_match())
    }

    /// The groups of the first match, the whole match first; none if there is none or that is over budget.
    pub fn captures(&self, text: &str) -> Option<Groups> {
        if self.is_cheap(text.len()) {
            let mut groups = self.regex.create_captures();
            if budget::spend(text.len() as u64) {
                self.regex.captures(text, &mut groups);
            }
            return groups.is_match().then(|| ranges(&groups));
        }
        let found = self.search(text)?.find(0)?;
        Some(ranges(&self.groups_within(text, found)?))
    }

    /// The text with matches replaced, at most `most` of them (0 for all); none if nothing matches or that is over budget.
    /// `$1` and `${name}` in `by` stand for groups.
    pub fn replace(&self, text: &str, most: usize, by: &str) -> Option<String> {
        let mut search = self.search(text)?;
        let mut replaced = String::new();
        let (mut at, mut copied, mut before, mut count) = (0, 0, None, 0);
        while let Some(found) = search.find(at) {
            // An empty match behind the one before belongs to it.
            if found.is_empty() && before == Some(found.end) {
                match text[at..].chars().next() {
                    Some(next) => at += next.len_utf8(),
                    None => break,
                }
                continue;
            }
            let start = replaced.len();
            replaced.push_str(&text[copied..found.start]);
            if by.contains('$') {
                let groups = self.groups_within(text, found.clone())?;
                groups.interpolate_string_into(text, by, &mut replaced);
            } else {
                replaced.push_str(by);
            }
            (at, copied, before, count) = (found.end, found.end, Some(found.end), count + 1);
            if !budget::spend(MATCH + (replaced.len() - start) as u64) {
                return None;
            }
            if count == most {
                break;
            }
        }
        replaced.push_str(&text[copied..]);
        (count > 0 && budget::spend((text.len() - copied) as u64)).then_some(replaced)
    }

    /// Whether the ordinary engine is quick enough for a text of so many bytes, whatever it says.
    fn is_cheap(&self, length: usize) -> bool {
        (length as u64).saturating_mul(self.width) <= STEPS
    }

    /// A search with the lazy DFAs; none if they cannot be built, which is over budget.
    fn search<'p>(&'p self, text: &'p str) -> Option<Search<'p>> {
        let bounded = self.bounded.get_or_init(|| Bounded::new(&self.source).map(Box::new));
        let Some(bounded) = bounded else {
            budget::exceed();
            return None;
        };
        Some(Search { pattern: self, bounded, text, forward: bounded.forward.create_cache(), reverse: None })
    }

    /// The groups of a match whose place is known.
    fn groups_within(&self, text: &str, found: Range<usize>) -> Option<Captures> {
        if !self.may_step(found.len() + 1) {
            return None;
        }
        let mut groups = self.regex.create_captures();
        let input = Input::new(text).span(found).anchored(Anchored::Yes);
        self.regex.search_captures(&input, &mut groups);
        groups.is_match().then_some(groups)
    }

    /// Whether the ordinary engine may look at so many bytes, however long that takes.
    fn may_step(&self, bytes: usize) -> bool {
        let steps = (bytes as u64).saturating_mul(self.width);
        if steps > 4 * STEPS {
            budget::exceed();
        }
        budget::spend(steps)
    }
}

impl Bounded {
    fn new(pattern: &str) -> Option<Self> {
        let (forward, reverse) = (MatchKind::LeftmostFirst, MatchKind::All);
        Some(Bounded { forward: dfa(&[pattern], forward, false)?, reverse: dfa(&[pattern], reverse, true)? })
    }
}

/// A lazy DFA with limited memory.
fn dfa(patterns: &[&str], kind: MatchKind, reverse: bool) -> Option<DFA> {
    let config = Config::new()
        .match_kind(kind)
        .unicode_word_boundary(true)
        .cache_capacity(STATES)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(0));
    let nfa = thompson::Config::new()
        .reverse(reverse)
        .nfa_size_limit(Some(64 << 20))
        .which_captures(thompson::WhichCaptures::None);
    DFA::builder().configure(config).thompson(nfa).build_many(patterns).ok()
}

/// A search for matches in a text.
struct Search<'p> {
    pattern: &'p Pattern,
    bounded: &'p Bounded,
    text: &'p str,
    forward: Cache,
    reverse: Option<Cache>,
}

impl Search<'_> {
    /// Whether there is a match.
    fn is_match(&mut self) -> bool {
        match self.end(0, true) {
            Ok(end) => end.is_some(),
            Err(Stop::WordBoundary) if self.pattern.may_step(self.text.len()) => {
                self.pattern.regex.is_match(self.text)
            }
            Err(_) => false,
        }
    }

    /// The first match from a place on; none if there is none or that is over budget.
    fn find(&mut self, mut at: usize) -> Option<Range<usize>> {
        loop {
            let found = match self
                .end(at, false)
                .and_then(|end| end.map(|end| self.start(at, end)).transpose())
            {
                Ok(found) => found?,
                Err(Stop::WordBoundary) if self.pattern.may_step(self.text.len() - at) => {
                    return self.pattern.regex.search(&Input::new(self.text).range(at..)).map(|m| m.range());
                }
                Err(_) => return None,
            };
            // An empty match within a character is none.
            if self.text.is_char_boundary(found.start) {
                return Some(found);
            }
            at = self.text.ceil_char_boundary(found.end);
        }
    }

    /// The end of the first match from a place on. With `earliest`, of any match.
    fn end(&mut self, at: usize, earliest: bool) -> Result<Option<usize>, Stop> {
        let (dfa, cache) = (&self.bounded.forward, &mut self.forward);
        let before = cache.memory_usage();
        let start = dfa.start_state_forward(cache, &Input::new(self.text).range(at..));
        let mut walk = Walk { state: start.map_err(|_| Stop::WordBoundary)?, steps: 0, last: None };
        for (offset, byte) in self.text.as_bytes()[at..].iter().enumerate() {
            let next = dfa.next_state(cache, walk.state, *byte);
            // A match shows itself one byte later.
            if walk.step(next.ok(), at + offset)? || (earliest && walk.last.is_some()) {
                return walk.end(before, cache);
            }
        }
        let next = dfa.next_eoi_state(cache, walk.state);
        walk.step(next.ok(), self.text.len())?;
        walk.end(before, cache)
    }

    /// The match that begins at or behind a place and ends at another.
    fn start(&mut self, at: usize, end: usize) -> Result<Range<usize>, Stop> {
        let dfa = &self.bounded.reverse;
        let cache = self.reverse.get_or_insert_with(|| dfa.create_cache());
        let before = cache.memory_usage();
        let input = Input::new(self.text).range(at..end).anchored(Anchored::Yes);
        let start = dfa.start_state_reverse(cache, &input);
        let mut walk = Walk { state: start.map_err(|_| Stop::WordBoundary)?, steps: 0, last: None };
        let bytes = self.text.as_bytes();
        let mut dead = false;
        for place in (at..end).rev() {
            let next = dfa.next_state(cache, walk.state, bytes[place]);
            dead = walk.step(next.ok(), place + 1)?;
            if dead {
                break;
            }
        }
        if !dead {
            let next = match at.checked_sub(1) {
                Some(before) => dfa.next_state(cache, walk.state, bytes[before]),
                None => dfa.next_eoi_state(cache, walk.state),
            };
            walk.step(next.ok(), at)?;
        }
        // The forward search has found a match that ends there.
        Ok(walk.end(before, cache)?.unwrap_or(end)..end)
    }
}

/// A walk through the states of a lazy DFA.
struct Walk {
    state: LazyStateID,
    steps: u64,
    /// The place of the last match.
    last: Option<usize>,
}

impl Walk {
    /// Goes to a state; true if no match can follow. `place` is where a match is that the state shows.
    fn step(&mut self, state: Option<LazyStateID>, place: usize) -> Result<bool, Stop> {
        let Some(state) = state else {
            budget::exceed();
            return Err(Stop::OverBudget);
        };
        self.state = state;
        self.steps += 1;
        if state.is_tagged() {
            if state.is_match() {
                self.last = Some(place);
            } else if state.is_quit() {
                return Err(Stop::WordBoundary);
            }
            return Ok(state.is_dead());
        }
        Ok(false)
    }

    /// The place of the last match, after what the walk has cost. `before` is how large the cache was.
    fn end(self, before: usize, cache: &Cache) -> Result<Option<usize>, Stop> {
        let states = cache.memory_usage().saturating_sub(before);
        if budget::spend(self.steps + 2 * states as u64) { Ok(self.last) } else { Err(Stop::OverBudget) }
    }
}

/// Patterns that are searched for all at once.
#[derive(Debug, Default)]
pub struct Patterns {
    set: RegexSet,
    width: u64,
    bounded: OnceLock<Option<DFA>>,
}

impl Patterns {
    /// Compiles patterns. They are known by their places.
    ///
    /// # Errors
    ///
    /// If one is no regular expression, or if together they are too large.
    pub fn new(patterns: &[&str]) -> Result<Self, regex::Error> {
        let set = RegexSetBuilder::new(patterns).size_limit(256 << 20).dfa_size_limit(32 << 20).build()?;
        let widths = patterns.iter().map(|p| regex_syntax::parse(p).map_or(u64::MAX, |hir| width(&hir)));
        Ok(Patterns { set, width: widths.fold(0, u64::saturating_add), bounded: OnceLock::new() })
    }

    /// Calls `found` for the patterns that match, and for all of them if it is over budget to find out which.
    pub fn candidates(&self, text: &str, mut found: impl FnMut(usize)) {
        if self.set.is_empty() || !budget::spend(text.len() as u64) {
            return;
        }
        if (text.len() as u64).saturating_mul(self.width) <= STEPS {
            return self.set.matches(text).iter().for_each(found);
        }
        let all = 0..self.set.len();
        let patterns: Vec<&str> = self.set.patterns().iter().map(String::as_str).collect();
        let Some(bounded) = self.bounded.get_or_init(|| dfa(&patterns, MatchKind::All, false)) else {
            return all.for_each(found);
        };
        let (mut cache, mut matching) = (bounded.create_cache(), PatternSet::new(self.set.len()));
        let searched = bounded.try_which_overlapping_matches(&mut cache, &Input::new(text), &mut matching);
        budget::spend(2 * cache.memory_usage() as u64);
        match searched {
            Ok(()) => matching.iter().for_each(|pattern| found(pattern.as_usize())),
            Err(_) => all.for_each(found),
        }
    }
}

fn ranges(groups: &Captures) -> Groups {
    groups.iter().map(|group| group.map(|span| span.range())).collect()
}

/// How many positions of a pattern can be reached at the same time, at most.
fn width(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => width(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            width(&repetition.sub).saturating_mul(times.into())
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(width).fold(0, u64::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    /// A pattern that never goes to the ordinary engine.
    fn bounded(pattern: &str) -> Pattern {
        Pattern { width: u64::MAX, ..Pattern::new(pattern).unwrap() }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "a", "b", "ab", "é", "[ab]", r"\w", ".", "^", "$", r"\b", r"\B", "(?m:^)", "", "a{1,3}", "[^a]",
            r"\s",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                inner.clone().prop_map(|a| format!("(?:{a})*")),
                inner.clone().prop_map(|a| format!("(?:{a})+?")),
                inner.clone().prop_map(|a| format!("(?:{a})?")),
                inner.prop_map(|a| format!("({a})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn as_the_regex_crate(pattern in pattern(), text in "[abé \n]{0,12}", most in 0..3_usize) {
            let regex = Regex::new(&pattern).unwrap();
            let groups = |found: &regex::Captures<'_>| -> Groups {
                found.iter().map(|group| group.map(|g| g.range())).collect()
            };
            for ours in [Pattern::new(&pattern).unwrap(), bounded(&pattern)] {
                // What needs words beyond ASCII goes back to the ordinary engine, unless that may not be asked.
                let width = if pattern.contains(r"\b") || pattern.contains(r"\B") { 1 } else { ours.width };
                let ours = Pattern { width, ..ours };
                let (got, over) = budget::field(|| (ours.is_match(&text), ours.replace(&text, most, "<>")));
                prop_assert!(!over);
                let replaced = regex.replacen(&text, most, "<>");
                prop_assert_eq!(got.0, regex.is_match(&text), "{:?} {:?}", &pattern, &text);
                let got = got.1.unwrap_or_else(|| text.clone());
                prop_assert_eq!(got, replaced.into_owned(), "{:?} {:?}", &pattern, &text);
                let (got, _) = budget::field(|| Pattern { width: 1, ..ours.clone() }.captures(&text));
                prop_assert_eq!(got, regex.captures(&text).as_ref().map(groups), "{:?} {:?}", &pattern, &text);
                let width = ours.width;
                let ends = ours.search(&text).unwrap().find(0);
                prop_assert_eq!(ends, regex.find(&text).map(|m| m.range()), "{:?} {:?} {}", &pattern, &text, width);
            }
        }

        #[test]
        fn many_as_each(patterns in prop::collection::vec(pattern(), 1..5), text in "[ab \n]{0,12}") {
            let sources: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let matching = |all: &Patterns| {
                let mut found = Vec::new();
                budget::field(|| all.candidates(&text, |at| found.push(at)));
                found
            };
            let each: Vec<usize> =
                (0..sources.len()).filter(|at| Regex::new(sources[*at]).unwrap().is_match(&text)).collect();
            let all = Patterns::new(&sources).unwrap();
            prop_assert_eq!(&matching(&all), &each);
            prop_assert_eq!(&matching(&Patterns { width: u64::MAX, ..all }), &each);
        }
    }

    #[test]
    fn groups_of_long_texts() {
        let pattern = bounded(r"(?<user>\w+)@(?<host>[a-z.]+)(x)?");
        let pattern = Pattern { width: 1000, ..pattern };
        let text = format!("{} anna@example.org {}", "é ".repeat(2000), "y".repeat(100));
        let (groups, over) = budget::field(|| pattern.captures(&text));
        let found: Vec<Option<&str>> =
            groups.unwrap().into_iter().map(|group| group.map(|g| &text[g])).collect();
        assert_eq!(found, [Some("anna@example.org"), Some("anna"), Some("example.org"), None]);
        assert!(!over);
        assert_eq!(pattern.names().collect::<Vec<_>>(), [(1, "user"), (2, "host")]);
        let (replaced, over) = budget::field(|| pattern.replace(&text, 0, "${host} $$ $1"));
        assert!(replaced.unwrap().contains(" example.org $ anna "));
        assert!(!over);
    }

    /// Each ends, within its budget or over it.
    #[test]
    fn hostile_patterns_on_hostile_texts_end() {
        let shapes = ["a", "<", "(", "\"", "é", "a b;"].map(|piece| piece.repeat(65_536 / piece.len()));
        for pattern in [
            "<[^>]*>|<",
            "\"[^\"]*\"|\\(.*\\)|\\(",
            r"(\w+=\w+;)|\w",
            "(a{1,60}){1,60}b",
            r"((?-u:\w){1,50}\s){1,50}$",
            "(?i)(?:a|b|ab|aab)*c$",
            "(x+x+)+y",
            ".*.*.*.*x",
            "(?:)",
            "a*",
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            for text in &shapes {
                for operation in 0..4 {
                    budget::field(|| match operation {
                        0 => drop(pattern.is_match(text)),
                        1 => drop(pattern.captures(text)),
                        2 => drop(pattern.replace(text, 0, "")),
                        _ => drop(pattern.replace(text, 0, "$0$0")),
                    });
                }
            }
        }
        let (_, over) = budget::field(|| Pattern::new("<[^>]*>|<").unwrap().replace(&shapes[1], 0, ""));
        assert!(over);
        let (_, over) = budget::field(|| Pattern::new("(a{1,60}){1,60}b").unwrap().is_match(&shapes[0]));
        assert!(over);
    }
}
