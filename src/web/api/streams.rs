//! What streams send: updates of states, as they come, behind what a client has had already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::ask::Ask;
use super::asked;
use super::desk::Desk;
use super::let_in::LetIn;
use super::limits::Place;
use super::past::Past;
use super::problem::Problem;
use super::route::Param;
use crate::history::{Filter, Row, endpoint};
use crate::outcome::result::State;
use crate::time::clock::rfc3339;
use crate::web::feed::{Event, Missed, Reader, Which};

/// How often something is sent.
const BEAT: Duration = Duration::from_secs(15);
/// How many events are looked at at a time.
const AT_ONCE: usize = 64;

/// What streams take.
pub const PARAMS: &[Param] = &[
    asked::FILTER[2],
    asked::FILTER[3],
    asked::FILTER[4],
    asked::FILTER[5],
    asked::FILTER[6],
    asked::FILTER[7],
    asked::FILTER[8],
    Param { name: "all", says: "1 for all outcomes, not only changes of state" },
    Param {
        name: "some",
        says: "1, with all=1, for at most 50 a second of them, and how many there were between",
    },
    Param { name: "words", says: "online: say online and offline in the place of states" },
    Param { name: "since", says: "the id of the last outcome that you have had" },
];

/// What is sent.
#[derive(Debug, Clone)]
pub enum Item {
    /// The stream has begun.
    Hello,
    /// An outcome.
    Update(Arc<Row>),
    /// So many outcomes were passed over.
    More(u64),
    /// Something was missed.
    Gap(Missed),
    /// Nothing has come for a while.
    Beat,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    desk: Arc<Desk>,
    reader: Reader,
    filter: Filter,
    online: bool,
    /// What is sent before what the reader gives.
    first: VecDeque<Item>,
    let_in: LetIn,
    beats: Instant,
    /// Held as long as it is open.
    _place: Option<Place>,
}

/// The two halves of an id.
fn parsed(id: &str) -> Option<(u64, u64)> {
    let (epoch, sequence) = id.split_once('-')?;
    Some((u64::from_str_radix(epoch, 16).ok()?, sequence.parse().ok()?))
}

impl Stream {
    /// The stream that is asked for.
    ///
    /// # Errors
    ///
    /// 400.
    pub async fn open(mut ask: Ask) -> Result<Stream, Problem> {
        let filter = asked::filter(&ask)?;
        let online = match ask.query.get("words") {
            None => false,
            Some("online") => true,
            Some(other) => {
                return Err(Problem::wrong(format!("words={}: there is online", other.escape_debug())));
            }
        };
        let which = match (ask.flag("all")?, ask.flag("some")?) {
            (false, _) => Which::Changes,
            (true, false) => Which::All,
            (true, true) => Which::Some,
        };
        // A client that connects again says what it has had in the header; its address still says what it had at first.
        let last = ask.fields.get("last-event-id").and_then(|id| id.to_str().ok());
        let since = last.or(ask.query.get("since")).filter(|id| !id.is_empty());
        let since = since.map(|id| {
            parsed(id)
                .ok_or_else(|| Problem::wrong("since is the id of an outcome, as `id` of the stream has it"))
        });
        // Of what somebody looks at a part only, there is nothing to go on with.
        let since = since.transpose()?.filter(|_| which != Which::Some);
        let let_in = LetIn::new(&ask);
        let mut reader = ask.desk.feed.reader(which).await;
        let mut first = VecDeque::from([Item::Hello]);
        if let Some((epoch, sequence)) = since {
            let journal = &ask.desk.status.shared.journal;
            let behind = journal.resumes(epoch, sequence.saturating_add(1)).saturating_sub(1);
            if let Some(missed) = reader.seek(Some(behind)) {
                let past = Past::new(missed, filter.clone(), which);
                let (desk, is_over) = (ask.desk.clone(), asked::is_over(&ask));
                let read = tokio::task::spawn_blocking(move || past.read(&desk, is_over)).await;
                let (rows, missed) = read.unwrap_or((Vec::new(), Some(missed)));
                first.extend(missed.map(Item::Gap));
                first.extend(rows.into_iter().map(|row| Item::Update(Arc::new(row))));
            }
        }
        Ok(Stream {
            reader,
            filter,
            online,
            first,
            let_in,
            beats: Instant::now() + BEAT,
            _place: ask.place.take(),
            desk: ask.desk,
        })
    }

