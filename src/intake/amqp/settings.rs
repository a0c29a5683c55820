//! `[[intake]] type = "amqp"`

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use lapin::uri::AMQPScheme;
use zeroize::Zeroizing;

use crate::amqp;
use crate::intake::http::settings::events_source;
use crate::posted::events::Source;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::secret;
use crate::settings::section::{Digest, Section};
use crate::settings::tls_keys::{self, Tls};
use crate::settings::values::count;

const URL: secret::Keys = secret::Keys { inline: "url", file: "url_file", env: "url_env" };
/// The default of `prefetch`.
const PREFETCH: usize = 500;
/// The longest name of a queue or an exchange, and the longest routing key, in octets: a short string of AMQP 0-9-1.
const LONGEST: usize = 255;

/// A queue that is read.
#[derive(Clone)]
pub struct Queue {
    /// How status and metrics call it.
    pub name: Arc<str>,
    /// The broker and virtual host, with user and password.
    pub url: Zeroizing<String>,
    /// The queue.
    pub queue: String,
    /// The exchange that it is bound to, and by which routing keys; none if others have declared it.
    pub bind: Option<(String, Vec<String>)>,
    /// How many messages may be unacknowledged.
    pub prefetch: u16,
    /// How the events of a message are found.
    pub source: Source,
    /// TLS to the broker.
    pub tls: Tls,
    /// Of its section and the files that it names.
    digest: Digest,
}

impl PartialEq for Queue {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.digest) == (&other.name, &other.digest)
    }
}

impl Eq for Queue {}

impl Queue {
    /// The broker for messages: without user and password.
    pub fn broker(&self) -> &str {
        self.url.rsplit_once('@').map_or(self.url.as_str(), |(_, rest)| rest)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("broker", &self.broker())
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Reads one; `others` are those before it.
pub(crate) fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    others: &[Arc<Queue>],
    found: &mut Diagnostics,
) -> Option<Queue> {
    let source = section.source();
    // Its kind was looked at before.
    let _ = section.string("type", found);
    if !URL.given(&section) {
        let hint = "add url = \"amqp://USER:PASSWORD@HOST:5672/VHOST\", or url_file";
        found.push(section.error("[[intake]] without 'url'", hint));
    }
    let url = URL.read(&section, resolve, found);
    let key = URL.key(&section);
    let place = url.as_ref().and_then(|url| match amqp::uri(url) {
        Ok(uri) => {
            if let Some(said) = amqp::exposed(url, &uri, key) {
                found.push(secret::warning(&section, key, &said, amqp::EXPOSED));
            }
            Some(uri)
        }
        Err(message) => {
            let hint = "write amqp://USER:PASSWORD@HOST:5672/VHOST, or amqps:// for TLS".to_owned();
            found.push(source.error(&section.key_span(key), message, Some(hint)));
            None
        }
    });
    let url = url.filter(|_| place.is_some());
    let place = place.as_ref().map(|uri| (uri.authority.host.as_str(), uri.scheme == AMQPScheme::AMQPS));
    let without = ("there is no TLS with an amqp:// url", "write amqps:// in url");
    let places = place.as_ref().map(std::slice::from_ref);
    let tls = tls_keys::read_all(&section, resolve, places, without, found).and_then(|mut all| all.pop());
    let queue = section.string("queue", found);
    if section.get("queue").is_none() {
        found.push(section.error("[[intake]] without 'queue'", "add queue = \"trapline\""));
    }
    let exchange = section.string("exchange", found);
    let bindings = section.strings("bindings", found);
    if let (None, Some(_)) = (&exchange, &bindings) {
        let hint = Some("add exchange = \"canopsis.events\", or remove it".to_owned());
        found.push(source.error(
            &section.key_span("bindings"),
            "'bindings' has no effect without 'exchange'",
            hint,
        ));
    }
    let texts = queue
        .iter()
        .chain(&exchange)
        .map(|text| (text, 1))
        .chain(bindings.iter().flatten().map(|text| (text, 0)));
    for (text, least) in texts {
        if !(least..=LONGEST).contains(&text.len()) || text.chars().any(char::is_control) {
            let message =
                format!("names and routing keys have {least} to {LONGEST} octets, and no control characters");
            found.push(source.error(&text.span, message, None));
        }
    }
    let prefetch = count(&section, "prefetch", 1..=10_000, found).unwrap_or(PREFETCH);
    let events = events_source(&section, found);
    let digest = section.digest(&[]);
    section.finish(found);
    let queue = queue?.value;
    let mut name: Arc<str> = queue.as_str().into();
    let mut number = 2;
    while others.iter().any(|other| other.name == name) {
        name = format!("{queue}.{number}").into();
        number += 1;
    }
    let all = || {
        bindings.map_or_else(|| vec!["#".to_owned()], |all| all.into_iter().map(|key| key.value).collect())
    };
    let bind = exchange.map(|exchange| (exchange.value, all()));
    let prefetch = u16::try_from(prefetch).ok()?;
    Some(Queue { name, url: url?, queue, bind, prefetch, source: events?, tls: tls?, digest })
}
