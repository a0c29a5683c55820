//! Mutes: sinks that honour them miss what is muted, and get the last word of each service when the mutes are over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use trapline::daemon::mutes;
use trapline::intake::mute::Covers;
use trapline::time::clock::Wall;

use crate::ledger::{Mark, Service};
use crate::world::World;

/// How long before a death a muted outcome may be so that its last word is not on disk.
const UNSAFE: Duration = Duration::from_millis(2500);

/// The mutes of a world.
#[derive(Debug, Default)]
pub struct Hush {
    /// Services whose last word may have been lost.
    pub doubts: RefCell<BTreeSet<Service>>,
}

/// Mutes something for a while, or ends all mutes.
pub fn change(world: &World) {
    let Some(node) = world.node() else { return };
    let (random, commit) = (&world.random, &node.shared.commit);
    if random.once_in(4) {
        world.history.say(&format!("{} mutes are ended", commit.mutes.end(&[])));
    } else {
        let some = |text: &str, most: u64| random.once_in(2).then(|| format!("{text}{}", random.below(most)));
        let covers = Covers {
            host: some("h", 4),
            service: some("s", 3),
            rule: random.once_in(3).then(|| "*-check".to_owned()),
            ..Covers::default()
        };
        let now = node.shared.now().wall;
        let until = Wall::from_micros(now.micros() + random.range(1, 30) as i64 * 1_000_000);
        world
            .history
            .say(&format!("muted for {} s: {covers:?}", (until.micros() - now.micros()) / 1_000_000));
        commit.mutes.add(covers, now, until);
    }
    // As the command does; it fails with the disk, and is tried again.
    if let Err(error) = mutes::save(&commit.mutes, node.journal.directory()) {
        world.history.say(&format!("the mutes are not written: {error}"));
    }
}

/// All mutes are ended.
pub fn end(world: &World) {
    if let Some(node) = world.node() {
        node.shared.commit.mutes.end(&[]);
    }
}

/// The daemon dies: what it has muted lately may have no last word.
pub fn doubt(world: &World, power: bool) {
    let now = world.history.now();
    let since = world.disk_fails.get().map_or(now, |fails| fails.min(now)).saturating_sub(UNSAFE);
    let mut doubts = world.hush.doubts.borrow_mut();
    for (service, _) in world.ledger.marked().into_iter().filter(|(_, (at, _))| power || *at >= since) {
        doubts.insert(service);
    }
}

/// What was kept of mutes cannot be read: no service may have a last word.
pub fn doubt_all(world: &World) {
    world.hush.doubts.borrow_mut().extend(world.ledger.marked().into_keys());
}

/// Once all mutes are over: no service's last outcome is one that was muted and not said again.
pub fn settle(world: &World) {
    // News takes the place of what was withheld when its message came before, also where a stream that waits for the journal gives
    // that to the journal later.
    let mut doubts = world.hush.doubts.borrow().clone();
    doubts.extend(world.ledger.out_of_order());
    let last: BTreeMap<_, _> = world.ledger.marked();
    for (service, _) in
        last.iter().filter(|(service, (_, mark))| *mark == Mark::Muted && !doubts.contains(service))
    {
        world.history.found(&format!("the last outcome of {service:?} was muted, and was never said"));
    }
}
