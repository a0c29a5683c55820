use jiff::tz::TimeZone;

use super::*;
use crate::intake::mute::COMPARED;
use crate::outcome::result::{CheckResult, Common, State as Of};
use crate::outcome::testing;
use crate::time::calendar::Days;

const START: Point = Point { epoch: 7, next: 1 };
const HOUR: i64 = 3_600_000_000;

fn at(hours: i64) -> Wall {
    Wall::from_micros(1_700_000_000_000_000 + hours * HOUR)
}

fn covers(host: &str) -> Covers {
    Covers { host: Some(host.into()), reason: "work".into(), ..Covers::default() }
}

fn result(host: &str, state: Of, output: &str) -> Vec<u8> {
    let common = Common { time: 5, rule: "link-down".into(), state, ..testing::common(output) };
    let mut bytes = Vec::new();
    let check = CheckResult { common, host: host.into(), service: Some("Link".into()), perfdata: "".into() };
    codec::encode(&Outcome::CheckResult(check), &mut bytes);
    bytes
}

/// Whether the outcome is muted.
fn send(mutes: &Mutes, hours: i64, host: &str, state: Of, output: &str) -> bool {
    let mut batch = Batch::default();
    assert!(batch.push_encoded(&result(host, state, output)));
    let first = mutes.mark(&mut batch, at(hours), START);
    mutes.written(&batch, 1, first);
    let marked = batch.payloads().next().unwrap();
    codec::mute_of(marked).is_some_and(|mute| !mute.last)
}

fn words(mutes: &Mutes, hours: i64) -> Vec<String> {
    let said = mutes.look(at(hours));
    assert!(said.iter().all(|word| codec::mute_of(&word.payload).is_some_and(|mute| mute.last)));
    mutes.said(&said);
    said.iter().map(|word| codec::decode(&word.payload).unwrap().common().output.to_string()).collect()
}

#[test]
fn the_last_word_of_each_service_comes_when_the_mute_ends() {
    let mutes = Mutes::default();
    assert!(!send(&mutes, 0, "core-1", Of::Critical, "before"));
    mutes.add(covers("CORE-*"), at(0), at(2)).unwrap();
    assert!(send(&mutes, 0, "core-1", Of::Critical, "down"));
    assert!(send(&mutes, 1, "core-1", Of::Ok, "up"));
    assert!(send(&mutes, 1, "core-2", Of::Critical, "broken"));
    assert!(!send(&mutes, 1, "edge", Of::Critical, "down"));
    assert!(words(&mutes, 1).is_empty());
    assert_eq!(mutes.to_json(at(1))["mutes"][0]["muted"], 3);
    // From its end on nothing is muted, and news are the last word themselves.
    assert!(!send(&mutes, 2, "core-2", Of::Ok, "mended"));
    assert_eq!(words(&mutes, 2), ["up"]);
    assert!(words(&mutes, 3).is_empty() && !mutes.any());
}

#[test]
fn a_word_goes_only_when_the_journal_has_newer_news() {
    let mutes = Mutes::default();
    let batch = |output| {
        let mut batch = Batch::default();
        assert!(batch.push_encoded(&result("core-1", Of::Ok, output)));
        batch
    };
    mutes.add(covers("core-*"), at(0), at(2)).unwrap();
    assert!(send(&mutes, 0, "core-1", Of::Critical, "down"));
    let mut news = batch("up");
    let first = mutes.mark(&mut news, at(2), START);
    assert!(words(&mutes, 2).is_empty(), "news are on their way");
    mutes.lost(&news, first);
    assert_eq!(words(&mutes, 2), ["down"], "they are lost");

    mutes.add(covers("core-*"), at(2), at(4)).unwrap();
    assert!(send(&mutes, 3, "core-1", Of::Critical, "down"));
    mutes.end(&[]);
    let (mut earlier, mut later) = (batch("up"), batch("still up"));
    let (one, two) = (mutes.mark(&mut earlier, at(3), START), mutes.mark(&mut later, at(3), START));
    mutes.lost(&later, two);
    assert!(words(&mutes, 3).is_empty(), "the earlier one may arrive");
    mutes.written(&earlier, 1, one);
    assert!(words(&mutes, 3).is_empty() && !mutes.any(), "it has");

    mutes.add(covers("edge"), at(4), at(9)).unwrap();
    let mut old = batch("before");
    let number = mutes.mark(&mut old, at(4), START);
    mutes.add(covers("core-*"), at(4), at(6)).unwrap();
    assert!(send(&mutes, 4, "core-1", Of::Critical, "newer"));
    mutes.written(&old, 1, number);
    assert_eq!(words(&mutes, 6), ["newer"], "what waited longer takes nothing away");
}

