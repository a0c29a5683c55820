//! What the names of a module's notifications say: the thing that each is about, its state, and which of them are
//! about the same thing.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::import::mib::vocabulary::{
    CHANGES, GENERAL_ENDS, NEGATIONS, OPPOSITES, OPPOSITES_OF_TROUBLE, Says, TAILS, TROUBLES, phrase, unglue,
};
use crate::import::mib::words::{common_start, is_acronym, plain, split, title};
use crate::outcome::result::State;

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// All words that say something, without the start that all names of the module share.
    pub words: Vec<String>,
    /// The state; none if the name says nothing about it.
    pub state: Option<State>,
    /// The words that say so.
    pub because: String,
    /// The words of the thing that it is about.
    stem: Vec<String>,
    /// The same without words such as High, which the end of the trouble may lack.
    loose: Vec<String>,
}

impl Name {
    fn is_good(&self) -> bool {
        self.state == Some(State::Ok)
    }

    fn is_bad(&self) -> bool {
        matches!(self.state, Some(State::Warning | State::Critical))
    }
}

/// Notifications about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their places among the names.
    pub members: Vec<usize>,
    /// The name of the thing, as an operator writes it.
    pub subject: String,
    /// Whether some report trouble and some its end.
    pub is_pair: bool,
}

/// The names of the notifications of a module, and their groups. The names of the module's objects tell what is the
/// vendor's prefix where there is only one notification.
pub fn read(names: &[&str], objects: &[&str]) -> (Vec<Name>, Vec<Group>) {
    let all: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let words: Vec<Vec<String>> = names.iter().map(|name| without_tails(whole_words(name, &all))).collect();
    let start = shared_start(&words, objects);
    let sides = opposite_sides(&words);
    let mut read: Vec<Name> =
        words.iter().enumerate().map(|(at, words)| one(words, sides.get(&at))).collect();
    let groups = groups(&read);
    let mut taken = HashSet::new();
    let groups = groups
        .into_iter()
        .map(|members| {
            let good = members.iter().any(|at| read[*at].is_good());
            let is_pair = good && members.iter().any(|at| read[*at].is_bad());
            let subject = subject(&members, &read, &words, start, &mut taken);
            Group { members, subject, is_pair }
        })
        .collect();
    for name in &mut read {
        // A prefix that is all that names the thing stays: "Link down".
        if name.stem.len() > start {
            name.words.drain(..start.min(name.words.len().saturating_sub(1)));
        }
    }
    (read, groups)
}

/// The words of a name. Names in small letters only are taken apart where a sibling or a known ending tells how.
fn whole_words(name: &str, all: &HashSet<String>) -> Vec<String> {
    let apart = |word: String| {
        if let Some((before, end)) = unglue(&word) {
            return vec![before.to_owned(), end.to_owned()];
        }
        let up = name.strip_suffix("up").filter(|stem| stem.len() >= 3);
        if let Some(stem) = up
            && word.ends_with("up")
            && word.len() > 4
            && all.contains(&format!("{}down", stem.to_lowercase()))
        {
            return vec![word[..word.len() - 2].to_owned(), "up".to_owned()];
        }
        vec![word]
    };
    split(name).into_iter().flat_map(apart).collect()
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|other| other.eq_ignore_ascii_case(word))
}

/// Takes off what says that this is a notification.
fn without_tails(mut words: Vec<String>) -> Vec<String> {
    while words.len() > 1 && words.last().is_some_and(|word| is_one_of(word, &TAILS)) {
        words.pop();
    }
    let is_filler = |word: &String| is_one_of(word, &["trap", "traps", "notification", "notify"]);
    if words.iter().filter(|word| !is_filler(word)).count() > 0 {
        words.retain(|word| !is_filler(word));
    }
    words
}

/// How many words of the start all names share and a service does without: vendors' prefixes, but no acronym that says
/// what the thing is, such as BGP.
fn shared_start(words: &[Vec<String>], objects: &[&str]) -> usize {
    let start = match words {
        [] => 0,
        [only] => {
            let prefix = only[0].as_str();
            let has = objects.iter().filter(|object| object.starts_with(prefix)).count();
            usize::from(only.len() > 2 && has > 1 && has * 2 > objects.len())
        }
        several => common_start(several),
    };
    let first = words.first().map(Vec::as_slice).unwrap_or_default();
    first.iter().take(start).take_while(|word| !is_acronym(word)).count()
}

