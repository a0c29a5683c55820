//! Listeners while the configuration changes: which are bound, which go on, which end.

use std::net::SocketAddr;

use super::plan::{self, Steps};
use crate::intake::bind::{self, BindError, Bound};
use crate::intake::listener::{Key, Listener, Transport};
use crate::settings::diagnostic::Diagnostics;

/// New listeners, bound, and what becomes of those that run.
#[derive(Debug, Default)]
pub struct ListenerPlan {
    /// To be started.
    pub bound: Vec<Bound>,
    /// They go on with other limits.
    pub changed: Vec<Listener>,
    /// To be ended.
    pub removed: Vec<Key>,
}

/// What was done with listeners, by their names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Done {
    /// Those that were started.
    pub added: Vec<String>,
    /// Those that go on with other limits.
    pub changed: Vec<String>,
    /// Those that were ended.
    pub removed: Vec<String>,
}

/// Binds what is wanted and does not run. What cannot be bound is reported with its place in the configuration.
pub fn plan(running: &[Listener], wanted: &[Listener], found: &mut Diagnostics) -> ListenerPlan {
    let keys = |listeners: &[Listener]| listeners.iter().map(Listener::key).collect::<Vec<Key>>();
    let Steps { kept, added, removed } = plan::steps(&keys(running), &keys(wanted));
    let removed: Vec<Key> = removed.into_iter().map(|at| running[at].key()).collect();
    let mut bound = Vec::new();
    for listener in added.into_iter().map(|at| &wanted[at]) {
        match bind::bind(listener) {
            Ok(one) => bound.push(one),
            Err(error) if listener.optional => {
                tracing::info!("not listening on {}: {}", error.transport, error.error);
            }
            Err(error) => report(listener, &error, &removed, found),
        }
    }
    let changed = kept.into_iter().filter(|(from, to)| running[*from].limits != wanted[*to].limits);
    ListenerPlan { bound, changed: changed.map(|(_, to)| wanted[to].clone()).collect(), removed }
}

fn report(listener: &Listener, error: &BindError, removed: &[Key], found: &mut Diagnostics) {
    let own = removed.iter().find(|key| {
        error.error.kind() == std::io::ErrorKind::AddrInUse && overlap(key.transport, listener.transport)
    });
    match (&listener.place, own) {
        (Some(place), Some(own)) => found.push(place.error(
            format!(
                "cannot listen on {}: this daemon's own listener {own} still has the port",
                error.transport
            ),
            "remove that one in one reload and add this one in the next, or restart",
        )),
        (Some(_), None) => error.diagnostic().into_iter().for_each(|diagnostic| found.push(diagnostic)),
        (None, _) => found.file_error("trapline", error.to_string(), ""),
    }
}

/// Whether two transports cannot be bound at once.
fn overlap(one: Transport, other: Transport) -> bool {
    let (a, b): (SocketAddr, SocketAddr) = (one.address(), other.address());
    one.is_datagram() == other.is_datagram()
        && a.port() == b.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
