//! The keys of the canopsis sink. The URL decides how events get there.

use super::event::EventEncoder;
use super::{amqp, http};
use crate::sinks::amqp::lane::Unroutable;
use crate::sinks::http::server::Server;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

/// `type = "canopsis"`
pub const KIND: Kind = Kind {
    name: "canopsis",
    says: "Canopsis, over AMQP or HTTP",
    keys: &[KEYS, AMQP_KEYS, HTTP_KEYS, Server::KEYS, Server::CONNECTIONS],
    answers: http::ANSWERS,
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "url",
        default: "required",
        says: "`amqp://USER:PASSWORD@HOST:5672/VHOST`, `amqps://` for the same over TLS, or `http://` or `https://` without user and password.",
    },
    Key { name: "connector", default: "\"trapline\"", says: "`connector` of every event." },
    Key { name: "connector_name", default: "\"trapline\"", says: "`connector_name` of every event." },
];

const AMQP_KEYS: &[Key] = &[
    Key { name: "exchange", default: "\"canopsis.events\"", says: "AMQP only: the exchange." },
    Key {
        name: "declare",
        default: "true",
        says: "AMQP only: whether to declare the exchange (durable, topic).",
    },
    Unroutable::key("\"retry\""),
];

const HTTP_KEYS: &[Key] = &[
    Key {
        name: "token",
        default: "",
        says: "HTTP only: sent as `x-canopsis-authkey`; or give `user` and `password`.",
    },
    Key { name: "token_file", default: "", says: "The same from the first line of a file." },
    Key { name: "token_env", default: "", says: "The same from an environment variable." },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let encoder = EventEncoder {
        connector: options.text("connector", "trapline"),
        connector_name: options.text("connector_name", "trapline"),
    };
    let url = options.get("url").and_then(|url| url.get_ref().as_str());
    if url.is_some_and(|url| url.starts_with("http")) {
        options.unused(AMQP_KEYS, "it is for an amqp:// URL");
        http::read(options, encoder)
    } else {
        // TLS has the same keys over AMQP.
        let is_tls = |key: &&Key| tls::KEYS.iter().any(|known| known.name == key.name);
        let of_http: Vec<Key> = Server::KEYS.iter().filter(|key| !is_tls(key)).copied().collect();
        for keys in [HTTP_KEYS, &of_http, Server::CONNECTIONS] {
            options.unused(keys, "it is for an http:// or https:// URL");
        }
        amqp::read(options, encoder)
    }
}
