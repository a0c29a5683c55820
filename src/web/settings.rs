//! `[http]`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::intake::tls;
use crate::settings::diagnostic::{Diagnostics, Place};
use crate::settings::section::Section;
use crate::settings::tls_server::Server;

/// `[http]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where metrics are served.
    pub listen: SocketAddr,
    /// Names of this machine that requests may use, beside its addresses and localhost.
    pub hosts: Vec<String>,
    /// What is shown to clients; none if nothing is encrypted.
    pub tls: Option<Arc<Server>>,
    /// Whether the API and the console are served to other machines without encryption.
    pub plaintext: bool,
    /// Origins of pages of other servers that may use the API with a token.
    pub origins: Vec<String>,
    /// Whether `/metrics/outcomes` has what is not ok.
    pub outcomes: bool,
    /// Whether the daemon may run without it.
    pub optional: bool,
    /// Where `listen` is in the configuration; none for the built-in one.
    pub place: Option<Place>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: (Ipv4Addr::LOCALHOST, 8162).into(),
            hosts: Vec::new(),
            tls: None,
            plaintext: false,
            origins: Vec::new(),
            outcomes: false,
            optional: true,
            place: None,
        }
    }
}

/// Reads the section; relative paths are given to `resolve`. None if it is wrong. Whether there is a history decides whether it can
/// have metrics of it.
pub fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    has_history: bool,
    found: &mut Diagnostics,
) -> Option<Settings> {
    let listen = section.string("listen", found);
    if section.get("listen").is_none() {
        found.push(section.error("[http] without 'listen'", "add listen = \"127.0.0.1:8162\""));
    }
    let place = section.source().place_of(&listen.as_ref().map_or(section.span(), |text| text.span.clone()));
    let address = listen.and_then(|text| {
        let address = text.parse();
        if address.is_err() {
            let hint = Some("write 127.0.0.1:8162".to_owned());
            let message = format!("'{}' is no address with a port", text.value);
            found.push(section.source().error(&text.span, message, hint));
        }
        address.ok()
    });
    let hosts = section.strings("hosts", found).unwrap_or_default();
    for host in &hosts {
        if host.value.contains([':', '/', ' ']) || host.value.is_empty() {
            let hint = Some("write the name alone, as in \"trapline.example.org\"".to_owned());
            let message = format!("'{}' is no host name", host.value);
            found.push(section.source().error(&host.span, message, hint));
        }
    }
    let hosts = hosts.into_iter().map(|host| host.value).collect();
    let tls = section.section("tls", found);
    let secure = tls.is_some();
    let tls = tls.and_then(|tls| tls::read(tls, resolve, found));
    let plaintext = section.boolean("plaintext", found).is_some_and(|plaintext| plaintext.value);
    let origins = section.strings("origins", found).unwrap_or_default();
    for origin in &origins {
        let bare = origin.value.strip_prefix("https://").or_else(|| origin.value.strip_prefix("http://"));
        if bare.is_none_or(|bare| bare.is_empty() || bare.contains(['/', '*', ' '])) {
            let hint =
                Some("write scheme, host and port, as in \"https://grafana.example.org:3000\"".to_owned());
            found.push(section.source().error(
                &origin.span,
                format!("'{}' is no origin", origin.value),
                hint,
            ));
        }
    }
    let origins = origins.into_iter().map(|origin| origin.value).collect();
    let outcomes = section.boolean("outcomes", found);
    if let Some(outcomes) = outcomes.as_ref().filter(|outcomes| outcomes.value && !has_history) {
        let hint = Some("add [history]: it knows the current states".to_owned());
        found.push(section.source().error(&outcomes.span, "'outcomes' without a history", hint));
    }
    let outcomes = outcomes.is_some_and(|outcomes| outcomes.value);
    section.finish(found);
    if secure && tls.is_none() {
        return None;
    }
    Some(Settings {
        listen: address?,
        hosts,
        tls,
        plaintext,
        origins,
        outcomes,
        optional: false,
        place: Some(place),
    })
}
