//! The keys of the mqtt sink.

use std::sync::Arc;
use std::time::Duration;

use super::lane::MqttSink;
use super::session::Broker;
use super::topic::{self, level};
use crate::sinks::http::server::login;
use crate::sinks::place::{self, LOGIN, Schemes};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

const SCHEMES: Schemes = [("mqtt", 1883), ("mqtts", 8883)];
const TOPIC: &str = "trapline/{{ outcome.host }}{% if outcome.service %}/{{ outcome.service }}{% endif %}";
const LONGEST_EXPIRY: Duration = Duration::from_hours(24 * 365);

/// `type = "mqtt"`
pub const KIND: Kind = Kind {
    name: "mqtt",
    says: "an MQTT 5 broker: Mosquitto, EMQX, HiveMQ, ...",
    keys: &[KEYS, LOGIN, tls::KEYS],
    answers: &[],
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "url",
        default: "required",
        says: "`mqtt://HOST[:PORT]`, or `mqtts://HOST[:PORT]` with TLS. Default ports: 1883 and 8883.",
    },
    Key {
        name: "topic",
        default: "\"trapline/{{ outcome.host }}{% if outcome.service %}/{{ outcome.service }}{% endif %}\"",
        says: "A template.",
    },
    Key {
        name: "retain",
        default: "false",
        says: "Whether the broker keeps the last message of each topic for later subscribers.",
    },
    Key {
        name: "expiry",
        default: "",
        says: "How long the broker keeps a message that it cannot deliver yet or that it retains. Default: forever. Range: `1s` to `365d`.",
    },
    Key {
        name: "client_id",
        default: "the broker's choice",
        says: "The name of this client, which must be unique at the broker.",
    },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let url = place::url(options, SCHEMES, "mqtts://mqtt.example.org");
    let topic = place::template(options, "topic", TOPIC, level, topic::check);
    let retain = options.boolean("retain", false);
    let expiry = options.duration("expiry", Duration::from_secs(1)..=LONGEST_EXPIRY);
    let client_id = options.string("client_id");
    let bad = |name: &str| name.is_empty() || name.len() > 1024 || name.contains(char::is_control);
    if let Some(name) = client_id.as_ref().filter(|name| bad(name)) {
        let hint = Some("use 1 to 1024 bytes without control characters, or leave it out");
        options.report_at(&name.span, "this can be no name of a client", hint);
        return None;
    }
    let login = login(options);
    if login.is_some() {
        place::in_the_clear(options, url.as_ref(), "password", SCHEMES);
    }
    let server = url.as_ref().map(|(address, secure)| (address.host.as_str(), *secure));
    let tls = tls::read(options, server, ("there is no TLS with an mqtt:// url", "write mqtts:// in url"));
    let client_id = client_id.map_or_else(String::new, |name| name.value);
    let broker = Broker { address: url?.0, tls: tls?, login, client_id, retain };
    Some(Arc::new(MqttSink { broker, topic: topic?, expiry }))
}
