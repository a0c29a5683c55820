//! What can name a host, and how the monitoring core spells it.

use std::borrow::Cow;
use std::net::IpAddr;

use regex::Regex;

use crate::text::has_either;

/// The longest name that counts as one, in octets (RFC 1123, section 2.1, allows 255).
const MAX_NAME: usize = 255;

/// What a message may name a host by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostWord<'w> {
    /// An address in its canonical form.
    Address(IpAddr),
    /// A name.
    Name(&'w str),
}

/// Removes what devices put around a name or an address: brackets, closing colons and dots. None if what is left cannot name
/// a host: an address that none is reached by, `localhost` and its like, a bare number, and what has characters that stand
/// in no name. Names with underscores and beyond ASCII are taken, as devices have them.
pub fn clean(word: &str) -> Option<HostWord<'_>> {
    let word = if word.bytes().all(|octet| octet.is_ascii_graphic()) { word } else { word.trim() };
    let word = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    // Most names are seen to be none without trying.
    let may_be = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit()) || has_either(word.as_bytes(), b':', b':')
    };
    let address = |word: &str| if may_be(word) { word.parse::<IpAddr>().ok() } else { None };
    // An IPv6 address may end with colons itself.
    let found = address(word).or_else(|| address(word.strip_suffix(':')?));
    if let Some(address) = found {
        let address = address.to_canonical();
        return is_of_a_host(address).then_some(HostWord::Address(address));
    }
    let name = word.trim_end_matches([':', '.']);
    if let Some(address) = address(name) {
        return is_of_a_host(address).then_some(HostWord::Address(address));
    }
    let of_all = name.bytes().fold(0, |all, octet| all | IN_NAME[usize::from(octet)]);
    let has = |what: u8| of_all & what != 0;
    // A number has nothing but digits.
    let odd = has(ODD) || !has(OTHER | BEYOND) || name == "-" || name.len() > MAX_NAME;
    let odd = odd || (has(BEYOND) && name.contains(is_odd));
    (!odd && !is_this_machine(name)).then_some(HostWord::Name(name))
}

/// What stands in no name.
fn is_odd(c: char) -> bool {
    if c.is_ascii() { is_ascii_odd(c as u8) } else { c.is_whitespace() || c.is_control() || c == '\u{fffd}' }
}

const fn is_ascii_odd(octet: u8) -> bool {
    let in_no_name =
        matches!(octet, b'=' | b'"' | b',' | b';' | b'/' | b'{' | b'}' | b'[' | b']' | b':' | b'\\');
    !octet.is_ascii_graphic() || in_no_name
}

const ODD: u8 = 1;
/// Of a character beyond ASCII.
const BEYOND: u8 = 2;
/// Neither of these, nor a digit.
const OTHER: u8 = 4;
/// Of each octet which of these it is.
const IN_NAME: [u8; 256] = {
    let mut table = [BEYOND; 256];
    let mut octet = 0;
    while octet < 128 {
        table[octet as usize] = match octet {
            b'0'..=b'9' => 0,
            _ if is_ascii_odd(octet) => ODD,
            _ => OTHER,
        };
        octet += 1;
    }
    table
};

fn is_this_machine(name: &str) -> bool {
    let begins = |word: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    begins("localhost") || begins("ip6-localhost") || begins("ip6-loopback")
}

