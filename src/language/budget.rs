//! How much work one message may cause.
//!
//! Work is counted in units of about a nanosecond: one for each byte that an operation reads or writes, [`ITEM`] for each
//! item of a list, [`INSTRUCTION`] for each instruction of the template engine. A message has [`MESSAGE`] units, each of its
//! fields and conditions at most [`FIELD`]. What is over budget is an error, so that no text from the network keeps a thread
//! busy or fills the memory.
//!
//! A message is processed on one thread from its beginning to its end, so the count belongs to the thread.

use std::cell::Cell;
use std::marker::PhantomData;

/// The units of a message, for all its rules, patterns and templates together.
pub const MESSAGE: u64 = 16_000_000;
/// The units of one template, condition or pattern.
pub const FIELD: u64 = 4_000_000;
/// The units of an item of a list, beside its bytes.
pub const ITEM: u64 = 64;
/// The units of an instruction of the template engine.
pub const INSTRUCTION: u64 = 32;

/// Counters of a thread. Each is a cell of its own, so that a scope touches only what it changes.
struct Meter {
    /// Scopes of messages that are open.
    messages: Cell<u32>,
    /// Scopes of fields that are open.
    fields: Cell<u32>,
    /// What is left of the message.
    message: Cell<u64>,
    /// What is left of the field.
    field: Cell<u64>,
    /// Whether the field is over budget.
    over: Cell<bool>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            messages: Cell::new(0),
            fields: Cell::new(0),
            message: Cell::new(MESSAGE),
            field: Cell::new(FIELD),
            over: Cell::new(false),
        }
    };
}

/// The budget of a message, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Message(PhantomData<*const ()>);

impl Message {
    /// Begins the budget of a message. Within another one, it is a part of that.
    pub fn begin() -> Self {
        METER.with(|meter| {
            if meter.messages.get() == 0 {
                meter.message.set(MESSAGE);
            }
            meter.messages.update(|open| open + 1);
        });
        Message(PhantomData)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        METER.with(|meter| meter.messages.update(|open| open - 1));
    }
}

/// Evaluates one field, condition or pattern of a message. True if it went over its budget or over that of the message.
pub fn field<T>(evaluate: impl FnOnce() -> T) -> (T, bool) {
    METER.with(|meter| {
        if meter.fields.get() == 0 {
            if meter.messages.get() == 0 {
                // Outside a message it has the budget of one.
                meter.message.set(MESSAGE);
            }
            let left = meter.message.get();
            meter.field.set(left.min(FIELD));
            meter.over.set(left == 0);
        }
        meter.fields.update(|open| open + 1);
    });
    // A panic that is survived leaves no scope open.
    let scope = Scope;
    let value = evaluate();
    drop(scope);
    (value, METER.with(|meter| meter.over.get()))
}

/// The scope of a field that is open.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        METER.with(|meter| meter.fields.update(|open| open - 1));
    }
}

/// Spends units. False if the field is over budget with them, or was before. Outside a field nothing is counted.
pub fn spend(units: u64) -> bool {
    METER.with(|meter| {
        if meter.fields.get() == 0 {
            return true;
        }
        // What is over budget is not done, so it does not count for the message.
        let left = meter.field.get();
        let spent = units.min(left);
        if units > spent {
            meter.over.set(true);
        }
        meter.field.set(left - spent);
        meter.message.update(|left| left.saturating_sub(spent));
        !meter.over.get()
    })
}

/// Says that the field is over budget.
pub fn exceed() {
    spend(u64::MAX);
}

/// The units that are left to the field; outside a field as many as there can be.
pub fn left() -> u64 {
    METER.with(|meter| if meter.fields.get() == 0 { u64::MAX } else { meter.field.get() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_share_of_the_message() {
        let message = Message::begin();
        let spent = |units| field(|| spend(units));
        assert_eq!(spent(FIELD), (true, false));
        // Another field has a budget of its own.
        assert_eq!(spent(FIELD + 1), (false, true));
        assert_eq!(spent(FIELD), (true, false));
        assert_eq!(field(|| (spend(FIELD - 1), left(), spend(2), left())), ((true, 1, false, 0), true));
        // The message has nothing left.
        assert_eq!(spent(0), (false, true));
        drop(message);
        assert_eq!(spent(1), (true, false));
        assert!(spend(u64::MAX));
    }

    #[test]
    fn scopes_within_scopes_are_parts_of_them() {
        let (inner, over) = field(|| {
            let inner = field(|| spend(FIELD));
            (inner, spend(1))
        });
        assert_eq!((inner, over), (((true, false), false), true));
    }
}
