//! The keys of all sinks that speak HTTP: where the server is, whom to trust, who we are.

use std::sync::Arc;

use hyper::header::HeaderMap;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::http::client::header;
use crate::settings::secret::PASSWORD;
use crate::settings::tls::{self, TlsError, Trust};
use crate::settings::url::Target;
use crate::settings::values::unhex;
use crate::sinks::settings::{Key, Options};

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

/// The TLS client and the name that the server's certificate must have; none without TLS.
type Tls = Option<(Arc<ClientConfig>, ServerName<'static>)>;

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
        Key { name: "user", default: "", says: "User for HTTP Basic." },
        Key { name: "password", default: "", says: "Password for HTTP Basic." },
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
        Key {
            name: "connections",
            default: "4",
            says: "Parallel connections, with one request under way on each. Range: 1 to 64.",
        },
        Key { name: "headers", default: "", says: "Further headers: `{ \"X-Team\" = \"noc\" }`." },
    ];

    /// Reads the keys; `example` is a URL for messages.
    pub fn read(options: &mut Options<'_, '_, '_>, example: &str) -> Option<Self> {
        let url = options.required("url", example);
        let target = url.and_then(|url| {
            Target::parse(&url).map_err(|error| options.report_at(&url.span, error, None)).ok()
        });
        let login = login(options);
        let tls = client(options, target.as_ref());
        let connections = options.number("connections", 1..=64, "").unwrap_or(4);
        let headers = headers(options);
        Some(Server { target: target?, tls: tls?, login, headers, connections: connections as usize })
    }
}

/// `user` and `password`.
fn login(options: &mut Options<'_, '_, '_>) -> Option<(String, Zeroizing<String>)> {
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
    let mut headers = HeaderMap::new();
    let Some(table) = options.table("headers") else { return headers };
    for (name, span, value) in table.entries() {
        let parsed = value
            .get_ref()
            .as_str()
            .ok_or_else(|| format!("the value of '{name}' must be a string"))
            .and_then(|value| header(name, value));
        match parsed {
            Ok((name, mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Err(error) => options.report_at(&span, error, None),
        }
    }
    headers
}

/// How TLS is spoken; none where something is wrong.
fn client(options: &mut Options<'_, '_, '_>, target: Option<&Target>) -> Option<Tls> {
    let authorities = options.optional_path("ca_file");
    let fingerprint = options.string("fingerprint");
    let server_name = options.string("server_name");
    let certificate = options.optional_path("cert_file");
    let key = options.optional_path("key_file");
    let trust = match (&authorities, &fingerprint) {
        (Some(_), Some(fingerprint)) => {
            let message = "'ca_file' and 'fingerprint' are two ways to trust";
            options.report_at(&fingerprint.span, message, Some("give one of them"));
            return None;
        }
        (Some(path), None) => Trust::Authorities(path.value.clone()),
        (None, Some(fingerprint)) => {
            let Some(digest) = unhex(fingerprint).and_then(|octets| <[u8; 32]>::try_from(octets).ok()) else {
                let hint = "see `openssl x509 -noout -fingerprint -sha256 -in CERT`";
                let message = "'fingerprint' must be the SHA-256 of a certificate, 32 octets in hex";
                options.report_at(&fingerprint.span, message, Some(hint));
                return None;
            };
            Trust::Pinned(digest)
        }
        (None, None) => Trust::System,
    };
    if certificate.is_some() != key.is_some() {
        options.report("'cert_file' and 'key_file' belong together", "give both, or neither");
        return None;
    }
    let target = target?;
    if !target.secure {
        let given = [
            authorities.map(|key| key.span),
            fingerprint.map(|key| key.span),
            server_name.map(|key| key.span),
            certificate.map(|key| key.span),
        ];
        if let Some(span) = given.into_iter().flatten().next() {
            options.report_at(&span, "there is no TLS with an http:// url", Some("write https:// in url"));
            return None;
        }
        return Some(None);
    }
    let name = server_name.as_ref().map_or(target.host.as_str(), |name| name.value.as_str());
    let name = ServerName::try_from(name.to_owned()).map_err(|_| {
        options.report(format!("'{name}' is no name that a certificate can have"), "set server_name");
    });
    let paths = certificate.zip(key);
    // What cannot be read is reported below.
    let identity = paths.iter().flat_map(|(certificate, key)| [&certificate.value, &key.value]);
    authorities.iter().map(|path| &path.value).chain(identity).for_each(|path| options.reads(path));
    let identity =
        paths.as_ref().map(|(certificate, key)| (certificate.value.as_path(), key.value.as_path()));
    let config = tls::client(&trust, identity);
    let config = config.map_err(|error| match (&error, authorities, paths) {
        (TlsError::Authorities(_), Some(file), _)
        | (TlsError::Certificate(_), _, Some((file, _)))
        | (TlsError::Key(_), _, Some((_, file))) => {
            options.report_at(&file.span, error, Some("name a file in PEM that the daemon's user can read"));
        }
        _ => options.report(error.to_string(), ""),
    });
    Some(Some((config.ok()?, name.ok()?)))
}
