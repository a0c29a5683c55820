//! Datagrams that waited on disk for the first rules.

use std::sync::Arc;

use super::listener::Protocol;
use super::pipeline::Pipeline;
use super::shared::Shared;
use crate::sys::Arrival;
use crate::syslog::framing::of_datagram;
use crate::time::clock::Wall;

/// How many of them are committed together.
const ADMITTED: u64 = 512;

/// Processes the datagrams that waited for the first rules. From now on datagrams are processed as they arrive, and
/// streams are accepted.
pub fn admit_waiting(shared: &Arc<Shared>) {
    let mut pipeline = Pipeline::new(shared.clone());
    let mut since_commit = 0;
    let admitted = shared.waiting.close(|waiting| {
        let arrival = Arrival { peer: waiting.peer, local: None };
        let now = shared.now().earlier(Wall::from_micros(waiting.received));
        let message = match waiting.protocol {
            Protocol::Snmp | Protocol::Http => &waiting.bytes,
            Protocol::Syslog => of_datagram(&waiting.bytes),
        };
        pipeline.message(waiting.protocol, message, arrival, now);
        since_commit += 1;
        if since_commit == ADMITTED {
            // The sender of an inform that has waited so long has sent it again or does not wait any more.
            drop(pipeline.commit(shared.now()));
            since_commit = 0;
        }
    });
    drop(pipeline.commit(shared.now()));
    match admitted {
        Ok(0) => {}
        Ok(messages) => tracing::info!(messages, "messages that waited for the rules are processed"),
        Err(error) => tracing::error!(%error, "cannot read the messages that waited for the rules"),
    }
    shared.open();
}
