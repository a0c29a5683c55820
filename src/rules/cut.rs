//! Cutting a message that is longer than rules may see.

use std::borrow::Cow;

use crate::message::{
    Message, Notification, Posted, PostedWhat, SecurityLine, StructuredElement, SyslogLine, Value, Varbind,
    WrapperLine,
};

/// What a varbind counts beside its OID and its octets.
const VARBIND: usize = 8;

/// A message of which no more than `most` bytes are left; none if it has no more. The longest texts are cut first, all to the
/// same length, so that short ones stay whole. Of a notification with too many varbinds for that, the last ones are left out.
pub(super) fn cut<'m>(message: &'m Message<'_>, most: usize) -> Option<Message<'m>> {
    match message {
        Message::Notification(notification) => {
            cut_notification(notification, most).map(Message::Notification)
        }
        Message::Syslog(line) => cut_line(line, most).map(Message::Syslog),
        Message::Posted(posted) => cut_posted(posted, most).map(Message::Posted),
    }
}

fn cut_notification<'m>(notification: &'m Notification<'_>, most: usize) -> Option<Notification<'m>> {
    let frame = |varbind: &Varbind<'_>| varbind.oid.as_bytes().len() + VARBIND;
    let octets = |varbind: &Varbind<'_>| octets(&varbind.value).map_or(0, <[u8]>::len);
    let total: usize = notification.varbinds.iter().map(|v| frame(v) + octets(v)).sum();
    if total <= most {
        return None;
    }
    let frames: usize = notification.varbinds.iter().map(frame).sum();
    // Where the frames alone are too many, half of the bytes are for values.
    let (mut left, kept) = if frames <= most {
        (most - frames, notification.varbinds.len())
    } else {
        let mut used = 0;
        let within = |varbind: &&Varbind<'_>| {
            used += frame(varbind);
            used <= most / 2
        };
        (most / 2, notification.varbinds.iter().take_while(within).count())
    };
    let varbinds = &notification.varbinds[..kept];
    let mut lengths: Vec<usize> = varbinds.iter().map(octets).collect();
    left = level(&mut lengths, left);
    let cut =
        |varbind: &Varbind<'m>| Varbind { oid: varbind.oid.clone(), value: cut_value(&varbind.value, left) };
    Some(Notification { varbinds: varbinds.iter().map(cut).collect(), ..notification.clone() })
}

fn octets<'v>(value: &Value<'v>) -> Option<&'v [u8]> {
    match value {
        Value::OctetString(bytes)
        | Value::Opaque(bytes)
        | Value::Nsap(bytes)
        | Value::BitString(bytes)
        | Value::Odd { bytes, .. } => Some(bytes),
        _ => None,
    }
}

fn cut_value<'m>(value: &Value<'m>, most: usize) -> Value<'m> {
    match value {
        Value::OctetString(bytes) => Value::OctetString(cut_octets(bytes, most)),
        Value::Opaque(bytes) => Value::Opaque(&bytes[..bytes.len().min(most)]),
        Value::Nsap(bytes) => Value::Nsap(&bytes[..bytes.len().min(most)]),
        Value::BitString(bytes) => Value::BitString(&bytes[..bytes.len().min(most)]),
        Value::Odd { tag, bytes } => Value::Odd { tag: *tag, bytes: &bytes[..bytes.len().min(most)] },
        value => value.clone(),
    }
}

/// The first octets, without a part of a character of UTF-8 at their end.
fn cut_octets(octets: &[u8], most: usize) -> &[u8] {
    if octets.len() <= most {
        return octets;
    }
    let continues = |octet: &&u8| **octet & 0xc0 == 0x80;
    let back = octets[..=most].iter().rev().take_while(continues).count();
    // A character has at most three octets behind its first.
    &octets[..most - if back <= 3 && back <= most { back } else { 0 }]
}

fn cut_line<'m>(line: &'m SyslogLine<'_>, most: usize) -> Option<SyslogLine<'m>> {
    let optional = |text: Option<&str>| text.map_or(0, str::len);
    let fields = [
        line.message.len(),
        optional(line.host),
        optional(line.program),
        optional(line.pid.as_deref()),
        optional(line.msgid),
    ];
    let of_data = line.structured_data.iter().flat_map(|element| {
        let params = element.params.iter().flat_map(|(name, value)| [name.len(), value.len()]);
        [element.id.len()].into_iter().chain(params)
    });
    if fields.iter().sum::<usize>() + of_data.clone().sum::<usize>() <= most {
        return None;
    }
    let mut lengths: Vec<usize> = fields.into_iter().chain(of_data).collect();
    let level = level(&mut lengths, most);
    let text = |text: &'m str| &text[..text.floor_char_boundary(level)];
    let cow = |value: &'m Cow<'_, str>| Cow::Borrowed(text(value));
    let structured_data = line.structured_data.iter().map(|element| StructuredElement {
        id: text(element.id),
        params: element.params.iter().map(|(name, value)| (text(name), cow(value))).collect(),
    });
    let tcp_wrappers = line.tcp_wrappers.as_ref().map(|wrapper| WrapperLine {
        client_host: wrapper.client_host.as_ref().map(cow),
        client_address: wrapper.client_address.as_ref().map(cow),
        client_user: wrapper.client_user.map(text),
        daemon: wrapper.daemon.map(text),
        detail: wrapper.detail.map(text),
        ..wrapper.clone()
    });
    let security = line.security.as_ref().map(|security| SecurityLine {
        source: text(security.source),
        user: security.user.map(text),
        target_user: security.target_user.map(text),
        client_host: security.client_host.as_ref().map(cow),
        client_address: security.client_address.as_ref().map(cow),
        method: security.method.map(text),
        service: security.service.map(text),
        detail: security.detail.map(text),
        target_address: security.target_address.as_ref().map(cow),
        protocol: security.protocol.map(text),
        ..security.clone()
    });
    Some(SyslogLine {
        host: line.host.map(text),
        program: line.program.map(text),
        pid: line.pid.as_ref().map(cow),
        msgid: line.msgid.map(text),
        structured_data: structured_data.collect(),
        message: text(line.message),
        tcp_wrappers,
        security,
        ..line.clone()
    })
}

