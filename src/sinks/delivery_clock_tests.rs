//! Delivery while the wall clock is set, and how often it wakes up.

use super::*;

/// What a sink shows and does in some minutes in which it is slow, puts off, gives up and is restarted, while the wall clock is set at
/// some of the marks.
async fn some_minutes(steps: &[(usize, i64)]) -> Vec<String> {
    let mut rig = Rig::new(limits(1, 5));
    rig.options = Options { only: None, rate: None, give_up: Duration::from_mins(2), gate: Gate::default() };
    rig.answers(|outputs| {
        let fate = |output: &String| if output == "7" { Fate::Later("not now".into()) } else { Fate::Taken };
        (Duration::from_secs(5), Ok(outputs.iter().map(fate).collect()))
    });
    let mut seen = Vec::new();
    rig.start();
    for mark in 0..8 {
        if mark == 5 {
            rig.end().await;
            rig.restart();
        }
        for (_, micros) in steps.iter().filter(|(at, _)| *at == mark) {
            rig.clock.stepped.fetch_add(*micros, Ordering::Relaxed);
        }
        let from = rig.next;
        rig.append(from..from + 20);
        tokio::time::sleep(Duration::from_secs(40)).await;
        // Late enough that some of the next are not read at once.
        let from = rig.next;
        rig.append(from..from + 20);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let stats = &rig.running.stats;
        let (below, total, sum) = stats.latency.cumulated();
        let lag = stats.lag(rig.clock.look().mono);
        let letters = rig.letters().list().unwrap().len();
        seen.push(format!(
            "{mark}: lag {lag:.1}, behind {}, {letters} letters, {total} in {sum:.1} s {below:?}",
            rig.behind()
        ));
    }
    rig.end().await;
    seen
}

#[tokio::test(start_paused = true)]
async fn steps_of_the_wall_clock_change_nothing_that_a_sink_shows_or_does() {
    const HOUR: i64 = 3_600_000_000;
    let undisturbed = some_minutes(&[]).await;
    assert!(undisturbed.iter().any(|line| line.contains("1 letters")), "{undisturbed:#?}");
    for steps in [
        &[(1, HOUR)][..],
        &[(1, -HOUR), (4, 9 * HOUR)],
        &[(2, 24 * HOUR), (3, -48 * HOUR), (4, 24 * HOUR), (6, -5 * HOUR)],
        &[(3, 150_000_000), (6, -150_000_000), (7, -1000 * HOUR)],
    ] {
        assert_eq!(some_minutes(steps).await, undisturbed, "{steps:?}");
    }
}

/// The wall clock that was right when a message came may be wrong when the next process starts, and the other way round.
#[tokio::test(start_paused = true)]
async fn what_came_before_a_restart_has_an_age_within_bounds() {
    const DAY: i64 = 86_400_000_000;
    for (stepped, expected) in [(0, 100.0), (-DAY, 0.0), (DAY, 86_500.0), (4000 * DAY, 31.0 * 86_400.0)] {
        let mut rig = Rig::new(limits(1, 1));
        rig.answers(|_| (Duration::ZERO, Err(Trouble::Away("away".into(), "start it"))));
        rig.append([1]);
        tokio::time::sleep(Duration::from_secs(100)).await;
        rig.clock.stepped.store(stepped, Ordering::Relaxed);
        rig.restart();
        for passed in [10, 1000] {
            tokio::time::sleep(Duration::from_secs(passed)).await;
        }
        rig.clock.stepped.store(77 * DAY, Ordering::Relaxed);
        let lag = rig.running.stats.lag(rig.clock.look().mono);
        assert!((lag - expected - 1010.0).abs() < 2.0, "{stepped}: {lag}");
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_sink_is_not_woken_up() {
    let mut rig = Rig::new(limits(1, 1));
    rig.start();
    rig.append(0..10);
    rig.until("all", |rig| rig.behind() == 0).await;
    // Its progress is synced after a second.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = rig.clock.asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_hours(24)).await;
    assert_eq!(rig.clock.asked.load(Ordering::Relaxed), before);
    // And is awake at once.
    rig.append([0]);
    let start = Instant::now();
    rig.until("it is there", |rig| rig.behind() == 0).await;
    assert!(start.elapsed() < Duration::from_millis(20));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_records_follow_closely_a_sink_sleeps_in_between() {
    let mut rig = Rig::new(limits(1, 1000));
    rig.journal.set_patience(Duration::from_millis(5));
    rig.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..2000 {
        rig.append([0]);
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    let before = rig.clock.asked.load(Ordering::Relaxed);
    rig.until("all", |rig| rig.behind() == 0).await;
    // The runtime's timers have a resolution of a millisecond, so ten records come at once.
    assert!(before < 2000 * 5, "{before} looks at the clock");
    assert_eq!((rig.sent().len(), repeats(&rig.sent()).len()), (2000, 0));
    rig.end().await;
}
