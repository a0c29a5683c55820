//! The keys of all sinks that speak HTTP: where the server is, whom to trust, who we are.

use hyper::header::HeaderMap;
use zeroize::Zeroizing;

use crate::http::client;
use crate::settings::secret::{Keys, PASSWORD};
use crate::settings::section::Located;
use crate::settings::url::Target;
use crate::sinks::settings::{Key, Options};
use crate::sinks::tls::{self, Tls};

/// A web server.
#[derive(Clone)]
pub struct Server {
    /// Where it is.
    pub target: Target,
    /// How it is spoken to, and the name that its certificate must have.
    pub tls: Tls,
    /// User and password for HTTP Basic.
    pub login: Option<(String, Zeroizing<String>)>,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// How many connections outcomes go over.
    pub connections: usize,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Server {
    /// The key that says where the server is.
    pub const URL: &[Key] = &[Key {
        name: "url",
        default: "required",
        says: "`http://` or `https://`, without user and password.",
    }];

    /// The other keys.
    pub const KEYS: &[Key] = &[
        Key { name: "user", default: "", says: "User for HTTP Basic authentication." },
        Key { name: "password", default: "", says: "Password for HTTP Basic authentication." },
        Key { name: "password_file", default: "", says: "The same from the first line of a file." },
        Key { name: "password_env", default: "", says: "The same from an environment variable." },
        Key { name: "ca_file", default: "the system's", says: "Certificate authorities to trust, in PEM." },
        Key {
            name: "fingerprint",
            default: "",
            says: "Trust only this certificate: its SHA-256 in hex, as `openssl x509 -noout -fingerprint -sha256` prints it.",
        },
        Key {
            name: "server_name",
            default: "the host of `url`",
            says: "The name to expect in the certificate.",
        },
        Key { name: "cert_file", default: "", says: "The client certificate, in PEM." },
        Key { name: "key_file", default: "", says: "Its key, in PEM." },
        Key { name: "headers", default: "", says: "Further headers: `{ \"X-Team\" = \"noc\" }`." },
    ];

    /// The key of those that send over several connections.
    pub const CONNECTIONS: &[Key] = &[Key {
        name: "connections",
        default: "4",
        says: "Parallel connections, with one request at a time on each. Range: 1 to 64.",
    }];

    /// Reads the keys; `example` is a URL for messages, `secrets` are those that the sink sends besides a password.
    pub(in crate::sinks) fn read(
        options: &mut Options<'_, '_, '_>,
        example: &str,
        secrets: &[&Keys],
    ) -> Option<Self> {
        let url = options.required("url", example);
        let target = url.and_then(|url| target(options, &url));
        let connections = options.number("connections", 1..=64, "").unwrap_or(4) as usize;
        let targets = target.map(|target| vec![target]);
        let mut servers = Self::of(options, targets, ("url", secrets), connections)?;
        servers.pop()
    }

    /// Reads the keys of several servers with the same data, whose URLs are in the list `urls`; at least one. Each has one
    /// connection.
    pub fn read_all(options: &mut Options<'_, '_, '_>, example: &str) -> Option<Vec<Self>> {
        let add = format!("add urls = [\"{example}\"]");
        if options.get("urls").is_none() {
            options.report("this sink needs 'urls'", &add);
        }
        let urls = options.strings("urls");
        if urls.as_ref().is_some_and(Vec::is_empty) {
            options.report("'urls' is empty", &add);
        }
        let urls = urls.filter(|urls| !urls.is_empty());
        // All are read, so that all mistakes show.
        let targets: Option<Vec<Option<Target>>> =
            urls.map(|urls| urls.iter().map(|url| target(options, url)).collect());
        Self::of(options, targets.and_then(|targets| targets.into_iter().collect()), ("urls", &[]), 1)
    }

    /// Reads the other keys, for servers at these places; none if they are not known.
    fn of(
        options: &mut Options<'_, '_, '_>,
        targets: Option<Vec<Target>>,
        (key, secrets): (&str, &[&Keys]),
        connections: usize,
    ) -> Option<Vec<Self>> {
        let login = login(options);
        let places = targets.as_ref().map(|targets| targets.iter().map(|t| (t.host.as_str(), t.secure)));
        let places: Option<Vec<(&str, bool)>> = places.map(Iterator::collect);
        let hint = format!("write https:// in {key}");
        let tls = tls::read_all(options, places.as_deref(), ("there is no TLS with an http:// url", &hint));
        let headers = headers(options);
        let given = [&PASSWORD].into_iter().chain(secrets.iter().copied());
        let given = given.filter(|keys| options.has_secret(keys)).map(|keys| format!("'{}'", keys.inline));
        let of_headers = headers.keys().filter(|name| is_secret(name.as_str()));
        let exposed: Vec<String> =
            given.chain(of_headers.map(|name| format!("'{name}' of 'headers'"))).collect();
        options.in_the_clear(places.as_deref().unwrap_or_default(), &exposed, "over http://", &hint);
        let server = |(target, tls)| Server {
            target,
            tls,
            login: login.clone(),
            headers: headers.clone(),
            connections,
        };
        Some(targets?.into_iter().zip(tls?).map(server).collect())
    }
}

fn target(options: &mut Options<'_, '_, '_>, url: &Located<String>) -> Option<Target> {
    Target::parse(url).map_err(|error| options.report_at(&url.span, error, None)).ok()
}

/// Whether a header of this name has a secret, as far as its name tells.
fn is_secret(name: &str) -> bool {
    ["auth", "token", "key", "secret", "password", "cookie", "credential"]
        .iter()
        .any(|part| name.contains(part))
}

/// `user` and `password`.
pub(in crate::sinks) fn login(options: &mut Options<'_, '_, '_>) -> Option<(String, Zeroizing<String>)> {
    let user = options.string("user");
    let password = options.secret(&PASSWORD);
    match (user, password) {
        (Some(user), Some(password)) => Some((user.value, password)),
        (None, None) => None,
        _ => {
            if !options.has_secret(&PASSWORD) || options.get("user").is_none() {
                options.report("'user' and 'password' belong together", "give both, or neither");
            }
            None
        }
    }
}

fn headers(options: &mut Options<'_, '_, '_>) -> HeaderMap {
    let Some(table) = options.table("headers") else { return HeaderMap::new() };
    let entries = table.entries().map(|(name, span, value)| (name, span, value.get_ref().as_str()));
    client::headers(entries, |span, error| options.report_at(&span, error, None))
}
