//! What has happened in a simulation, in order.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::SimClock;

/// How many lines are kept.
const MOST: usize = 20_000;

/// The history. Clones are the same one.
#[derive(Clone)]
pub struct History(Rc<Inner>);

struct Inner {
    clock: SimClock,
    lines: RefCell<Vec<String>>,
    hash: RefCell<DefaultHasher>,
    findings: RefCell<Vec<String>>,
    count: Cell<u64>,
}

impl History {
    /// Begins.
    pub fn new(clock: SimClock) -> Self {
        History(Rc::new(Inner {
            clock,
            lines: RefCell::default(),
            hash: RefCell::default(),
            findings: RefCell::default(),
            count: Cell::new(0),
        }))
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// Something has happened.
    pub fn say(&self, what: &str) {
        let line = format!("{:>12.6}  {what}", self.0.clock.elapsed().as_secs_f64());
        line.hash(&mut *self.0.hash.borrow_mut());
        self.0.count.set(self.0.count.get() + 1);
        let mut lines = self.0.lines.borrow_mut();
        if lines.len() < MOST {
            lines.push(line);
        }
    }

    /// Something has happened that must not.
    pub fn found(&self, what: &str) {
        self.say(&format!("FOUND {what}"));
        let mut findings = self.0.findings.borrow_mut();
        if findings.len() < 20 {
            findings.push(what.to_owned());
        }
    }

    /// What must not have happened.
    pub fn findings(&self) -> Vec<String> {
        self.0.findings.borrow().clone()
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.borrow().clone()
    }

    /// The same for the same history.
    pub fn digest(&self) -> u64 {
        self.0.hash.borrow().finish()
    }
}
