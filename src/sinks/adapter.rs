//! Sinks that are pushed records and flushed, as [`Lane`]s.

use std::fmt::{self, Debug};
use std::future::Future;
use std::time::Duration;

use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::dead::Dead;
use crate::sinks::sink::{Fate, Id, Item, Lane, Limits, Order, Said, Seat, Sending, Sink, Trouble};

/// The pauses between two questions what was taken: from the first on, doubled each time.
const FIRST_SETTLE: Duration = Duration::from_micros(500);
const LONGEST_SETTLE: Duration = Duration::from_millis(20);

/// Where outcomes go.
pub trait PushSink: Send {
    /// Adds a record to what [`PushSink::flush`] is to send. Says what became of it.
    fn push(&mut self, record: &Record<'_>) -> Pushed;

    /// Sends what was pushed, as far as the server takes it now. Returns what it has taken for good.
    ///
    /// # Errors
    ///
    /// If something of it may be lost: all that was not taken is pushed again after [`PushSink::reset`].
    fn flush(&mut self) -> impl Future<Output = Result<Taken, SinkError>> + Send;

    /// Forgets what was pushed and not taken.
    fn reset(&mut self);

    /// What the server will never take, since this was last asked. Such outcomes count as taken.
    fn dead(&mut self) -> Vec<Dead> {
        Vec::new()
    }
}

/// What became of a pushed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It will be sent.
    Queued,
    /// It will be sent, but not whole: it was too long for the server.
    Cut,
    /// It is not of a kind that the server knows.
    Skipped,
}

/// How far the server has taken what was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All of it.
    All,
    /// Everything before this sequence number.
    Before(u64),
}

/// Why a sink could not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The server is not there.
    #[error("{what}: {error}; {hint}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// What the system or the library says.
        error: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server did not take some outcomes.
    #[error("{0}; they are sent again")]
    NotTaken(String),
    /// The server asks for a pause.
    #[error("{what}; waiting {} s, as it asks", after.as_secs())]
    Busy {
        /// What it answered.
        what: String,
        /// How long it asks to wait.
        after: Duration,
    },
}

impl SinkError {
    /// The server is not there.
    pub fn unavailable(what: impl Into<String>, error: impl ToString, hint: &'static str) -> Self {
        SinkError::Unavailable { what: what.into(), error: error.to_string(), hint }
    }
}

impl From<SinkError> for Trouble {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Unavailable { what, error, hint } => {
                Trouble::Away(format!("{what}: {error}").into(), hint)
            }
            SinkError::NotTaken(what) => Trouble::Unanswered(what.into(), "they are sent again"),
            SinkError::Busy { what, after } => Trouble::Busy(what.into(), after),
        }
    }
}

/// A [`PushSink`] as it is configured.
pub(super) struct Pushing<F> {
    /// Makes one.
    make: F,
    /// The most items that it is pushed before it is flushed.
    items: usize,
    takes: fn(&Outcome<'_>) -> bool,
}

impl<F> Pushing<F> {
    /// One that takes the outcomes for which `takes` is true.
    pub(super) fn new(items: usize, takes: fn(&Outcome<'_>) -> bool, make: F) -> Self {
        Pushing { make, items, takes }
    }
}

impl<F> Debug for Pushing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushing").field("items", &self.items).finish_non_exhaustive()
    }
}

impl<S: PushSink + 'static, F: Fn() -> S + Send + Sync> Sink for Pushing<F> {
    fn limits(&self) -> Limits {
        Limits { items: self.items, order: Order::Kept, ..Limits::default() }
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        (self.takes)(&record.outcome)
    }

    fn preview(&self, _record: &Record<'_>) -> Option<String> {
        None
    }

    fn lane(&self, _seat: &Seat) -> Box<dyn Lane> {
        Box::new(PushLane { sink: (self.make)(), trouble: None })
    }
}

/// The one lane of a [`PushSink`].
struct PushLane<S> {
    sink: S,
    /// What went wrong after something was taken; said at the next request.
    trouble: Option<Trouble>,
}

impl<S: PushSink> Lane for PushLane<S> {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(async move {
            if let Some(trouble) = self.trouble.take() {
                return Err(trouble);
            }
            // Letters have numbers of other times, which rise by no rule: each goes alone.
            let letter = matches!(items.first(), Some(Item { id: Id::Letter(_), .. }));
            self.deliver(if letter { &items[..1] } else { items }).await
        })
    }
}