/// A name with a blank: the other words, the place of the word, and the pair of lists that has it.
type Blank = (Vec<String>, usize, usize);

/// The sides of notifications whose names differ in one word that has an opposite: the place of the word, and whether
/// it is the end of trouble.
fn opposite_sides(words: &[Vec<String>]) -> HashMap<usize, (usize, bool)> {
    // Names, and whether each has the word for the end.
    let mut all: BTreeMap<Blank, Vec<(usize, bool)>> = BTreeMap::new();
    for (at, name) in words.iter().enumerate() {
        let lower: Vec<String> = name.iter().map(|word| word.to_lowercase()).collect();
        let of_trouble = lower.iter().any(|word| TROUBLES.contains(&word.as_str()));
        for (place, word) in lower.iter().enumerate() {
            let tables = OPPOSITES_OF_TROUBLE.iter().filter(|_| of_trouble).chain(OPPOSITES);
            for (class, (bad, good)) in tables.enumerate() {
                let good_side = good.contains(&word.as_str());
                if good_side || bad.contains(&word.as_str()) {
                    let mut rest = lower.clone();
                    "*".clone_into(&mut rest[place]);
                    let class = if of_trouble { class } else { class + OPPOSITES_OF_TROUBLE.len() };
                    all.entry((rest, place, class)).or_default().push((at, good_side));
                }
            }
        }
    }
    let mut sides = HashMap::new();
    for ((_, place, _), entries) in all {
        if entries.iter().any(|(_, good)| *good) && entries.iter().any(|(_, good)| !*good) {
            for (at, good) in entries {
                sides.entry(at).or_insert((place, good));
            }
        }
    }
    sides
}

/// A phrase found in a name.
struct Hit {
    from: usize,
    to: usize,
    says: Says,
}

fn hits(lower: &[&str]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut at = 0;
    while at < lower.len() {
        let negated = NEGATIONS.contains(&lower[at]);
        let from = if negated { at + 1 } else { at };
        match phrase(&lower[from..]) {
            Some((count, says)) => {
                let says = match (negated, says) {
                    (false, says) => says,
                    (true, Says::Good) => Says::Bad(State::Critical),
                    (true, Says::Bad(_) | Says::Kind(_)) => Says::Good,
                };
                hits.push(Hit { from: at, to: from + count, says });
                at = from + count;
            }
            None => at += 1,
        }
    }
    hits
}

fn one(words: &[String], side: Option<&(usize, bool)>) -> Name {
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let hits = hits(&lower);
    let text = |hit: &Hit| words[hit.from..hit.to].join("");
    let (state, because) = match side {
        Some((place, true)) => (Some(State::Ok), words[*place].clone()),
        Some((place, false)) => (Some(worst(&hits).unwrap_or(State::Warning)), words[*place].clone()),
        None => by_hits(&hits, words.len()).map_or((None, String::new()), |hit| {
            let state = match hit.says {
                Says::Good => State::Ok,
                Says::Bad(state) | Says::Kind(state) => state,
            };
            (Some(state), text(hit))
        }),
    };
    let kept = |keep_kinds: bool| {
        let out = |place: usize| {
            side.is_some_and(|(opposite, _)| *opposite == place)
                || hits.iter().any(|hit| {
                    (hit.from..hit.to).contains(&place) && !(keep_kinds && matches!(hit.says, Says::Kind(_)))
                })
        };
        let kept: Vec<String> = words
            .iter()
            .enumerate()
            .filter(|(place, _)| !out(*place))
            .map(|(_, word)| word.clone())
            .collect();
        // `risingAlarm` and `fallingAlarm` are about the alarm.
        let is_side = |place: usize| side.is_some_and(|(opposite, _)| *opposite == place);
        if kept.is_empty() && side.is_some() {
            let rest = words.iter().enumerate().filter(|(place, _)| !is_side(*place));
            return rest.map(|(_, word)| word.clone()).collect();
        }
        kept
    };
    Name { words: words.to_vec(), state, because, stem: kept(true), loose: kept(false) }
}

fn worst(hits: &[Hit]) -> Option<State> {
    let bad = hits.iter().filter_map(|hit| match hit.says {
        Says::Bad(state) => Some(state),
        Says::Good | Says::Kind(_) => None,
    });
    bad.max_by_key(|state| *state == State::Critical)
}

