//! How an opened journal begins: with a new segment, behind those that are there.

use std::io;

use crate::files::is_without_room;
use crate::journal::segment::{Header, Meta, segment_path};
use crate::journal::shape::Shape;
use crate::journal::spare::Spare;
use crate::journal::tail::Tail;

/// Begins a segment with the record `next`. Segments that every sink had taken, up to the record `taken`, stay until
/// [`Journal::remove_taken`](super::Journal::remove_taken) is called, as the state of rules is compared with them; unless their room is
/// needed. If the disk has no room for a segment even then, the journal begins without one: it takes nothing, and sinks get what is
/// there.
///
/// # Errors
///
/// What the system says.
pub(super) fn begin(shape: &Shape, mut segments: Vec<Meta>, next: u64, taken: u64) -> io::Result<Tail> {
    let mut newest = first(shape, next);
    if lacks_room(&newest) {
        // The last segment keeps the numbers, and goes once there is another one.
        let last = segments.pop();
        remove_taken(shape, &mut segments, taken)?;
        segments.extend(last);
        newest = first(shape, next);
    }
    let without_room = lacks_room(&newest);
    if without_room {
        newest = Spare::without_room(shape);
    }
    let mut tail = Tail::new(segments, next, shape, newest?);
    (tail.gone, tail.without_room) = (without_room, without_room);
    Ok(tail)
}

fn first(shape: &Shape, next: u64) -> io::Result<Spare> {
    let spare = Spare::make(shape)?;
    let begun = spare.become_segment(shape, Header { epoch: shape.epoch, first: next });
    if let Err(error) = begun {
        spare.discard(&*shape.disk);
        return Err(error);
    }
    shape.disk.sync_directory(&shape.directory)?;
    Ok(spare)
}

fn lacks_room<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| is_without_room(error.kind()))
}

fn remove_taken(shape: &Shape, segments: &mut Vec<Meta>, taken: u64) -> io::Result<()> {
    let delivered = segments.iter().take_while(|segment| segment.end() <= taken).count();
    for segment in segments.drain(..delivered) {
        shape.disk.remove(&segment_path(&shape.directory, segment.first))?;
    }
    Ok(())
}