#[test]
fn one_that_is_ended_early_and_one_that_another_one_covers() {
    let mutes = Mutes::default();
    let first = mutes.add(covers("core-*"), at(0), at(9)).unwrap();
    mutes.add(covers("core-1"), at(0), at(3)).unwrap();
    assert!(send(&mutes, 0, "core-1", Of::Critical, "one"));
    assert!(send(&mutes, 0, "core-2", Of::Critical, "two"));
    assert_eq!(mutes.end(&[first, 77]), 1);
    assert_eq!(words(&mutes, 1), ["two"]);
    assert_eq!(words(&mutes, 3), ["one"]);
    mutes.add(covers("*"), at(3), at(9)).unwrap();
    assert_eq!(mutes.end(&[]), 1, "all");
}

#[test]
fn mutes_and_last_words_survive_a_restart() {
    let mutes = Mutes::default();
    let id = mutes.add(Covers { sinks: vec!["pager".into()], ..covers("core-*") }, at(0), at(2)).unwrap();
    send(&mutes, 0, "core-1", Of::Critical, "down");
    let text = serde_json::to_string(&mutes.take_changes().unwrap()).unwrap();
    assert!(mutes.take_changes().is_none(), "nothing has changed since");
    let next = Mutes::default();
    next.resume(serde_json::from_str(&text).unwrap());
    assert!(send(&next, 1, "core-2", Of::Warning, "hot"));
    assert_eq!(next.to_json(at(1))["mutes"][0]["muted"], 2);
    assert_ne!(next.add(covers("x"), at(0), at(1)), Some(id), "ids are not used again");
    assert_eq!(words(&next, 2), ["down", "hot"]);
}

#[test]
fn hours_of_the_configuration_mute_again_and_again() {
    let mutes = Mutes::default();
    // 22:13 UTC on a Tuesday is hour 0.
    let hours = Hours {
        days: Days::default(),
        from: "22:00".parse().unwrap(),
        to: "02:00".parse().unwrap(),
        zone: TimeZone::UTC,
    };
    let night = Configured { covers: covers("*"), hours };
    mutes.configure(std::slice::from_ref(&night));
    for (hours, muted) in [(0, true), (3, true), (4, false), (23, false), (24, true)] {
        assert_eq!(send(&mutes, hours, "h", Of::Critical, "x"), muted, "{hours}");
    }
    mutes.configure(&[night]);
    assert_eq!(mutes.to_json(at(24))["mutes"][0]["muted"], 3, "a reload keeps the count");
    mutes.configure(&[]);
    assert_eq!(words(&mutes, 24), ["x"]);
}

#[test]
fn what_cannot_be_kept_is_not_muted() {
    let mutes = Mutes::default();
    mutes.add(covers("*"), at(0), at(2)).unwrap();
    let muted = (0..MOST_WORDS + 5).filter(|n| send(&mutes, 0, &format!("h{n}"), Of::Critical, "x")).count();
    assert_eq!(muted, MOST_WORDS);
    assert!(send(&mutes, 1, "h0", Of::Ok, "y"), "a known one goes on");
    assert_eq!(words(&mutes, 2).len(), MOST_WORDS);
    for _ in 1..=MOST_MUTES {
        assert!(mutes.add(covers("*"), at(0), at(2)).is_some());
    }
    assert_eq!(mutes.add(covers("*"), at(0), at(2)), None);
}

