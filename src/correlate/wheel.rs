//! A hierarchical timer wheel: four levels of 256 slots.
//!
//! A timer is an id and a tick. A timer stands at the level of the highest byte in which its tick differs from the
//! wheel's; when the wheel comes to its slot, it moves down. Setting one and reaching it cost a few steps, however many
//! there are. A timer cannot be taken out: who set it remembers the tick and passes over what comes at another one.

/// A timer wheel. Ticks count from any start, up to 2^32.
#[derive(Debug)]
pub(super) struct Wheel {
    now: u32,
    levels: Vec<Level>,
    /// Timers whose tick was there when they were set.
    overdue: Vec<Timer>,
}

/// A timer: its tick and its id.
pub(super) type Timer = (u32, u32);

const SLOTS: usize = 256;
const LEVELS: usize = 4;

#[derive(Debug)]
struct Level {
    slots: Vec<Vec<Timer>>,
    /// Which slots have timers, a bit each.
    used: [u64; SLOTS / 64],
}

impl Level {
    /// The first slot from `from` on that has timers.
    fn first(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.used.get(word)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *self.used.get(word)?;
        }
    }
}

impl Wheel {
    /// A wheel without timers, at tick 0.
    pub(super) fn new() -> Self {
        let level = || Level { slots: vec![Vec::new(); SLOTS], used: [0; SLOTS / 64] };
        Wheel { now: 0, levels: (0..LEVELS).map(|_| level()).collect(), overdue: Vec::new() }
    }

    /// Sets a timer. One whose tick has passed comes with the next call of [`Wheel::advance`].
    pub(super) fn set(&mut self, tick: u32, id: u32) {
        if tick <= self.now {
            return self.overdue.push((tick, id));
        }
        let level = (tick ^ self.now).ilog2() as usize / 8;
        let slot = digit(tick, level);
        let level = &mut self.levels[level];
        level.slots[slot].push((tick, id));
        level.used[slot / 64] |= 1 << (slot % 64);
    }

    /// The next tick at which there may be something to do; there is nothing before it.
    pub(super) fn next(&self) -> Option<u32> {
        if !self.overdue.is_empty() {
            return Some(self.now);
        }
        // What stands at a lower level comes first.
        self.levels.iter().enumerate().find_map(|(at, level)| {
            let slot = level.first(digit(self.now, at) + 1)?;
            let shift = 8 * at;
            let above = if at == LEVELS - 1 { 0 } else { self.now >> (shift + 8) << (shift + 8) };
            Some(above | ((slot as u32) << shift))
        })
    }

    /// Moves to a tick, and gives the timers up to it: some of them at a time, until it gives none.
    pub(super) fn advance(&mut self, to: u32, due: &mut Vec<Timer>) {
        due.append(&mut self.overdue);
        while due.is_empty() {
            let Some(next) = self.next().filter(|next| *next <= to) else { break };
            self.now = next;
            for at in (1..LEVELS).rev() {
                if next.trailing_zeros() as usize >= 8 * at {
                    for (tick, id) in self.take(at, digit(next, at)) {
                        // One whose tick is this one comes now.
                        self.set(tick, id);
                    }
                }
            }
            let mut now = self.take(0, digit(next, 0));
            due.append(&mut self.overdue);
            due.append(&mut now);
        }
        if due.is_empty() {
            self.now = self.now.max(to);
        }
    }

    fn take(&mut self, level: usize, slot: usize) -> Vec<Timer> {
        let level = &mut self.levels[level];
        level.used[slot / 64] &= !(1 << (slot % 64));
        std::mem::take(&mut level.slots[slot])
    }
}

fn digit(tick: u32, level: usize) -> usize {
    (tick >> (8 * level)) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u32),
        Advance(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let far = prop_oneof![0..5u32, 0..300u32, 0..70_000u32, 0..20_000_000u32, 0..400_000_000u32];
        let step = prop_oneof![
            3 => far.clone().prop_map(Step::Set),
            1 => far.prop_map(Step::Advance),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 1000, ..ProptestConfig::default() })]
        #[test]
        fn as_an_ordered_set_has_them(start in prop_oneof![0..10u32, any::<u32>().prop_map(|n| n / 4)], steps in steps()) {
            let (mut wheel, mut oracle, mut now) = (Wheel::new(), BTreeSet::<Timer>::new(), start);
            wheel.advance(start, &mut Vec::new());
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Set(after) => {
                        wheel.set(now + after, id as u32);
                        oracle.insert((now + after, id as u32));
                    }
                    Step::Advance(by) => {
                        now += by;
                        let first = oracle.first().map(|(tick, _)| *tick);
                        prop_assert!(wheel.next().is_none_or(|next| first.is_some_and(|first| next <= first.max(now - by))));
                        let mut all = Vec::new();
                        loop {
                            let mut some = Vec::new();
                            wheel.advance(now, &mut some);
                            if some.is_empty() {
                                break;
                            }
                            // Earlier ticks come first.
                            let last = all.iter().map(|(tick, _)| *tick).max().unwrap_or(0);
                            prop_assert!(some.iter().all(|(tick, _)| *tick >= last));
                            all.extend(some);
                        }
                        all.sort_unstable();
                        let later = oracle.split_off(&(now + 1, 0));
                        prop_assert_eq!(all, oracle.into_iter().collect::<Vec<_>>());
                        oracle = later;
                    }
                }
            }
        }
    }
}
