//! Whose turn it is: what had to wait, or was never answered, and what is new in the journal.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use super::*;

/// Four outcomes are never answered while `holds`, here the first ones; of a request that has others, these are taken.
fn never_answers(rig: &Rig, holds: Arc<AtomicBool>) {
    rig.answers(move |outputs| {
        let is_bad = |output: &&String| ["1", "2", "3", "4"].contains(&output.as_str());
        let bad = outputs.iter().filter(is_bad).count();
        if bad == 0 || !holds.load(Ordering::Relaxed) {
            return (Duration::from_millis(5), Ok(vec![Fate::Taken; outputs.len()]));
        }
        if bad == outputs.len() {
            return (Duration::from_secs(30), Err(Trouble::Unanswered("silent".into(), "see its log")));
        }
        let fate =
            |output: &String| if is_bad(&output) { Fate::Unanswered("silent".into()) } else { Fate::Taken };
        (Duration::from_secs(5), Ok(outputs.iter().map(fate).collect()))
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_never_answered_at_first_delays_what_is_not_read_yet_by_one_of_its_tries() {
    for (order, items) in [(Order::OneByOne, 1), (Order::Kept, 10), (Order::Kept, 300), (Order::Free, 50)] {
        let mut rig = Rig::new(Limits { lanes: 1, items, order, ..Limits::default() });
        rig.reopen(64 << 20);
        let holds = Arc::new(AtomicBool::new(true));
        never_answers(&rig, holds.clone());
        rig.append([0, 1, 2, 3]);
        rig.start();
        rig.within(Duration::from_secs(1), "it is sent", |rig| !rig.sent().is_empty()).await;
        rig.append((0..2000).map(|number| 10 + number % 100));
        // One try of each request of them, and what 2,000 take.
        let tries = 4_usize.div_ceil(items) as u32;
        let others = Duration::from_secs(32) * tries + Duration::from_millis(6) * 2000;
        rig.within(others, "others", |rig| rig.count(|s| &s.delivered) >= 2000).await;
        holds.store(false, Ordering::Relaxed);
        rig.within(Duration::from_mins(10), "all", |rig| rig.behind() == 0).await;
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_are_put_off_they_take_half_of_the_requests() {
    for (order, items, hosts) in
        [(Order::OneByOne, 1, 2000), (Order::OneByOne, 1, 12_000), (Order::Kept, 20, 12_000)]
    {
        let mut rig = Rig::new(Limits { lanes: 1, items, order, ..Limits::default() });
        rig.reopen(64 << 20);
        let holds = Arc::new(AtomicBool::new(true));
        let bad: HashSet<String> = (1..=hosts).map(|number| number.to_string()).collect();
        let (holding, all) = (holds.clone(), bad.clone());
        rig.answers(move |outputs| {
            let is_bad = |output: &String| holding.load(Ordering::Relaxed) && bad.contains(output);
            let fate =
                |output: &String| if is_bad(output) { Fate::Later("not now".into()) } else { Fate::Taken };
            (Duration::from_millis(10), Ok(outputs.iter().map(fate).collect()))
        });
        rig.append(0..hosts);
        rig.start();
        rig.within(Duration::from_mins(30), "all were sent", |rig| {
            let sent: HashSet<String> = rig.sent().into_iter().collect();
            sent.len() == all.len()
        })
        .await;
        rig.append((0..500).map(|number| 100_000 + number));
        // As many requests of others, of 10 ms each.
        let others = Duration::from_millis(10) * 1000 + Duration::from_secs(5);
        rig.within(others, "others", |rig| rig.count(|s| &s.delivered) == 500).await;
        holds.store(false, Ordering::Relaxed);
        rig.within(Duration::from_hours(1), "all", |rig| rig.behind() == 0).await;
        rig.end().await;
    }
}
