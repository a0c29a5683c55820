//! Live messages for people who look on. Nobody who looks on slows a listener down: each has a queue of a fixed size, all
//! together get a number of messages a second, and what does not fit is counted.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::time::clock::Mono;
use crate::time::rate::Rate;

/// How many may look on at once.
pub const VIEWERS: usize = 8;
/// How many messages wait for one of them.
const QUEUE: usize = 256;
/// How many messages a second are described, for all of them together: some milliseconds of work.
const A_SECOND: u32 = 500;

/// Which messages somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Only from this network or address.
    pub from: Option<String>,
    /// Only those that no rule matches, or that are refused.
    pub unmatched: bool,
    /// Only those whose description contains this text, in any case.
    pub text: Option<String>,
}

/// A network, or an address.
///
/// # Errors
///
/// If the text is neither; the error is for the user.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| format!("'{text}' is no network or address; write 192.0.2.0/24 or 192.0.2.1"))
}

/// Those who look on.
#[derive(Debug)]
pub struct Tap {
    /// How many there are; listeners look at nothing else while there is nobody.
    open: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    viewers: Vec<Arc<Viewer>>,
    rate: Rate,
}

#[derive(Debug)]
struct Viewer {
    from: Option<IpNet>,
    unmatched: bool,
    text: Option<String>,
    lines: mpsc::Sender<Arc<str>>,
    missed: AtomicU64,
}

impl Default for Tap {
    fn default() -> Self {
        Tap {
            open: AtomicUsize::new(0),
            state: Mutex::new(State { viewers: Vec::new(), rate: Rate::new(A_SECOND) }),
        }
    }
}

impl Tap {
    /// Whether the message of this sender is to be described, to be given to [`Tap::show`] then.
    #[inline]
    pub fn wants(&self, from: IpAddr, now: Mono) -> bool {
        self.open.load(Ordering::Relaxed) > 0 && self.is_wanted(from, now)
    }

    fn is_wanted(&self, from: IpAddr, now: Mono) -> bool {
        let State { viewers, rate } = &mut *self.lock();
        let mut theirs = viewers.iter().filter(|viewer| viewer.is_for(from)).peekable();
        if theirs.peek().is_none() {
            return false;
        }
        if rate.allowed(now) > 0 && theirs.clone().any(|viewer| viewer.lines.capacity() > 0) {
            rate.spend(1);
            return true;
        }
        theirs.for_each(|viewer| viewer.miss());
        false
    }

    /// Shows a message to those who want it. `taken`: whether a rule matches it.
    pub fn show(&self, from: IpAddr, taken: bool, described: &Value) {
        let line: Arc<str> = format!("{described}\n").into();
        let lower = line.to_lowercase();
        for viewer in self.lock().viewers.iter().filter(|viewer| viewer.is_for(from)) {
            let wants =
                !(taken && viewer.unmatched) && viewer.text.as_ref().is_none_or(|text| lower.contains(text));
            if wants && viewer.lines.try_send(line.clone()).is_err() {
                viewer.miss();
            }
        }
    }

