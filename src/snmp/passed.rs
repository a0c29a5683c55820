//! Which daemons a notification has passed: each adds its engine id to traplinePath.0, and none takes what has passed it before. So
//! a circle of daemons, or of a daemon and others that keep the varbinds, ends by itself.

use data_encoding::HEXLOWER;

use crate::message::{Notification, Value};
use crate::snmp::well_known::TRAPLINE_PATH;

/// The most daemons on a path.
const MOST: usize = 16;

/// The path of a notification, as it was received; empty if it has none.
pub fn path_of<'n>(notification: &'n Notification<'_>) -> &'n [u8] {
    let path = notification.varbinds.iter().find(|varbind| varbind.oid == TRAPLINE_PATH);
    match path.map(|varbind| &varbind.value) {
        Some(Value::OctetString(path)) => path,
        _ => &[],
    }
}

/// Whether a notification has passed the daemon with this engine id.
pub fn has_passed(notification: &Notification<'_>, engine: &[u8]) -> bool {
    let path = path_of(notification);
    // Most have none.
    !path.is_empty() && !engine.is_empty() && {
        let own = HEXLOWER.encode(engine);
        path.split(|octet| *octet == b' ').any(|id| id.eq_ignore_ascii_case(own.as_bytes()))
    }
}

/// A path with one more daemon; none if it is too long, or no path.
pub fn with(path: &[u8], engine: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let ids = path.split(' ').filter(|id| !id.is_empty());
    let is_id = |id: &str| id.len() <= 64 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    if ids.clone().count() >= MOST || !ids.clone().all(is_id) {
        return None;
    }
    let mut all = ids.fold(String::new(), |all, id| all + id + " ");
    all.push_str(&HEXLOWER.encode(engine));
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{NotificationKind, Varbind, Version};

    fn notification(path: &[u8]) -> Notification<'_> {
        Notification {
            version: Version::V2c,
            kind: NotificationKind::Trap,
            community: b"",
            proxied_community: None,
            security: None,
            request_id: 0,
            oid: "1.3.6.1.6.3.1.1.5.1".parse().unwrap(),
            enterprise: None,
            agent: None,
            generic: None,
            specific: None,
            uptime: None,
            varbinds: vec![Varbind { oid: TRAPLINE_PATH, value: Value::OctetString(path) }],
        }
    }

    #[test]
    fn a_daemon_knows_what_has_passed_it() {
        let (a, b) = (&b"\x80\x01"[..], &b"\x80\x02"[..]);
        let first = with(b"", a).unwrap();
        let both = with(first.as_bytes(), b).unwrap();
        assert_eq!(both, "8001 8002");
        assert!(
            has_passed(&notification(first.as_bytes()), a) && !has_passed(&notification(first.as_bytes()), b)
        );
        assert!(
            has_passed(&notification(both.as_bytes()), a) && has_passed(&notification(both.as_bytes()), b)
        );
        // Neither a part of an id, nor a daemon without one.
        assert!(!has_passed(&notification(b"800102"), a) && !has_passed(&notification(b" "), b""));
        for wrong in [&b"x"[..], b"\xff", "ab ".repeat(16).as_bytes()] {
            assert_eq!(with(wrong, a), None);
        }
    }
}
