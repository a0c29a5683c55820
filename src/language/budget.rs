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

#[derive(Debug, Clone, Copy)]
struct Meter {
    /// Scopes of messages that are open.
    messages: u32,
    /// Scopes of fields that are open.
    fields: u32,
    /// What is left of the message.
    message: u64,
    /// What is left of the field.
    field: u64,
    /// Whether the field is over budget.
    over: bool,
}

thread_local! {
    static METER: Cell<Meter> =
        const { Cell::new(Meter { messages: 0, fields: 0, message: MESSAGE, field: FIELD, over: false }) };
}

fn change(by: impl FnOnce(&mut Meter)) {
    let mut meter = METER.get();
    by(&mut meter);
    METER.set(meter);
}

/// The budget of a message, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Message(PhantomData<*const ()>);

impl Message {
    /// Begins the budget of a message. Within another one, it is a part of that.
    pub fn begin() -> Self {
        change(|meter| {
            if meter.messages == 0 {
                meter.message = MESSAGE;
            }
            meter.messages += 1;
        });
        Message(PhantomData)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        change(|meter| meter.messages -= 1);
    }
}

/// Evaluates one field, condition or pattern of a message. True if it went over its budget or over that of the message.
pub fn field<T>(evaluate: impl FnOnce() -> T) -> (T, bool) {
    let message = Message::begin();
    change(|meter| {
        if meter.fields == 0 {
            (meter.field, meter.over) = (meter.message.min(FIELD), meter.message == 0);
        }
        meter.fields += 1;
    });
    let value = evaluate();
    change(|meter| meter.fields -= 1);
    drop(message);
    (value, METER.get().over)
}

/// Spends units. False if the field is over budget with them, or was before. Outside a field nothing is counted.
pub fn spend(units: u64) -> bool {
    let mut meter = METER.get();
    if meter.fields == 0 {
        return true;
    }
    // What is over budget is not done, so it does not count for the message.
    let spent = units.min(meter.field);
    meter.over |= units > spent;
    meter.field -= spent;
    meter.message = meter.message.saturating_sub(spent);
    METER.set(meter);
    !meter.over
}

/// Says that the field is over budget.
pub fn exceed() {
    spend(u64::MAX);
}

/// The units that are left to the field; outside a field as many as there can be.
pub fn left() -> u64 {
    let meter = METER.get();
    if meter.fields == 0 { u64::MAX } else { meter.field }
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
