//! The lane against a cluster that is strict.

use std::sync::Arc;

use super::connection::{Login, Manner, Mechanism};
use super::lane::KafkaSink;
use super::scram::Hash;
use super::stub_tests::{Does, Stored, Stub};
use super::topic::word;
use super::view::Cluster;
use crate::settings::address::Address;
use crate::sinks::fields::Template;
use crate::sinks::sink::{Fate, Item, Key, Lane, Sink, Trouble};
use crate::sinks::testing::{item, seat};

fn sink(topic: &str, login: Option<Login>) -> KafkaSink {
    let addresses = vec![Address { host: "k".into(), port: 9091 }, Address { host: "k".into(), port: 9092 }];
    let cluster = Arc::new(Cluster { addresses, manner: Manner { tls: None, login } });
    KafkaSink { cluster, topic: Template::new(topic, word).value.unwrap() }
}

fn lane(stub: &Stub, topic: &str) -> Box<dyn Lane> {
    let (mut seat, _) = seat();
    seat.network = Arc::new(stub.clone());
    sink(topic, None).lane(&seat)
}

/// Outcomes of as many hosts, each of two services.
fn items(count: u64) -> Vec<Item> {
    let one = |number: u64| {
        let mut item = item(number, &format!("h{}", number / 2), Some("s"), &format!("text{number};"));
        item.key = Key::Known(number / 2);
        item
    };
    (0..count).map(one).collect()
}

fn has(records: &[Stored], text: &str) -> bool {
    records.iter().any(|record| record.value.contains(text))
}

fn count(fates: &[Fate], is: fn(&Fate) -> bool) -> usize {
    fates.iter().filter(|fate| is(fate)).count()
}

#[tokio::test(start_paused = true)]
async fn all_of_a_host_and_service_is_in_one_partition_in_its_order() {
    let stub = Stub::new(|_, _, _| Does::Takes);
    let mut lane = lane(&stub, "t");
    let items = items(200);
    for items in items.chunks(30) {
        assert!(lane.send(items).await.unwrap().iter().all(|fate| *fate == Fate::Taken));
    }
    let state = stub.0.lock().unwrap();
    assert_eq!(state.kept.len(), 4, "all partitions have some");
    assert_eq!(state.connections, 3, "one to ask, one a broker");
    for records in state.kept.values() {
        for record in records {
            let of_key: Vec<&Stored> = records.iter().filter(|other| other.key == record.key).collect();
            assert_eq!(of_key.len(), 2);
            let number = |record: &Stored| -> u64 {
                record.value.split("text").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
            };
            assert!(number(of_key[0]) < number(of_key[1]));
            assert_eq!(record.headers[0].0, "trapline-id");
        }
    }
    assert!(state.kept.values().flatten().any(|record| record.key == "h0/s"));
}

/// One bad outcome of 100, whether the broker names it or not: all others are taken once.
#[tokio::test(start_paused = true)]
async fn one_that_is_too_long_takes_nothing_else_with_it() {
    for (code, names, newest) in
        [(10, false, 8), (10, false, 3), (87, true, 8), (87, true, 7), (32, false, 5)]
    {
        let stub = Stub::new(move |_, _, records| {
            match records.iter().position(|record| record.value.contains("text42;")) {
                Some(at) if names => Does::Names(code, vec![at as i32]),
                Some(_) => Does::Refuses(code),
                None => Does::Takes,
            }
        });
        stub.0.lock().unwrap().newest = newest;
        let fates = lane(&stub, "t").send(&items(100)).await.unwrap();
        for (at, fate) in fates.iter().enumerate() {
            assert_eq!(matches!(fate, Fate::Dead(_)), at == 42, "{fate:?}");
            assert_eq!(*fate == Fate::Taken, at != 42, "{fate:?}");
        }
        assert_eq!(stub.kept().len(), 99, "each once");
        let requests = stub.0.lock().unwrap().requests;
        let most = if names && newest == 8 { 3 } else { 14 };
        assert!(requests <= most, "{code} {newest}: {requests} requests");
    }
}

