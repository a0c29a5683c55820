//! Dead letters that somebody drops while they are sent again.

use super::*;

type Answered = Result<Vec<Fate>, Trouble>;

/// What a server may say of a letter.
const ANSWERS: [fn() -> Answered; 9] = [
    || Ok(vec![Fate::Taken]),
    || Ok(vec![Fate::Dead("still not".into())]),
    || Ok(vec![Fate::Later("503".into())]),
    || Ok(Vec::new()),
    || Err(Trouble::Away("refused".into(), "start it")),
    || Err(Trouble::Unanswered("closed".into(), "see its log")),
    || Err(Trouble::Busy("503".into(), Duration::from_secs(5))),
    || Err(Trouble::Refused("401".into(), "see the password")),
    || Err(Trouble::Halve("400".into())),
];

#[tokio::test(start_paused = true)]
async fn what_is_dropped_on_its_way_is_gone_whatever_the_server_says_of_it() {
    for (kind, answer) in ANSWERS.iter().enumerate() {
        // Told while it is under way, or only once the answer is there.
        for told in [Duration::from_secs(3), Duration::from_secs(10)] {
            let mut rig = Rig::new(limits(1, 1));
            rig.answers(|_| (Duration::from_millis(1), Ok(vec![Fate::Dead("no such host".into())])));
            rig.append(0..2);
            rig.start();
            rig.until("they are dead", |rig| rig.behind() == 0).await;
            rig.answers(|_| (Duration::from_secs(10), answer()));
            assert_eq!(rig.letters().take(true, |_| true).unwrap().count, 2);
            rig.running.look_at_letters();
            rig.until("one is under way", |rig| rig.sent().len() == 3).await;
            let began = Instant::now();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(rig.letters().take(false, |_| true).unwrap().count, 2, "{kind}");
            tokio::time::sleep_until(began + told).await;
            rig.running.look_at_letters();
            tokio::time::sleep(Duration::from_hours(1)).await;
            let what = (kind, told);
            // Until it is told, it may send what follows.
            assert!(rig.sent().len() == 3 || told > Duration::from_secs(3), "{what:?}");
            assert!(rig.letters().list().unwrap().is_empty(), "{what:?}");
            assert!(rig.letters().retrying().unwrap().is_empty(), "{what:?}");
            assert_eq!(rig.count(|s| &s.letters), 0, "{what:?}");
            // Others of the same host and service follow.
            rig.answers(|_| (Duration::from_millis(1), Ok(vec![Fate::Taken])));
            rig.append(0..2);
            rig.until("the journal goes on", |rig| rig.behind() == 0).await;
            rig.end().await;
        }
    }
}