/// The phrase that decides: one for the end of trouble at the end of the name or "return from" before it, else the worst
/// one for trouble, else one for its end.
fn by_hits(hits: &[Hit], words: usize) -> Option<&Hit> {
    let good = |hit: &&Hit| hit.says == Says::Good;
    let last = hits.last().filter(|hit| hit.to == words);
    let returns = hits.iter().find(|hit| hit.says == Says::Good && hit.to - hit.from > 1);
    let warning = |hit: &&Hit| hit.says == Says::Bad(State::Warning);
    let critical = |hit: &&Hit| hit.says == Says::Bad(State::Critical);
    let kind = |hit: &&Hit| matches!(hit.says, Says::Kind(_));
    // A number at the end does not count: `PowerSupplyOk2`.
    last.filter(good)
        .or(returns)
        .or_else(|| last.filter(warning))
        .or_else(|| hits.iter().rev().find(critical))
        .or_else(|| hits.iter().rev().find(warning))
        .or_else(|| hits.iter().rev().find(kind))
        .or_else(|| hits.iter().rev().find(good))
}

fn key(words: &[String]) -> String {
    let significant = words.iter().filter(|word| !is_one_of(word, &TAILS));
    significant.map(|word| word.to_lowercase()).collect::<Vec<_>>().join(" ")
}

/// The places of the names of each group, in the order of their first.
fn groups(names: &[Name]) -> Vec<Vec<usize>> {
    let mut by_stem: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match name.state {
            Some(_) => by_stem.entry(key(&name.stem)).or_default().push(at),
            None => alone.push(vec![at]),
        }
    }
    let (mut whole, rest): (Vec<_>, Vec<_>) = by_stem.into_values().partition(|members| {
        members.iter().any(|at| names[*at].is_good()) && members.iter().any(|at| names[*at].is_bad())
    });
    // What has no counterpart of its very stem may have one that lacks a word such as High.
    let mut by_loose: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for at in rest.into_iter().flatten() {
        by_loose.entry(key(&names[at].loose)).or_default().push(at);
    }
    for members in by_loose.into_values() {
        // "Turned on" ends no overload.
        let ends_any = |at: &usize| names[*at].is_good() && is_one_of(&names[*at].because, &GENERAL_ENDS);
        let has_good = members.iter().any(ends_any);
        let has_bad = members.iter().any(|at| names[*at].is_bad());
        if has_good && has_bad {
            whole.push(members);
            continue;
        }
        // Different troubles stay apart; the same stem is the same thing.
        let mut again: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for at in members {
            again.entry(key(&names[at].stem)).or_default().push(at);
        }
        whole.extend(again.into_values());
    }
    whole.extend(alone);
    for members in &mut whole {
        members.sort_unstable();
    }
    whole.sort_unstable_by_key(|members| members[0]);
    whole
}

/// The name of the thing that a group is about, which no other group of the module has.
fn subject(
    members: &[usize],
    names: &[Name],
    words: &[Vec<String>],
    start: usize,
    taken: &mut HashSet<String>,
) -> String {
    let first = &names[members[0]];
    let cut = |words: &[String]| words[start.min(words.len())..].to_vec();
    let stem = match names[members[0]].state {
        // All words of the trouble that has no end: "Power supply removed" and "Power supply failed" are two.
        _ if members.iter().all(|at| key(&names[*at].stem) == key(&first.stem)) => first.stem.clone(),
        _ => first.loose.clone(),
    };
    let is_change = |word: &String| is_one_of(word, &CHANGES) || is_one_of(word, &TAILS);
    let essential: Vec<String> = cut(&stem).into_iter().filter(|word| !is_change(word)).collect();
    let candidates = [essential, cut(&stem), stem, cut(&words[members[0]]), words[members[0]].clone()];
    // "Low" alone names nothing.
    let names_a_thing = |word: &String| {
        word.chars().any(|c| c.is_ascii_alphabetic()) && phrase(&[&word.to_lowercase()]).is_none()
    };
    let last = candidates.len() - 1;
    let usable = candidates
        .iter()
        .enumerate()
        .filter(|(at, words)| *at == last || words.iter().any(names_a_thing))
        .map(|(_, words)| words);
    let names = usable.map(|words| title(words)).filter(|name| name.len() > 1);
    let mut longest = String::new();
    for name in names {
        if taken.insert(name.to_lowercase()) {
            return name;
        }
        longest = name;
    }
    if longest.is_empty() {
        longest = plain(&words[members[0]]);
    }
    let mut count = 2;
    loop {
        let name = format!("{longest} {count}");
        if taken.insert(name.to_lowercase()) {
            return name;
        }
        count += 1;
    }
}
