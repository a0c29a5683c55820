//! Canopsis over AMQP: its exchange, to which each event is published.

use super::event::EventEncoder;
use std::sync::Arc;

use crate::sinks::amqp::lane::{Broker, Bus, Unroutable};
use crate::sinks::settings::{Configured, Options};

/// Reads the keys of the sink with an `amqp` URL.
pub(super) fn read(options: &mut Options<'_, '_, '_>, encoder: EventEncoder) -> Option<Configured> {
    let broker = Broker::read(options, "canopsis.events", Unroutable::Retry);
    Some(Arc::new(Bus::new(broker?, encoder)))
}
