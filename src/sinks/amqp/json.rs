//! The amqp sink: outcomes as JSON, with a routing key by template.

use super::lane::{Broker, Bus, Encoder, Message, RoutingKey, Unroutable};
use std::sync::Arc;

use crate::outcome::json;
use crate::outcome::name::{breaks_line, turns};
use crate::outcome::record::Record;
use crate::settings::section::Located;
use crate::sinks::fields::Template;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::sink::Said;
use crate::sinks::tls;

/// `type = "amqp"`
pub const KIND: Kind = Kind {
    name: "amqp",
    says: "any AMQP 0-9-1 exchange",
    keys: &[
        &[
            Key {
                name: "url",
                default: "required",
                says: "`amqp://USER:PASSWORD@HOST:5672/VHOST`, or `amqps://USER:PASSWORD@HOST:5671/VHOST` with TLS.",
            },
            Key {
                name: "exchange",
                default: "\"trapline\"",
                says: "The exchange; `\"\"` for the default one.",
            },
            Key {
                name: "declare",
                default: "true",
                says: "Whether to declare the exchange (durable, topic). Use false if it exists with another type.",
            },
            Key {
                name: "routing_key",
                default: "\"{{ outcome.kind }}.{{ outcome.state }}.{{ outcome.host }}\"",
                says: "A template.",
            },
            Unroutable::key("\"dead\""),
        ],
        tls::KEYS,
    ],
    answers: &[],
    read,
};

/// Makes outcomes into JSON.
#[derive(Debug, Clone)]
struct JsonEncoder {
    routing_key: Template,
}

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let broker = Broker::read(options, "trapline", Unroutable::Dead);
    let key = options.string("routing_key").unwrap_or(Located {
        value: "{{ outcome.kind }}.{{ outcome.state }}.{{ outcome.host }}".to_owned(),
        span: 0..0,
    });
    let routing_key = options.template_of(&key, one_word);
    Some(Arc::new(Bus::new(broker?, JsonEncoder { routing_key: routing_key? })))
}

impl Encoder for JsonEncoder {
    fn message(&self, record: &Record<'_>) -> Result<Message, Said> {
        let routing_key = self
            .routing_key
            .render(record)
            .map_err(|error| Said::from(format!("'routing_key' cannot be computed: {error}")))?;
        let mut body = Vec::new();
        json::push(&mut body, record);
        Ok(Message { routing_key: RoutingKey::new(&routing_key), body })
    }
}

/// A value as one word of a routing key: what separates words or stands for them is taken out.
pub(crate) fn one_word(value: &str) -> String {
    value
        .chars()
        .map(|c| {
            if breaks_line(c) || turns(c) || c.is_whitespace() || matches!(c, '.' | '*' | '#') {
                '_'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::Outcome;
    use crate::sinks::testing::check;

    proptest! {
        #[test]
        fn no_value_makes_another_word_or_field(host in any::<String>(), output in any::<String>()) {
            let source = "a.{{ outcome.host|upper }}.{{ outcome.output }}";
            let encoder = JsonEncoder { routing_key: Template::new(source, one_word).value.unwrap() };
            let outcome = Outcome::CheckResult(check(&host, None, &output));
            let message = encoder.message(&Record { epoch: 1, sequence: 2, outcome }).unwrap();
            let key = message.routing_key.as_str();
            prop_assert_eq!(key.split('.').count(), 3, "{}", key);
            prop_assert!(!key.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '*' | '#')));
            let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
            prop_assert_eq!((body["output"].as_str(), body.as_object().unwrap().len()), (Some(output.as_str()), 11));
        }
    }
}