#[test]
fn words_are_looked_at_only_when_a_mute_has_ended_that_may_cover_them() {
    let mutes = Mutes::default();
    for n in 0..200 {
        mutes.add(covers(&format!("h{n}")), at(0), at(if n == 7 { 2 } else { 9 })).unwrap();
    }
    let sent = (0..200).filter(|n| send(&mutes, 0, &format!("h{n}"), Of::Critical, &format!("{n}"))).count();
    assert_eq!(sent, 200);
    let compared = |what: &dyn Fn() -> Vec<String>| {
        COMPARED.with(|compared| compared.set(0));
        (what(), COMPARED.with(std::cell::Cell::get))
    };
    assert_eq!(compared(&|| words(&mutes, 1)), (vec![], 0), "nothing has ended");
    // Each word with the one that has ended, and that one's word with all that are left.
    assert_eq!(compared(&|| words(&mutes, 2)), (vec!["7".to_owned()], 200 + 199));
    assert_eq!(compared(&|| words(&mutes, 3)), (vec![], 0));
    // All of them, in more than one turn.
    assert_eq!(mutes.end(&[]), 199);
    assert_eq!(words(&mutes, 3).len(), 199);
}

#[test]
fn each_way_in_which_a_mute_ends_gives_its_words() {
    let hours = || Hours {
        days: Days::default(),
        from: "22:00".parse().unwrap(),
        to: "02:00".parse().unwrap(),
        zone: TimeZone::UTC,
    };
    let night = |host: &str| Configured { covers: covers(host), hours: hours() };
    let mutes = Mutes::default();
    mutes.configure(&[night("a"), night("b")]);
    for host in ["a", "b", "c"] {
        mutes.add(covers("c"), at(0), at(1)).unwrap();
        assert!(send(&mutes, 0, host, Of::Critical, host));
    }
    let id = mutes.add(covers("d"), at(0), at(9)).unwrap();
    assert!(send(&mutes, 0, "d", Of::Critical, "d"));
    // By its time, by command, by a reload, by the hour.
    assert_eq!(words(&mutes, 1), ["c"]);
    mutes.end(&[id]);
    assert_eq!(words(&mutes, 1), ["d"]);
    mutes.configure(&[night("b")]);
    assert_eq!(words(&mutes, 1), ["a"]);
    assert_eq!(words(&mutes, 4), ["b"]);
    // While nobody looked it has begun, muted and ended.
    assert!(send(&mutes, 24, "b", Of::Critical, "b again"));
    assert_eq!(words(&mutes, 28), ["b again"]);
    // Its process was away when it ended.
    mutes.add(covers("e"), at(30), at(31)).unwrap();
    assert!(send(&mutes, 30, "e", Of::Critical, "e"));
    let kept = serde_json::to_string(&mutes.take_changes().unwrap()).unwrap();
    let next = Mutes::default();
    next.resume(serde_json::from_str(&kept).unwrap());
    assert_eq!(words(&next, 40), ["e"]);
}

/// One who remembers everything that mutes have to do with.
#[derive(Default)]
struct Naive {
    /// All mutes that there ever were: covered host, sinks, from, until.
    mutes: Vec<(String, Vec<String>, i64, i64)>,
    /// What was muted and not sent since, by host: for which sinks.
    missed: BTreeMap<String, Vec<String>>,
}

const SINKS: [&str; 3] = ["pager", "chat", "mail"];

impl Naive {
    /// For which sinks an outcome of a host is muted now.
    fn muted_for(&self, host: &str, hour: i64) -> Vec<String> {
        let of_host =
            |covered: &str| covered == "*" || covered == host || host.starts_with(&format!("{covered}-"));
        let fit = self
            .mutes
            .iter()
            .filter(|(covered, _, from, until)| of_host(covered) && (*from..*until).contains(&hour));
        let mut sinks: Vec<String> = SINKS
            .iter()
            .filter(|name| {
                fit.clone().any(|(_, sinks, ..)| sinks.is_empty() || sinks.iter().any(|sink| sink == *name))
            })
            .map(ToString::to_string)
            .collect();
        sinks.sort();
        sinks
    }
}

