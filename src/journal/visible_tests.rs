//! Every order in which threads can append and look, by loom.

use std::sync::Arc;

use loom::thread;
use visible::Visible;

/// What `visible.rs` locks and waits with, here.
mod sync {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    pub(super) use std::sync::PoisonError;

    pub(super) use loom::sync::atomic::AtomicU64;
    pub(super) use loom::sync::{Mutex, MutexGuard};

    /// As much of tokio's as is needed: calls are counted, and a future that was made before a call is told of it.
    #[derive(Debug)]
    pub(super) struct Notify(Mutex<(u64, Vec<Waker>)>);

    pub(super) struct Notified<'n> {
        notify: &'n Notify,
        calls: u64,
    }

    impl Notify {
        pub(super) fn new() -> Self {
            Notify(Mutex::new((0, Vec::new())))
        }

        pub(super) fn notify_waiters(&self) {
            let waiting = {
                let mut state = self.0.lock().unwrap();
                state.0 += 1;
                std::mem::take(&mut state.1)
            };
            waiting.into_iter().for_each(Waker::wake);
        }

        pub(super) fn notified(&self) -> Notified<'_> {
            Notified { notify: self, calls: self.0.lock().unwrap().0 }
        }
    }

    impl Future for Notified<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let mut state = self.notify.0.lock().unwrap();
            if state.0 != self.calls {
                return Poll::Ready(());
            }
            state.1.push(context.waker().clone());
            Poll::Pending
        }
    }
}

// The file under test, compiled with the locks above.
#[allow(clippy::duplicate_mod, dead_code)]
#[path = "visible.rs"]
mod visible;

fn append(journal: &Visible<u64>, count: u64) -> u64 {
    journal.change(|next| {
        *next += count;
        (*next, *next)
    })
}

#[test]
fn what_is_visible_never_goes_back_and_includes_what_was_appended() {
    loom::model(|| {
        let journal = Arc::new(Visible::new(1, 1));
        let appenders: Vec<_> = (1..=2)
            .map(|count| {
                let journal = journal.clone();
                thread::spawn(move || {
                    let end = append(&journal, count);
                    assert!(journal.next() >= end, "visible once the append has returned");
                })
            })
            .collect();
        let reader = journal.follower();
        let mut before = 1;
        for _ in 0..2 {
            let now = reader.next();
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
        for appender in appenders {
            appender.join().unwrap();
        }
        assert_eq!((journal.next(), *journal.lock()), (4, 4));
    });
}

#[test]
fn who_waits_for_records_is_told() {
    loom::model(|| {
        let journal = Arc::new(Visible::new(1, 1));
        let reader = journal.follower();
        let waiting = thread::spawn(move || {
            loom::future::block_on(reader.beyond(1));
            assert_eq!(reader.next(), 2);
        });
        append(&journal, 1);
        waiting.join().unwrap();
    });
}