/// Only what a service says: the intake takes no more fields than it may, and those are of no use if they are cut.
fn cut_posted<'m>(posted: &'m Posted<'_>, most: usize) -> Option<Posted<'m>> {
    let PostedWhat::CheckIn { status, info } = posted.what else { return None };
    let info = &info[..(info.len() > most).then(|| info.floor_char_boundary(most))?];
    Some(Posted { what: PostedWhat::CheckIn { status, info }, ..posted.clone() })
}

/// The length to which the longest of some texts are cut so that all have no more than `most` bytes together.
fn level(lengths: &mut [usize], most: usize) -> usize {
    lengths.sort_unstable();
    let (mut left, mut count) = (most, lengths.len());
    for length in lengths {
        if *length > left / count {
            return left / count;
        }
        left -= *length;
        count -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::tests::trap;
    use crate::syslog::parse_line;

    fn varbind(value: &'static [u8]) -> Varbind<'static> {
        Varbind { oid: "1.3.6.1.2.1.2.2.1.2.3".parse().unwrap(), value: Value::OctetString(value) }
    }

    fn values(message: &Message<'_>) -> Vec<Vec<u8>> {
        let Message::Notification(notification) = message else { panic!("a line") };
        notification.varbinds.iter().map(|v| octets(&v.value).unwrap().to_vec()).collect()
    }

    #[test]
    fn the_longest_values_are_cut() {
        let message = trap(
            "1.3.6.1.6.3.1.1.5.3",
            vec![varbind(&[b'a'; 900]), varbind(b"Gi0/3"), varbind(&[b'b'; 2000])],
        );
        assert_eq!(cut(&message, 4000), None);
        let cut = cut(&message, 1000).unwrap();
        let lengths: Vec<usize> = values(&cut).iter().map(Vec::len).collect();
        assert_eq!((lengths[0], lengths[1]), (lengths[2], 5));
        assert!((460..480).contains(&lengths[0]), "{lengths:?}");
    }

    #[test]
    fn of_too_many_varbinds_the_first_are_kept() {
        let message = trap("1.3.6.1.6.3.1.1.5.3", (0..3000).map(|_| varbind(b"x")).collect());
        let kept = values(&cut(&message, 16 * 1024).unwrap()).len();
        assert!((400..500).contains(&kept), "{kept}");
    }

    #[test]
    fn the_parts_of_a_line_are_cut() {
        let text = "é".repeat(1000);
        let line = format!("<13>1 2026-11-24T10:00:00Z h1 app 1 - [a@1 k=\"{text}\" s=\"short\"] {text}");
        let message = Message::Syslog(parse_line(&line, 0));
        let Some(Message::Syslog(line)) = cut(&message, 1000) else { panic!("whole") };
        assert_eq!((line.host, line.program), (Some("h1"), Some("app")));
        assert_eq!(line.structured_data[0].params[1], ("s", "short".into()));
        assert!(line.message.len() < 500 && line.message.len() > 450);
        assert_eq!(line.structured_data[0].params[0].1.len(), line.message.len());
    }

    proptest! {
        #[test]
        fn no_more_than_allowed_and_nothing_that_fits_is_cut(lengths in prop::collection::vec(0..500_usize, 1..12), most in 0..3000_usize) {
            let level = level(&mut lengths.clone(), most);
            let total: usize = lengths.iter().map(|length| (*length).min(level)).sum();
            prop_assert!(total <= most);
            if lengths.iter().sum::<usize>() <= most {
                prop_assert_eq!(level, usize::MAX);
            } else {
                let next: usize = lengths.iter().map(|length| (*length).min(level + 1)).sum();
                prop_assert!(next > most);
            }
        }

        #[test]
        fn octets_are_cut_between_characters(text in "[aé€😀]{0,20}", most in 0..40_usize) {
            let cut = cut_octets(text.as_bytes(), most);
            prop_assert_eq!(cut, &text.as_bytes()[..text.floor_char_boundary(most.min(text.len()))]);
        }

        #[test]
        fn any_octets_are_cut(octets in prop::collection::vec(any::<u8>(), 0..20), most in 0..25_usize) {
            let cut = cut_octets(&octets, most);
            prop_assert!(octets.starts_with(cut) && cut.len() <= most && cut.len() + 3 >= most.min(octets.len()));
        }
    }
}
