//! What the ways to Nagios have in common: they take check results alone, in their order, and write each as text of one format.

use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Outcome};
use crate::sinks::piece::{Format, Piece};
use crate::sinks::plugin_output::Unfit;
use crate::sinks::sink::{Fate, Item, Limits, Order, Pieces, Said};

/// How much is sent at a time.
pub fn limits() -> Limits {
    Limits { items: 512, order: Order::Kept, ..Limits::default() }
}

/// What is sent of a record, as `push` writes it.
pub fn pieces(
    record: &Record<'_>,
    format: Format,
    push: impl FnOnce(&mut Vec<u8>, &CheckResult<'_>) -> Result<bool, Unfit>,
) -> Option<Pieces> {
    let Outcome::CheckResult(check) = &record.outcome else { return None };
    let mut text = Vec::new();
    let pushed = push(&mut text, check);
    Some(pushed.map(|_| vec![Piece::new(format, text)]).map_err(Said::from))
}

/// Appends the result of an item, and says what becomes of it once that is written.
pub fn push(
    out: &mut Vec<u8>,
    item: &Item,
    push: impl FnOnce(&mut Vec<u8>, &CheckResult<'_>) -> Result<bool, Unfit>,
) -> Fate {
    let record = item.record();
    let Some(Outcome::CheckResult(check)) = record.as_ref().map(|record| &record.outcome) else {
        return Fate::Dead("the outcome is no check result".into());
    };
    match push(out, check) {
        Ok(false) => Fate::Taken,
        Ok(true) => Fate::Cut,
        Err(error) => Fate::Dead(error.into()),
    }
}
