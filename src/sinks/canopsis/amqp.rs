//! Canopsis over AMQP: its exchange, to which each event is published.

use super::event::EventEncoder;
use crate::sinks::amqp::lane::{Broker, Bus};
use crate::sinks::settings::{Ends, Options, one_end};

/// Reads the keys of the sink with an `amqp` URL.
pub(super) fn read(options: &mut Options<'_, '_, '_>, encoder: EventEncoder) -> Option<Ends> {
    let broker = Broker::read(options, "canopsis.events");
    Some(one_end(Bus::new(broker?, encoder)))
}
