//! A host with a port, as the address of a server is written.

use std::fmt;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `HOST`, `HOST:PORT`, `IPV6`, `[IPV6]` or `[IPV6]:PORT`. `default` is the port if none is given.
    pub fn parse(text: &str, default: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, default),
            Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
            None if text.matches(':').count() > 1 => (text, default),
            None => match text.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (text, default),
            },
        };
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
        let valid = port > 0 && !host.is_empty() && host.chars().all(plain);
        valid.then(|| Address { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        for (text, shown) in [
            ("nagios.example", "nagios.example:5667"),
            ("nagios.example:1", "nagios.example:1"),
            ("192.0.2.1:65535", "192.0.2.1:65535"),
            ("2001:db8::1", "[2001:db8::1]:5667"),
            ("[2001:db8::1]", "[2001:db8::1]:5667"),
            ("[fe80::1%eth0]:7", "[fe80::1%eth0]:7"),
        ] {
            let address = Address::parse(text, 5667).unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(Address::parse(shown, 1), Some(address), "{text}");
        }
        for text in [
            "", ":5667", "h:", "h:x", "h:0", "h:65536", "[::1", "[::1]x", "[::1]:", "a b", "http://h", "h/x",
            "u@h",
        ] {
            assert_eq!(Address::parse(text, 5667), None, "{text}");
        }
    }
}
