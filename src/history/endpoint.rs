//! How a host and a service are named in one word: `host/service`, percent-encoded (RFC 3986, section 2.1), so that it can be
//! pasted into a path. A problem of the host itself has no slash.

use std::fmt::Write as _;

/// The name of a host, or of a service of it.
pub fn encode(host: &str, service: Option<&str>) -> String {
    let mut id = String::with_capacity(host.len() + 24);
    push(&mut id, host);
    if let Some(service) = service {
        id.push('/');
        push(&mut id, service);
    }
    id
}

fn push(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The host and the service that a name means.
pub fn decode(id: &str) -> Option<(String, Option<String>)> {
    match id.split_once('/') {
        Some((host, service)) => Some((percent_decoded(host)?, Some(percent_decoded(service)?))),
        None => Some((percent_decoded(id)?, None)),
    }
}

/// A text without its percent-encoding; none if that is broken.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let hex = std::str::from_utf8(&digits).ok().filter(|hex| !hex.starts_with('+'))?;
            u8::from_str_radix(hex, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_can_be_pasted_into_a_path() {
        assert_eq!(encode("router1", Some("Interface Gi0/3")), "router1/Interface%20Gi0%2F3");
        assert_eq!(encode("a/b", None), "a%2Fb");
        assert_eq!((decode("a%2"), decode("a%+1"), decode("%ff")), (None, None, None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(host in any::<String>(), service in any::<Option<String>>()) {
            let id = encode(&host, service.as_deref());
            prop_assert!(id.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode(&id), Some((host, service)));
        }
    }
}
