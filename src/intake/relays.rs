//! Who may name other hosts than itself in lines.

use ipnet::IpNet;

use crate::message::Source;
use crate::settings::certificate::Pattern;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::tls_server::Identity;
use crate::settings::values::{network, parse_all};

/// `[syslog] relays`; none for all.
#[derive(Debug, Clone, Default)]
pub struct Relays(Option<Vec<Relay>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Relay {
    /// Senders of these addresses.
    Network(IpNet),
    /// Clients with these certificates.
    Tls(Pattern),
}

impl Relays {
    /// Reads the key.
    pub(super) fn read(section: &Section<'_, '_>, found: &mut Diagnostics) -> Self {
        let entries = section.strings("relays", found);
        Relays(entries.map(|all| parse_all(section, all, relay, found)))
    }

    /// Whether every sender may name any host.
    pub fn are_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a line may name this host. A program of this machine may, and a client whose certificate has that name.
    pub fn believes(&self, host: Option<&str>, source: &Source, identity: Option<&Identity>) -> bool {
        let Some(relays) = &self.0 else { return true };
        let (Some(host), false) = (host, source.peer.is_local()) else { return true };
        let certified =
            |one: &Identity| one.certificate.names.iter().any(|name| name.eq_ignore_ascii_case(host));
        let listed = |relay: &Relay| match relay {
            Relay::Network(network) => network.contains(&source.address()),
            Relay::Tls(pattern) => identity.is_some_and(|one| pattern.is_of(&one.certificate)),
        };
        identity.is_some_and(certified) || relays.iter().any(listed)
    }
}

fn relay(text: &str) -> Result<Relay, String> {
    match text.strip_prefix("tls:") {
        Some(pattern) => Pattern::parse(pattern).map(Relay::Tls),
        None => network(text)
            .map(Relay::Network)
            .map_err(|error| format!("{error}; a client with TLS is written tls:relay.example.org")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::certificate::{Certificate, Fingerprint};
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    fn relays(text: &str) -> (Relays, String) {
        let (source, mut found) = (SourceText { file: "t.toml", text }, Diagnostics::default());
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "[syslog]");
        let relays = Relays::read(&section, &mut found);
        section.finish(&mut found);
        (relays, found.to_text())
    }

    fn identity(name: &str) -> Identity {
        let fingerprint = Fingerprint::sha256(name.as_bytes());
        let certificate =
            Certificate { names: vec![name.into()], not_before: 0, not_after: 0, fingerprint, sha1: [0; 20] };
        Identity { certificate, name: None, fingerprint: fingerprint.to_string() }
    }

    #[test]
    fn of_two_relays_the_listed_one_is_believed() {
        let fingerprint = Fingerprint::sha256(b"pinned");
        let text =
            format!("relays = [\"192.0.2.8/30\", \"tls:*.relays.example.org\", \"tls:{fingerprint}\"]");
        let (relays, found) = relays(&text);
        assert_eq!(found, "");
        let from = |address: &str| Source { peer: format!("{address}:1").parse().unwrap(), received: 0 };
        for (address, client, host, believed) in [
            ("192.0.2.10", None, "web1", true),
            ("192.0.2.12", None, "web1", false),
            ("192.0.2.12", Some("a.relays.example.org"), "web1", true),
            ("192.0.2.12", Some("a.b.relays.example.org"), "web1", false),
            ("192.0.2.12", Some("pinned"), "web1", true),
            // For itself it speaks anyway.
            ("192.0.2.12", Some("web1.example.org"), "WEB1.example.org", true),
            ("192.0.2.12", Some("web1.example.org"), "web2.example.org", false),
        ] {
            let identity = client.map(identity);
            let believes = relays.believes(Some(host), &from(address), identity.as_ref());
            assert_eq!(believes, believed, "{address} {client:?} {host}");
        }
        assert!(relays.believes(None, &from("192.0.2.12"), None));
        let local = Source { peer: crate::peer::Peer::Local(None), received: 0 };
        assert!(relays.believes(Some("web1"), &local, None));
        assert!(
            Relays::default().believes(Some("web1"), &from("192.0.2.12"), None),
            "without a list all are"
        );
    }

    #[test]
    fn what_is_no_relay_is_said() {
        let (_, found) = relays("relays = [\"relay1\", \"tls:a b\", \"tls:sha-256:4F\"]");
        assert_eq!(found.lines().count(), 3, "{found}");
        assert!(found.contains("tls:relay.example.org") && found.contains("no fingerprint"), "{found}");
    }
}
