//! A device that sends more than it may, next to others: what `[storm]` leaves out is counted, to the last message, and reported.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::sleep;
use trapline::intake::listener::Protocol;
use trapline::intake::storm::Settings;
use trapline::message::NotificationKind;

use crate::outcome::Makes;
use crate::senders::{notification, send};
use crate::world::World;

/// Where it sends from.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 40);
/// Its host has a higher number than those of others.
const HOST: u64 = 60;
/// What a storm that is over is reported with.
const OVER: &str = "Storm of SNMPv2c messages from 192.0.2.40 is over: ";

/// What became of its messages.
#[derive(Debug, Default)]
pub struct Flood {
    /// How many the daemon has read.
    pub read: Cell<u64>,
    /// How many of them are in the journal.
    pub journaled: Cell<u64>,
    /// How many were not processed, by what is said of storms that are over.
    pub left_out: Cell<u64>,
    /// The reports that were seen, by epoch and number.
    pub reports: RefCell<BTreeSet<(u64, u64)>>,
    /// Whether something has happened that may take counts or messages away.
    pub doubt: Cell<bool>,
}

/// How much each sender may send: more than all others ever do.
pub fn settings() -> Settings {
    Settings { rate: 20, hard: 60, except: Vec::new(), service: "Message storm".into() }
}

/// Whether a datagram is one of its.
pub fn is_from(peer: SocketAddr) -> bool {
    peer.ip() == IpAddr::V4(ADDRESS)
}

/// Sends, now and then too much.
pub async fn floods(world: World) {
    let peer = SocketAddr::from((ADDRESS, 5000));
    while world.sending.get() {
        world.pause(25_000).await;
        let until = world.history.now() + Duration::from_millis(world.random.range(500, 6000));
        let most = *world.random.pick(&[1, 3, 12]);
        while world.sending.get() && world.history.now() < until {
            for _ in 0..world.random.range(0, most) {
                let message =
                    world.ledger.message(HOST, world.random.below(2), world.random.below(4), Makes::Check);
                let packet = notification(&message, NotificationKind::Trap, "", 1, world.history.now());
                send(&world, Protocol::Snmp, packet, peer, 1);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The journal has an outcome of the flood.
pub fn journaled(world: &World, host: &str) {
    if host == format!("h{HOST}") {
        world.flood.journaled.set(world.flood.journaled.get() + 1);
    }
}

/// The journal has a report about a storm.
pub fn reported(world: &World, output: &str) {
    world.history.say(output);
    let Some(counts) = output.strip_prefix(OVER) else { return };
    // "7 messages in 3 s, 5 of them not processed"
    let left_out = counts.split(", ").nth(1).and_then(|part| part.split(' ').next()?.parse::<u64>().ok());
    match left_out {
        Some(left_out) => world.flood.left_out.set(world.flood.left_out.get() + left_out),
        None => world.history.found(&format!("a storm ends without its counts: {output}")),
    }
}

/// What was read is in the journal, or counted.
pub fn settle(world: &World) {
    let flood = &world.flood;
    let (read, journaled, left_out) = (flood.read.get(), flood.journaled.get(), flood.left_out.get());
    world.history.say(&format!("of the flood: {read} read, {journaled} journaled, {left_out} left out"));
    if !flood.doubt.get() && read != journaled + left_out {
        world.history.found(&format!(
            "of {read} messages of the flood {journaled} are in the journal and {left_out} are said to be left out"
        ));
    }
}