#[derive(Debug, Clone)]
enum Step {
    Outcome { host: usize, state: usize },
    Mute { host: usize, sinks: usize, hours: i64 },
    End(usize),
    Pass(i64),
    Restart,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        6 => (0..3usize, 0..3usize).prop_map(|(host, state)| Step::Outcome { host, state }),
        3 => (0..5usize, 0..8usize, 1..9i64).prop_map(|(host, sinks, hours)| Step::Mute { host, sinks, hours }),
        1 => (0..6usize).prop_map(Step::End),
        3 => (0..5i64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, ..proptest::prelude::ProptestConfig::default() })]
    /// What is muted for whom is what somebody says who remembers every mute; and in the end each sink knows how all hosts are.
    #[test]
    fn whatever_is_muted_each_sink_knows_the_truth_in_the_end(steps in steps()) {
        let (mut mutes, mut naive, mut hour) = (Mutes::default(), Naive::default(), 0);
        let hosts = ["core-1", "core-2", "edge-1"];
        let mut truth = BTreeMap::new();
        // What each sink was told last of each host.
        let mut told: BTreeMap<(&str, String), String> = BTreeMap::new();
        let mut ids: Vec<(u64, usize)> = Vec::new();
        let mut number = 0;
        let end = [Step::Pass(20), Step::Pass(0)];
        for step in steps.iter().chain(&end) {
            match step {
                Step::Outcome { host, state } => {
                    number += 1;
                    let (host, state) = (hosts[*host], [Of::Ok, Of::Warning, Of::Critical][*state]);
                    let output = format!("{number}");
                    let mut batch = Batch::default();
                    proptest::prop_assert!(batch.push_encoded(&result(host, state, &output)));
                    let first = mutes.mark(&mut batch, at(hour), START);
                    mutes.written(&batch, 1, first);
                    let marked = batch.payloads().next().unwrap().to_vec();
                    let mute = codec::mute_of(&marked);
                    let muted: Vec<String> = SINKS.iter().filter(|sink| mute.as_ref().is_some_and(|mute| mute.is_for(sink))).map(ToString::to_string).collect();
                    let mut right = naive.muted_for(host, hour);
                    right.sort_by_key(|sink| SINKS.iter().position(|known| known == sink));
                    proptest::prop_assert_eq!(&muted, &right);
                    for sink in SINKS.iter().filter(|sink| !muted.iter().any(|muted| muted == *sink)) {
                        told.insert((*sink, host.to_owned()), output.clone());
                    }
                    naive.missed.insert(host.to_owned(), muted);
                    truth.insert(host.to_owned(), output);
                }
                Step::Mute { host, sinks, hours } => {
                    let covered = ["core", "core-1", "core-2", "edge-1", "*"][*host];
                    let of: Vec<String> = SINKS.iter().enumerate().filter(|(at, _)| sinks & (1 << at) != 0).map(|(_, sink)| (*sink).to_owned()).collect();
                    let glob = if covered == "core" { "core-*" } else { covered };
                    let id = mutes.add(Covers { sinks: of.clone(), ..covers(glob) }, at(hour), at(hour + hours));
                    ids.push((id.unwrap(), naive.mutes.len()));
                    naive.mutes.push((covered.to_owned(), of, hour, hour + hours));
                }
                Step::End(which) => {
                    if let Some((id, at)) = ids.get(*which) {
                        mutes.end(&[*id]);
                        naive.mutes[*at].3 = naive.mutes[*at].3.min(hour);
                    }
                }
                Step::Pass(hours) => {
                    hour += hours;
                    let said = mutes.look(at(hour));
                    mutes.said(&said);
                    for LastWord { payload, .. } in said {
                        let mute = codec::mute_of(&payload).unwrap();
                        let outcome = codec::decode(&payload).unwrap();
                        let host = outcome.host().to_owned();
                        proptest::prop_assert!(mute.last && naive.muted_for(&host, hour).is_empty());
                        // Nobody gets it twice, and nobody who has missed nothing.
                        let missed = naive.missed.remove(&host).unwrap_or_default();
                        for sink in SINKS {
                            proptest::prop_assert_eq!(mute.is_for(sink), missed.iter().any(|missed| missed == sink));
                            if mute.is_for(sink) {
                                told.insert((sink, host.clone()), outcome.common().output.to_string());
                            }
                        }
                    }
                }
                Step::Restart => {
                    let next = Mutes::default();
                    let kept = mutes.state().kept();
                    next.resume(serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap());
                    mutes = next;
                }
            }
        }
        for (host, output) in &truth {
            for sink in SINKS {
                proptest::prop_assert_eq!(told.get(&(sink, host.clone())), Some(output), "{} of {}", host, sink);
            }
        }
        proptest::prop_assert!(!mutes.any());
    }
}
