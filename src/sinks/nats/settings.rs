//! The keys of the nats sink.

use std::sync::Arc;

use super::lane::NatsSink;
use super::nkey;
use super::session::{Credentials, Server};
use super::subject::{self, word};
use crate::settings::secret::TOKEN;
use crate::sinks::http::server::login;
use crate::sinks::place::{self, LOGIN, Schemes};
use crate::sinks::settings::{Configured, Key, Kind, Options};
use crate::sinks::tls;

const SCHEMES: Schemes = [("nats", 4222), ("tls", 4222)];
const SUBJECT: &str = "trapline.{{ outcome.host }}{% if outcome.service %}.{{ outcome.service }}{% endif %}";

/// `type = "nats"`
pub const KIND: Kind = Kind {
    name: "nats",
    says: "a stream of NATS JetStream",
    keys: &[KEYS, LOGIN, TOKENS, tls::KEYS],
    answers: &[],
    read,
};

const KEYS: &[Key] = &[
    Key {
        name: "url",
        default: "required",
        says: "`nats://HOST[:PORT]`, or `tls://HOST[:PORT]` with TLS. Default port: 4222.",
    },
    Key {
        name: "subject",
        default: "\"trapline.{{ outcome.host }}{% if outcome.service %}.{{ outcome.service }}{% endif %}\"",
        says: "A template. A stream must include the resulting subjects.",
    },
];

const TOKENS: &[Key] = &[
    Key { name: "token", default: "", says: "The token of the server, instead of user and password." },
    Key { name: "token_file", default: "", says: "The same from the first line of a file." },
    Key { name: "token_env", default: "", says: "The same from an environment variable." },
    Key {
        name: "credentials_file",
        default: "",
        says: "In the place of both, a file with the seed of the user's NKey, as `nk -gen user` prints it, or with JWT and seed, as `nsc generate creds` does.",
    },
];

fn read(options: &mut Options<'_, '_, '_>) -> Option<Configured> {
    let url = place::url(options, SCHEMES, "tls://nats.example.org");
    let subject = place::template(options, "subject", SUBJECT, word, subject::check);
    let login = login(options);
    let has_token = options.has_secret(&TOKEN);
    let token = options.secret(&TOKEN);
    if has_token && login.is_some() {
        options.report("'token' and 'user' are two ways to log in", "give one of them");
        return None;
    }
    let key = options.secret_text("credentials_file", nkey::Credentials::read);
    if options.get("credentials_file").is_some() && (has_token || login.is_some()) {
        options.report("'credentials_file' is a way of its own to log in", "give it without user and token");
        return None;
    }
    let credentials = match (login, token) {
        _ if options.get("credentials_file").is_some() => Credentials::Key(key?),
        (Some((user, password)), _) => Credentials::User(user, password),
        (None, Some(token)) => Credentials::Token(token),
        (None, None) => Credentials::Nobody,
    };
    match &credentials {
        // A key is not sent, and what is signed is worth nothing to others.
        Credentials::Nobody | Credentials::Key(_) => {}
        Credentials::User(..) => place::in_the_clear(options, url.as_ref(), "password", SCHEMES),
        Credentials::Token(_) => place::in_the_clear(options, url.as_ref(), "token", SCHEMES),
    }
    let server = url.as_ref().map(|(address, secure)| (address.host.as_str(), *secure));
    let tls = tls::read(options, server, ("there is no TLS with a nats:// url", "write tls:// in url"));
    let server = Server { address: url?.0, tls: tls?, login: credentials };
    Some(Arc::new(NatsSink { server, subject: subject? }))
}
