//! Events from queues of an AMQP 0-9-1 broker. A message is acknowledged once its outcomes are as safe as the journal's settings ask
//! for; what is not acknowledged the broker delivers again.

pub mod board;
pub mod consumer;
pub mod settings;
