//! The keys of the zabbix sink.

use std::sync::Arc;
use std::time::Duration;

use super::lane::Zabbix;
use crate::sinks::fields::Template;
use crate::sinks::place;
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

/// The port of Zabbix servers and proxies.
const PORT: u16 = 10_051;
const GRACE: Duration = Duration::from_mins(2);
const MOST_GRACE: Duration = Duration::from_hours(1);

/// `type = "zabbix"`
pub const KIND: Kind = Kind {
    name: "zabbix",
    says: "trapper items of a Zabbix server or proxy",
    keys: &[
        &[
            Key {
                name: "addresses",
                default: "required",
                says: "A list of `HOST` or `HOST:PORT`: the nodes of a server, or the proxies of one group. Default port: 10051. One is used until it does not connect within 10 s, does not answer within 30 s, or does not have the host; then the next one is used.",
            },
            Key {
                name: "host",
                default: "\"{{ outcome.host }}\"",
                says: "A template for the technical name of the host in Zabbix, which is case-sensitive.",
            },
            Key {
                name: "discovery",
                default: "true",
                says: "Whether services are sent to the discovery rule `trapline.discovery` of their host, which creates their items. Use false if you create the items.",
            },
            Key {
                name: "grace",
                default: "\"2min\"",
                says: "How long an outcome is retried if Zabbix does not know its host or item. Zabbix reads its configuration every minute by default (CacheUpdateFrequency). Range: `0` to `1h`.",
            },
            Key {
                name: "tls",
                default: "false",
                says: "Whether to use TLS with certificates. Pre-shared keys are not supported.",
            },
        ],
        tls::KEYS,
    ],
    answers: &[],
    read,
};

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let addresses = place::addresses(options, PORT, "a Zabbix server or proxy", "zabbix.example");
    let host = match options.get("host") {
        Some(_) => options.template("host", str::to_owned),
        None => Template::new("{{ outcome.host }}", str::to_owned).value,
    };
    let discovery = options.boolean("discovery", true);
    let grace = options.duration("grace", Duration::ZERO..=MOST_GRACE).unwrap_or(GRACE);
    let secure = options.boolean("tls", false);
    let first = addresses.as_ref().and_then(|all| all.first()).map(|address| (address.host.as_str(), secure));
    let tls = tls::read(options, first, ("there is no TLS without tls = true", "add tls = true"));
    Some(Arc::new(Zabbix { addresses: addresses?, host: host?, discovery, grace, tls: tls? }))
}
