//! A host and service that is put off for long, and sends more than a sink has in memory.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use super::*;

impl Rig {
    /// The same journal with another limit, in a new process.
    pub(super) fn reopen(&mut self, max_size: u64) {
        let directory = self.directory.path().to_owned();
        let other = tempfile::tempdir().unwrap();
        self.journal = open(other.path());
        self.running = Running::open("toy", &self.journal).unwrap();
        let options = JournalOptions { directory, max_size, when_full: WhenFull::DropOldest };
        self.journal = Journal::open(options, 7).unwrap().0;
        self.running = Running::open("toy", &self.journal).unwrap();
    }

    /// So many outcomes of one host, and one of another after each ten of them. Gives their numbers.
    fn append_noise(&mut self, count: u64) -> HashSet<String> {
        let mut noisy = HashSet::new();
        for tens in 0..count / 10 {
            noisy.extend((self.next + 1..=self.next + 10).map(|number| number.to_string()));
            self.append(std::iter::repeat_n(0, 10).chain([1 + tens % 7]));
        }
        noisy
    }

    /// The server does not take these while `holds`.
    fn puts_off(&self, noisy: HashSet<String>, holds: Arc<AtomicBool>) {
        self.answers(move |outputs| {
            let fate = |output: &String| {
                let later = holds.load(Ordering::Relaxed) && noisy.contains(output);
                if later { Fate::Later("not now".into()) } else { Fate::Taken }
            };
            (Duration::from_millis(1), Ok(outputs.iter().map(fate).collect()))
        });
    }

    pub(super) async fn within(&self, time: Duration, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < time, "{what}: {} delivered", self.count(|s| &s.delivered));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_noisy_service_that_is_put_off_holds_up_no_other() {
    for (order, items, noise) in [
        (Order::OneByOne, 1, 20_000),
        (Order::OneByOne, 50, 20_000),
        (Order::Kept, 50, 20_000),
        (Order::Free, 50, 10_000),
    ] {
        let mut rig = Rig::new(Limits { lanes: 2, items, order, ..Limits::default() });
        rig.reopen(64 << 20);
        let holds = Arc::new(AtomicBool::new(true));
        let noisy = rig.append_noise(noise);
        rig.puts_off(noisy.clone(), holds.clone());
        rig.start();
        let others = noise / 10;
        rig.within(Duration::from_mins(2), "others", |rig| rig.count(|s| &s.delivered) == others).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((rig.behind(), rig.running.cursor.position()), (noise, 1));
        rig.end().await;
        // The next process knows what is done.
        rig.reopen(64 << 20);
        rig.start();
        rig.append(1..8);
        rig.within(Duration::from_mins(2), "new ones", |rig| rig.count(|s| &s.delivered) == 7).await;
        holds.store(false, Ordering::Relaxed);
        rig.within(Duration::from_mins(30), "all", |rig| rig.behind() == 0).await;
        rig.end().await;
        assert_eq!(rig.running.cursor.expired(), 0);
        let sent = rig.sent();
        let repeated: HashSet<String> = repeats(&sent).into_iter().cloned().collect();
        assert!(repeated.is_subset(&noisy), "{order:?}");
        // The last time of each.
        let mut last: Vec<u64> = Vec::new();
        let mut seen = HashSet::new();
        last.extend(
            sent.iter()
                .rev()
                .filter(|output| seen.insert(*output))
                .map(|output| output.parse::<u64>().unwrap()),
        );
        assert_eq!(last.len() as u64, rig.next, "{order:?}");
        last.retain(|number| noisy.contains(&number.to_string()));
        assert!(order == Order::Free || last.iter().rev().is_sorted(), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_drops_of_it_is_counted() {
    let mut rig = Rig::new(limits(2, 50));
    let holds = Arc::new(AtomicBool::new(true));
    let mut noisy = HashSet::new();
    rig.puts_off((1..1_000_000).step_by(2).map(|number| number.to_string()).collect(), holds.clone());
    rig.start();
    for _ in 0..200 {
        noisy.extend((rig.next + 1..=rig.next + 200).step_by(2));
        let hosts: Vec<u64> =
            (0..200).map(|n| if (rig.next + n).is_multiple_of(2) { 0 } else { 1 + n }).collect();
        rig.append(hosts);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(rig.count(|s| &s.delivered), 20_000, "all others");
    assert!(rig.journal.oldest() > 10_000 && rig.running.cursor.position() == 1);
    holds.store(false, Ordering::Relaxed);
    rig.until("the rest", |rig| rig.behind() == 0).await;
    let (delivered, expired) = (rig.count(|s| &s.delivered), rig.running.cursor.expired());
    assert_eq!(delivered + expired, rig.next);
    assert!(expired > 1000 && delivered > 21_000, "{delivered}, {expired}");
    rig.end().await;
}