/// Whether a host can be reached by an address from elsewhere, so that it tells the host from others.
pub fn is_of_a_host(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !special
        && match address {
            IpAddr::V4(v4) => v4.octets()[0] != 0 && !v4.is_link_local() && !v4.is_broadcast(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

/// How names that the table of hosts does not know are changed.
#[derive(Debug, Default, Clone)]
pub struct Spelling {
    /// Whether names are written in lower case.
    pub lower: bool,
    /// Domains, in lower case without dots around them: a name in one of them is also known by its first part.
    pub domains: Vec<Box<str>>,
    /// Replacements, each applied to the result of the one before.
    pub rewrite: Vec<(Regex, String)>,
}

impl Spelling {
    /// Other forms of a name in lower case, by the domains: with each of them if it has none, without the one that it has.
    pub fn forms<'n>(&'n self, name: &'n str) -> impl Iterator<Item = Cow<'n, str>> {
        self.domains.iter().filter_map(move |domain| {
            if !name.contains('.') {
                return Some(Cow::Owned(format!("{name}.{domain}")));
            }
            let short = name.strip_suffix(&**domain)?.strip_suffix('.')?;
            (!short.is_empty()).then_some(Cow::Borrowed(short))
        })
    }

    /// A name after all replacements; none if they change nothing, or if what comes out cannot name a host.
    pub fn rewritten(&self, name: &str) -> Option<String> {
        if self.rewrite.is_empty() {
            return None;
        }
        let mut text = Cow::Borrowed(name);
        for (pattern, to) in &self.rewrite {
            if let Cow::Owned(new) = pattern.replace(&text, to.as_str()) {
                if new.len() > MAX_NAME {
                    return None;
                }
                text = Cow::Owned(new);
            }
        }
        match clean(&text)? {
            HostWord::Name(new) if new != name => Some(new.to_owned()),
            _ => None,
        }
    }

    /// A name in the case that is asked for.
    pub fn in_case<'n>(&self, name: Cow<'n, str>) -> Cow<'n, str> {
        if self.lower && name.chars().any(char::is_uppercase) { name.to_lowercase().into() } else { name }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_name_a_host() {
        let address = |text: &str| Some(HostWord::Address(text.parse().unwrap()));
        for (word, expected) in [
            ("sw1", Some(HostWord::Name("sw1"))),
            ("sw1:", Some(HostWord::Name("sw1"))),
            ("h1.example.org.", Some(HostWord::Name("h1.example.org"))),
            ("[fw1]", Some(HostWord::Name("fw1"))),
            ("ap_1", Some(HostWord::Name("ap_1"))),
            ("büro-2", Some(HostWord::Name("büro-2"))),
            ("unity@sp1", Some(HostWord::Name("unity@sp1"))),
            ("192.0.2.1", address("192.0.2.1")),
            ("192.0.2.1:", address("192.0.2.1")),
            ("192.0.2.1.", address("192.0.2.1")),
            ("::ffff:192.0.2.1", address("192.0.2.1")),
            ("[2001:DB8::1]", address("2001:db8::1")),
            ("2001:db8::", address("2001:db8::")),
            ("2001:db8::1:", address("2001:db8::1")),
            ("127.0.0.1", None),
            ("127.9.9.9", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("0.0.0.0", None),
            ("0.1.2.3", None),
            ("::", None),
            ("169.254.7.7", None),
            ("fe80::1", None),
            ("fe80::1%eth0", None),
            ("224.0.0.5", None),
            ("ff02::1", None),
            ("255.255.255.255", None),
            ("localhost", None),
            ("[localhost]", None),
            ("LocalHost.localdomain", None),
            ("localhost6", None),
            ("ip6-loopback", None),
            ("2026", None),
            ("1683715550", None),
            ("timestamp=1683715550", None),
            ("devname=\"fw1\"", None),
            ("1,2026/11/24", None),
            ("a;b", None),
            ("{\"user\":", None),
            ("a b", None),
            ("a\u{1}b", None),
            ("10:00:00+01:00", None),
            ("-", None),
            ("...", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(clean(word), expected, "{word}");
        }
        assert_eq!(clean(&"x".repeat(256)), None);
    }

    proptest! {
        #[test]
        fn names_have_no_odd_characters(name in "[ -9;-~\t\u{85}\u{a0}\u{fffd}ä告]{1,6}|[0-9]{1,3}") {
            let odd = |c: char| {
                c.is_whitespace()
                    || c.is_control()
                    || matches!(c, '=' | '"' | ',' | ';' | '/' | '{' | '}' | '[' | ']' | ':' | '\\' | '\u{fffd}')
            };
            // Between letters nothing is removed.
            let word = format!("a{name}b");
            let expected = (!word.contains(odd)).then_some(HostWord::Name(&word));
            prop_assert_eq!(clean(&word), expected);
        }
    }

    #[test]
    fn replacements_follow_each_other() {
        let rewrite = [("^(.+)-mgmt$", "$1"), ("^sw", "switch-"), ("^(x+)$", "$1$1$1$1")];
        let rewrite = rewrite.map(|(pattern, to)| (Regex::new(pattern).unwrap(), to.to_owned()));
        let spelling = Spelling { rewrite: rewrite.into(), ..Spelling::default() };
        assert_eq!(spelling.rewritten("sw1-mgmt").as_deref(), Some("switch-1"));
        assert_eq!(spelling.rewritten("db1"), None);
        assert_eq!(spelling.rewritten(&"x".repeat(100)), None, "too long");
    }
}