    /// Looks on.
    ///
    /// # Errors
    ///
    /// If the filter is wrong, or too many look on; the error is for the user.
    pub fn view(self: &Arc<Self>, filter: &Filter) -> Result<View, String> {
        let from = filter.from.as_deref().map(network).transpose()?;
        let text = filter.text.as_ref().map(|text| text.to_lowercase());
        let (lines, queue) = mpsc::channel(QUEUE);
        let viewer =
            Arc::new(Viewer { from, unmatched: filter.unmatched, text, lines, missed: AtomicU64::new(0) });
        let mut state = self.lock();
        if state.viewers.len() == VIEWERS {
            return Err(format!("{VIEWERS} look on already; end one of them"));
        }
        state.viewers.push(viewer.clone());
        self.open.store(state.viewers.len(), Ordering::Relaxed);
        drop(state);
        Ok(View { tap: self.clone(), viewer, queue })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Viewer {
    fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    fn is_for(&self, from: IpAddr) -> bool {
        self.from.is_none_or(|network| network.contains(&from.to_canonical()))
    }
}

/// What somebody who looks on sees. It ends when it is dropped.
#[derive(Debug)]
pub struct View {
    tap: Arc<Tap>,
    viewer: Arc<Viewer>,
    queue: mpsc::Receiver<Arc<str>>,
}

impl View {
    /// The next message, a line of JSON.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        self.queue.recv().await
    }

    /// How many messages were missed since this was last asked, of those that came from the wanted senders.
    pub fn missed(&self) -> u64 {
        self.viewer.missed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let mut state = self.tap.lock();
        state.viewers.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.tap.open.store(state.viewers.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    fn filter(from: Option<&str>, unmatched: bool, text: Option<&str>) -> Filter {
        Filter { from: from.map(str::to_owned), unmatched, text: text.map(str::to_owned) }
    }

    fn seen(view: &mut View) -> usize {
        std::iter::from_fn(|| view.queue.try_recv().ok()).count()
    }

    #[test]
    fn nobody_looks_on() {
        let tap = Arc::new(Tap::default());
        assert!(!tap.wants(FROM, at(1)));
        let view = tap.view(&Filter::default()).unwrap();
        assert!(tap.wants(FROM, at(1)));
        drop(view);
        assert!(!tap.wants(FROM, at(2)));
    }

    #[test]
    fn filters() {
        for (filter, taken, wanted) in [
            (filter(None, false, None), true, true),
            (filter(Some("192.0.2.0/24"), false, None), true, true),
            (filter(Some("192.0.2.7"), false, Some("LINKdown")), true, true),
            (filter(Some("192.0.2.8"), false, None), true, false),
            (filter(None, true, None), true, false),
            (filter(None, true, None), false, true),
            (filter(None, false, Some("coldStart")), true, false),
        ] {
            let tap = Arc::new(Tap::default());
            let mut view = tap.view(&filter).unwrap();
            if tap.wants(FROM, at(1)) {
                tap.show(FROM, taken, &json!({ "name": "IF-MIB::linkDown" }));
            }
            assert_eq!((seen(&mut view) == 1, view.missed()), (wanted, 0), "{filter:?}");
        }
        let tap = Arc::new(Tap::default());
        assert!(tap.view(&filter(Some("here"), false, None)).unwrap_err().contains("'here' is no network"));
        let views: Vec<View> = (0..VIEWERS).map(|_| tap.view(&Filter::default()).unwrap()).collect();
        assert!(tap.view(&Filter::default()).is_err());
        drop(views);
        assert!(tap.view(&Filter::default()).is_ok());
    }

    /// One who reads and one who does not, in a flood: what is shown and missed is what came, and the queue is bounded.
    #[test]
    fn who_is_slow_misses_messages_and_nobody_else_does() {
        let tap = Arc::new(Tap::default());
        let (mut fast, mut slow) =
            (tap.view(&Filter::default()).unwrap(), tap.view(&Filter::default()).unwrap());
        let (mut got, mut came) = (0, 0);
        for second in 1..=5 {
            for _ in 0..400 {
                came += 1;
                if tap.wants(FROM, at(second)) {
                    tap.show(FROM, true, &json!({}));
                }
                got += seen(&mut fast);
            }
        }
        assert_eq!((got, fast.missed()), (came, 0));
        assert_eq!((seen(&mut slow), slow.missed()), (QUEUE, (came - QUEUE) as u64));
        // Beyond the rate everybody misses them, and nothing is described.
        let described = (0..5000).filter(|_| tap.wants(FROM, at(10))).count();
        assert_eq!((described as u64, fast.missed()), (u64::from(A_SECOND), 5000 - u64::from(A_SECOND)));
    }
}