impl<S: PushSink> PushLane<S> {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut fates: Vec<Option<Fate>> = Vec::with_capacity(items.len());
        let mut cut = vec![false; items.len()];
        for item in items {
            let pushed = item.record().map_or(Pushed::Skipped, |record| self.sink.push(&record));
            cut[fates.len()] = pushed == Pushed::Cut;
            fates.push((pushed == Pushed::Skipped).then_some(Fate::Taken));
        }
        let mut pause = FIRST_SETTLE;
        loop {
            let flushed = self.sink.flush().await;
            for dead in self.sink.dead() {
                if let Some(at) = items.iter().position(|item| item.sequence == dead.sequence) {
                    fates[at] = Some(Fate::Dead(Said::new(&dead.reason)));
                }
            }
            let taken = match flushed {
                Ok(Taken::All) => items.len(),
                Ok(Taken::Before(sequence)) => items.partition_point(|item| item.sequence < sequence),
                Err(error) => {
                    self.sink.reset();
                    return self.interrupted(fates, error.into());
                }
            };
            for (fate, cut) in fates.iter_mut().zip(&cut).take(taken) {
                fate.get_or_insert(if *cut { Fate::Cut } else { Fate::Taken });
            }
            if taken == items.len() {
                return Ok(fates.into_iter().flatten().collect());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_SETTLE);
        }
    }

    /// What was taken before something went wrong; if nothing was, what went wrong.
    fn interrupted(&mut self, fates: Vec<Option<Fate>>, trouble: Trouble) -> Result<Vec<Fate>, Trouble> {
        let fates: Vec<Fate> = fates.into_iter().map_while(|fate| fate).collect();
        if fates.is_empty() {
            return Err(trouble);
        }
        self.trouble = Some(trouble);
        Ok(fates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::codec;
    use crate::outcome::result::{Common, Event, State};

    /// Answers flushes as it was told to, and keeps what it was pushed.
    struct Told {
        answers: Vec<Result<Taken, SinkError>>,
        dead: Vec<Dead>,
        pushed: Vec<u64>,
    }

    impl PushSink for Told {
        fn push(&mut self, record: &Record<'_>) -> Pushed {
            self.pushed.push(record.sequence);
            if record.sequence == 2 { Pushed::Cut } else { Pushed::Queued }
        }

        async fn flush(&mut self) -> Result<Taken, SinkError> {
            self.answers.remove(0)
        }

        fn reset(&mut self) {
            self.pushed.clear();
        }

        fn dead(&mut self) -> Vec<Dead> {
            std::mem::take(&mut self.dead)
        }
    }

    fn item(id: Id) -> Item {
        let (Id::Letter(sequence) | Id::Journal(sequence)) = id;
        let common = Common {
            time: 1,
            rule: "r".into(),
            state: State::Ok,
            output: "o".into(),
            long_output: "".into(),
            source: "s".into(),
        };
        let outcome =
            Outcome::Event(Event { common, component: "c".into(), resource: None, fields: Vec::new() });
        let mut payload = Vec::new();
        codec::encode(&outcome, &mut payload);
        Item { id, epoch: 1, sequence, key: 1, time: 1, payload: payload.into() }
    }

    fn lane(answers: Vec<Result<Taken, SinkError>>) -> PushLane<Told> {
        PushLane { sink: Told { answers, dead: Vec::new(), pushed: Vec::new() }, trouble: None }
    }

    async fn send(lane: &mut PushLane<Told>, ids: &[Id]) -> Result<Vec<Fate>, Trouble> {
        let items: Vec<Item> = ids.iter().map(|id| item(*id)).collect();
        lane.send(&items).await
    }

    fn away() -> SinkError {
        SinkError::unavailable("cannot connect", "refused", "start it")
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_when_all_is_taken_or_dead() {
        let mut lane = lane(vec![Ok(Taken::Before(1)), Ok(Taken::Before(3)), Ok(Taken::All)]);
        lane.sink.dead.push(Dead { sequence: 3, reason: "no\nsuch host".into() });
        let fates = send(&mut lane, &[1, 2, 3].map(Id::Journal)).await.unwrap();
        assert_eq!(fates, [Fate::Taken, Fate::Cut, Fate::Dead("no such host".into())]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_before_an_error_counts() {
        let mut lane = lane(vec![Ok(Taken::Before(2)), Err(away()), Err(away()), Ok(Taken::All)]);
        let ids = [1, 2, 3].map(Id::Journal);
        assert_eq!(send(&mut lane, &ids).await, Ok(vec![Fate::Taken]));
        let trouble = Trouble::Away("cannot connect: refused".into(), "start it");
        assert_eq!(send(&mut lane, &ids[1..]).await, Err(trouble.clone()), "said with the next request");
        assert_eq!(send(&mut lane, &ids[1..]).await, Err(trouble), "and nothing was taken");
        assert_eq!(send(&mut lane, &ids[2..]).await, Ok(vec![Fate::Taken]));
        assert_eq!(lane.sink.pushed, [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_letter_goes_alone() {
        let mut lane = lane(vec![Ok(Taken::All), Ok(Taken::All)]);
        let ids = [Id::Letter(9), Id::Letter(4), Id::Journal(5)];
        assert_eq!(send(&mut lane, &ids).await.unwrap().len(), 1);
        assert_eq!(send(&mut lane, &ids[2..]).await.unwrap().len(), 1);
        assert_eq!(lane.sink.pushed, [9, 5]);
    }
}
