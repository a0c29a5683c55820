//! Messages as they come, and what becomes of them, for those who look on: the tap of `trapline tap` as a stream.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::ask::Ask;
use super::desk::Desk;
use super::let_in::LetIn;
use super::limits::Place;
use super::problem::Problem;
use super::route::Param;
use crate::intake::tap::{Filter, View, network};
use crate::time::clock::rfc3339;

/// How often something is sent.
const BEAT: Duration = Duration::from_secs(15);
/// How long it may take until it is said how many messages were missed.
const MISSED: Duration = Duration::from_secs(1);

/// What such a stream takes.
pub const PARAMS: &[Param] = &[
    Param { name: "from", says: "only messages of this network or address" },
    Param { name: "unmatched", says: "1 for messages that no rule takes, or that are refused" },
    Param { name: "q", says: "only messages whose JSON contains this text, in any case" },
];

/// A stream of messages.
#[derive(Debug)]
pub struct Messages {
    desk: Arc<Desk>,
    view: View,
    hello: bool,
    let_in: LetIn,
    beats: Instant,
    /// Held as long as it is open.
    _place: Option<Place>,
}

impl Messages {
    /// The stream that is asked for.
    ///
    /// # Errors
    ///
    /// 400 for a wrong parameter, 503 if too many look on.
    pub fn open(mut ask: Ask) -> Result<Messages, Problem> {
        let given = |name: &str| ask.query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let filter = Filter { from: given("from"), unmatched: ask.flag("unmatched")?, text: given("q") };
        if let Some(from) = &filter.from {
            network(from).map_err(Problem::wrong)?;
        }
        let let_in = LetIn::new(&ask);
        let view = ask.desk.status.shared.tap.view(&filter).map_err(Problem::unavailable)?;
        Ok(Messages {
            view,
            hello: true,
            let_in,
            beats: Instant::now() + BEAT,
            _place: ask.place.take(),
            desk: ask.desk,
        })
    }

    /// What is to be sent next, as JSON; nothing where only the connection is to be kept open. None at the end.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        let now = || rfc3339(self.desk.status.clock.now().wall.micros());
        if std::mem::take(&mut self.hello) {
            let data = json!({ "version": env!("CARGO_PKG_VERSION") });
            return Some(vec![json!({ "type": "hello", "timestamp": now(), "data": data }).to_string()]);
        }
        loop {
            // Also while much comes.
            if !self.let_in.holds().await {
                return None;
            }
            let mut items = Vec::new();
            tokio::select! {
                line = self.view.next() => {
                    let line = line?;
                    items.push(format!("{{\"type\":\"message\",\"data\":{}}}", line.trim_end()));
                }
                () = tokio::time::sleep(MISSED) => {}
                () = self.let_in.ends() => {}
            }
            let missed = self.view.missed();
            if missed > 0 {
                items.push(json!({ "type": "gap", "data": { "dropped": missed } }).to_string());
            }
            if !items.is_empty() || Instant::now() >= self.beats {
                self.beats = Instant::now() + BEAT;
                return Some(items);
            }
        }
    }
}