    /// What is to be sent next; none at the end. What has not been awaited to its end has taken nothing.
    pub async fn next(&mut self) -> Option<Vec<Item>> {
        // Also while much comes.
        if !self.let_in.holds().await {
            return None;
        }
        if !self.first.is_empty() {
            self.beats = Instant::now() + BEAT;
            let count = self.first.len().min(AT_ONCE);
            return Some(self.first.drain(..count).collect());
        }
        loop {
            let events = self.reader.now(AT_ONCE);
            let is_empty = events.is_empty();
            let items: Vec<Item> = events
                .into_iter()
                .filter_map(|event| match event {
                    Event::Outcome(row) => self.filter.matches(&row).then_some(Item::Update(row)),
                    Event::Gap(missed) => Some(Item::Gap(missed)),
                    Event::More { count, .. } => Some(Item::More(count)),
                })
                .collect();
            if !items.is_empty() {
                self.beats = Instant::now() + BEAT;
                return Some(items);
            }
            if !is_empty {
                // Others have their turn.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = self.reader.wait() => {}
                () = self.let_in.ends() => {
                    if !self.let_in.holds().await {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(self.beats) => {
                    self.beats = Instant::now() + BEAT;
                    if !self.let_in.holds().await {
                        return None;
                    }
                    return Some(vec![Item::Beat]);
                }
            }
        }
    }

    /// An item as JSON; none for one that only shows that the stream is open.
    pub fn json(&self, item: &Item) -> Option<Value> {
        let now = || rfc3339(self.desk.status.clock.now().wall.micros());
        match item {
            Item::Hello => {
                let data = json!({ "version": env!("CARGO_PKG_VERSION"), "words": if self.online { "online" } else { "states" } });
                Some(json!({ "type": "hello", "timestamp": now(), "data": data }))
            }
            Item::Gap(Missed { dropped, from, to }) => {
                let data = json!({ "dropped": dropped, "from": from, "to": to });
                Some(json!({ "type": "gap", "timestamp": now(), "data": data }))
            }
            Item::More(count) => {
                Some(json!({ "type": "more", "timestamp": now(), "data": { "count": count } }))
            }
            Item::Update(row) => Some(update(row, self.online)),
            Item::Beat => None,
        }
    }

    /// Items as server-sent events.
    pub fn sse(&self, items: &[Item]) -> String {
        let mut text = String::new();
        for item in items {
            let json = self.json(item).unwrap_or_default();
            match item {
                Item::Hello => text.push_str(&format!("retry: 3000\nevent: hello\ndata: {json}\n\n")),
                Item::Gap(_) => text.push_str(&format!("event: gap\ndata: {json}\n\n")),
                Item::More(_) => text.push_str(&format!("event: more\ndata: {json}\n\n")),
                Item::Update(row) => text.push_str(&format!("id: {}\ndata: {json}\n\n", row.id())),
                Item::Beat => text.push_str(": open\n\n"),
            }
        }
        text
    }

    /// Items as lines of JSON.
    pub fn lines(&self, items: &[Item]) -> String {
        let mut text = String::new();
        for item in items {
            let json = self.json(item).unwrap_or_else(|| json!({ "type": "keepalive" }));
            text.push_str(&format!("{json}\n"));
        }
        text
    }
}

/// An outcome as an update of a state.
fn update(row: &Row, online: bool) -> Value {
    let word = |state: State| match (online, state) {
        (false, state) => state.as_str(),
        (true, State::Ok | State::Up) => "online",
        (true, _) => "offline",
    };
    json!({
        "type": "status_update",
        "timestamp": rfc3339(row.time),
        "data": {
            "endpointId": endpoint::encode(&row.host, row.service.as_deref()),
            "status": word(row.state),
            "previousStatus": row.previous.map(word),
            "responseTime": null,
            "id": row.id(),
            "host": row.host,
            "service": row.service,
            "rule": row.rule,
            "output": row.output,
            "count": row.count,
        },
    })
}