/// Every error: what it means for the outcomes of the partition, and nothing for those of others.
#[tokio::test(start_paused = true)]
async fn what_errors_mean() {
    for code in -2..100 {
        if code == 0 {
            continue;
        }
        let stub =
            Stub::new(move |_, partition, _| if partition == 1 { Does::Refuses(code) } else { Does::Takes });
        let fates = lane(&stub, "t").send(&items(40)).await.unwrap();
        let dead = count(&fates, |fate| matches!(fate, Fate::Dead(_)));
        let later = count(&fates, |fate| matches!(fate, Fate::Later(_)));
        let is_dead = [10, 17, 18, 32, 44, 87].contains(&code);
        assert_eq!((dead > 0, later > 0), (is_dead, !is_dead), "{code}: {fates:?}");
        assert_eq!(stub.kept().len(), 40 - dead - later, "{code}");
    }
    // All are refused: the configuration is at fault, or the cluster.
    for (code, means) in
        [(29, "Refused"), (3, "Refused"), (43, "Refused"), (19, "Later"), (7, "Later"), (-1, "Later")]
    {
        let stub = Stub::new(move |_, _, _| Does::Refuses(code));
        let said = format!("{:?}", lane(&stub, "t").send(&items(10)).await);
        assert!(said.contains(means), "{code}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_not_there_or_not_for_us() {
    for (error, means) in
        [(Err(3), "Err(Refused"), (Err(29), "Err(Refused"), (Err(17), "Ok([Dead"), (Err(5), "Ok([Later")]
    {
        let stub = Stub::new(|_, _, _| Does::Takes);
        stub.0.lock().unwrap().topics.insert("other".to_owned(), error);
        let said = format!("{:?}", lane(&stub, "other").send(&items(2)).await);
        assert!(said.starts_with(means), "{said}");
    }
    // Outcomes of other topics go on.
    let stub = Stub::new(|_, _, _| Does::Takes);
    let mut lane = lane(&stub, "t{% if outcome.output == 'text1;' %}.{{ outcome.host }}{% endif %}");
    let fates = lane.send(&items(4)).await.unwrap();
    assert!(matches!(fates[1], Fate::Later(_)), "{fates:?}");
    assert_eq!(stub.kept().len(), 3);
    stub.0.lock().unwrap().topics.insert("t.h0".to_owned(), Ok(vec![2]));
    assert_eq!(lane.send(&items(4)[1..2]).await.unwrap(), [Fate::Taken]);
    let fates =
        self::lane(&stub, "t{{ outcome.output }}").send(&[item(1, "h", None, &"x".repeat(300))]).await;
    assert!(matches!(fates.unwrap()[..], [Fate::Dead(_)]));
}

#[tokio::test(start_paused = true)]
async fn another_leader_is_found() {
    let stub = Stub::new(|_, _, _| Does::Takes);
    let mut lane = lane(&stub, "t");
    lane.send(&items(40)).await.unwrap();
    stub.0.lock().unwrap().topics.insert("t".to_owned(), Ok(vec![2, 2, 1, 1]));
    let (mut open, mut rounds) = (items(40), 0);
    while !open.is_empty() {
        let fates = lane.send(&open).await.unwrap();
        let mut fates = fates.iter();
        open.retain(|_| *fates.next().unwrap() != Fate::Taken);
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    assert_eq!(stub.kept().len(), 80);
    // A partition without a leader holds up no other.
    stub.0.lock().unwrap().topics.insert("t".to_owned(), Ok(vec![-1, 2, 1, 1]));
    let mut lane = self::lane(&stub, "t");
    let fates = lane.send(&items(40)).await.unwrap();
    let later = count(&fates, |fate| matches!(fate, Fate::Later(_)));
    assert!(later > 0 && later < 40, "{fates:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_sent_again() {
    for does in [Does::Closes, Does::Ignores, Does::TakesAndCloses] {
        let answers = does.clone();
        let stub =
            Stub::new(
                move |_, partition, records| {
                    if partition == 1 && has(records, "text") { answers.clone() } else { Does::Takes }
                },
            );
        let mut lane = lane(&stub, "t");
        // Broker 2 leads partitions 1 and 3.
        let fates = lane.send(&items(40)).await.unwrap();
        assert!(count(&fates, |fate| *fate == Fate::Taken) > 0, "{does:?}: {fates:?}");
        assert!(count(&fates, |fate| matches!(fate, Fate::Later(_))) > 0, "{does:?}: {fates:?}");
        stub.0.lock().unwrap().judge = Box::new(|_, _, _| Does::Takes);
        assert!(lane.send(&items(40)).await.unwrap().iter().all(|fate| *fate == Fate::Taken));
    }
    let stub = Stub::new(|_, _, _| Does::Closes);
    assert!(matches!(lane(&stub, "t").send(&items(3)).await, Err(Trouble::Unanswered(..))));
    // Nobody is there; then one broker is not.
    stub.0.lock().unwrap().down = vec![9091, 9092];
    assert!(matches!(lane(&stub, "t").send(&items(3)).await, Err(Trouble::Away(..))));
    stub.0.lock().unwrap().judge = Box::new(|_, _, _| Does::Takes);
    stub.0.lock().unwrap().down = vec![9091, 9002];
    let fates = lane(&stub, "t").send(&items(40)).await.unwrap();
    assert!(count(&fates, |fate| *fate == Fate::Taken) > 0);
    assert!(count(&fates, |fate| matches!(fate, Fate::Later(_))) > 0);
}

#[tokio::test(start_paused = true)]
async fn logins_and_brokers_that_are_none() {
    let login = |password: &str, mechanism| {
        Some(Login { user: "u".into(), password: password.to_owned().into(), mechanism })
    };
    let sent = async |login, nonsense, newest| {
        let stub = Stub::new(|_, _, _| Does::Takes);
        let (mut seat, _) = seat();
        {
            let mut state = stub.0.lock().unwrap();
            (state.login, state.nonsense, state.newest) = (Some(("u", "p")), nonsense, newest);
        }
        seat.network = Arc::new(stub.clone());
        format!("{:?}", sink("t", login).lane(&seat).send(&items(3)).await)
    };
    assert!(sent(login("p", Mechanism::Plain), None, 8).await.starts_with("Ok([Taken"));
    for (login, nonsense, newest, means) in [
        (login("q", Mechanism::Plain), None, 8, "no such user"),
        (login("p", Mechanism::Scram(Hash::Sha512)), None, 8, "SCRAM-SHA-512"),
        (None, None, 8, "broke off"),
        (login("p", Mechanism::Plain), None, 2, "speaks no version of Produce"),
        (login("p", Mechanism::Plain), Some(&[0_u8, 0][..]), 8, "does not speak"),
        (login("p", Mechanism::Plain), Some(&[0, 35, 0, 0, 0, 0][..]), 8, "UNSUPPORTED_VERSION"),
    ] {
        let said = sent(login, nonsense, newest).await;
        assert!(said.starts_with("Err(") && said.contains(means), "{means}: {said}");
    }
}

/// A broker that asks to be left alone is, and has the outcomes once: its answer says that it has taken them.
#[tokio::test(start_paused = true)]
async fn a_quota_repeats_nothing() {
    let stub = Stub::new(|_, _, _| Does::Takes);
    stub.0.lock().unwrap().pause = 3000;
    let mut lane = lane(&stub, "t");
    let begun = tokio::time::Instant::now();
    assert!(lane.send(&items(40)).await.unwrap().iter().all(|fate| *fate == Fate::Taken));
    assert!(begun.elapsed().as_secs() < 3);
    lane.send(&items(40)).await.unwrap();
    assert!(begun.elapsed().as_secs() >= 3);
    assert_eq!(stub.kept().len(), 80);
}
