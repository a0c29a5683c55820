//! Every order in which threads can append and look, by loom.

use std::sync::Arc;

use loom::thread;
use visible::Visible;

/// What `visible.rs` locks with, here.
mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use loom::sync::{Mutex, MutexGuard};

    /// As much of tokio's as is needed, so that loom sees when a value is published.
    pub(super) mod watch {
        use std::sync::Arc;

        use loom::sync::RwLock;

        /// A lock around the value, as in the real one.
        #[derive(Debug)]
        pub(in super::super) struct Sender<T>(Arc<RwLock<T>>);
        pub(in super::super) type Receiver<T> = Sender<T>;

        pub(in super::super) fn channel(first: u64) -> (Sender<u64>, ()) {
            (Sender(Arc::new(RwLock::new(first))), ())
        }

        impl Sender<u64> {
            pub(in super::super) fn send_if_modified(&self, modify: impl FnOnce(&mut u64) -> bool) {
                modify(&mut self.0.write().unwrap());
            }

            pub(in super::super) fn borrow(&self) -> impl std::ops::Deref<Target = u64> {
                self.0.read().unwrap()
            }

            pub(in super::super) fn subscribe(&self) -> Self {
                Sender(self.0.clone())
            }
        }
    }
}

// The file under test, compiled with the locks above.
#[allow(clippy::duplicate_mod)]
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
        let reader = journal.subscribe();
        let mut before = 1;
        for _ in 0..2 {
            let now = *reader.borrow();
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
        for appender in appenders {
            appender.join().unwrap();
        }
        assert_eq!((journal.next(), *journal.lock()), (4, 4));
    });
}
