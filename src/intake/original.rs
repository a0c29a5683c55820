//! Messages as they came, for the inbox.

use data_encoding::HEXLOWER;

use crate::capture::{Batch, Body, Entry};
use crate::inbox::mask::mask;
use crate::inbox::{Key, Raw, Sample};
use crate::message::{Message, Posted, Source};
use crate::posted::kept::written;
use crate::snmp::anonymous;
use crate::snmp::decode::without_community;

/// How many octets of a packet that cannot be decoded are kept.
const MAX_PACKET: usize = 2048;

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Original<'m> {
    /// An SNMP message of v1 or v2c.
    Packet(&'m [u8]),
    /// The content of the scoped PDU of a message of v3, decrypted, and its user.
    Scoped(&'m [u8], &'m str),
    /// A line of syslog, and whether its end is missing.
    Line(&'m str, bool),
    /// What was posted.
    Posted(&'m Posted<'m>),
}

impl Original<'_> {
    /// The message as the inbox keeps it.
    pub(super) fn sample(&self, source: &Source) -> Sample {
        let packet = |octets: Option<Vec<u8>>| Raw::Packet(HEXLOWER.encode(&octets.unwrap_or_default()));
        let cut = matches!(self, Original::Line(_, true));
        let (raw, user) = match self {
            Original::Packet(message) => (packet(anonymous::without_community(message)), None),
            Original::Scoped(scoped, user) => {
                (packet(anonymous::of_scoped(scoped)), Some((*user).to_owned()))
            }
            Original::Line(line, _) => (Raw::Line((*line).to_owned()), None),
            Original::Posted(posted) => (Raw::Posted(written(posted)), None),
        };
        Sample { received: source.received, from: source.address(), user, cut, raw }
    }

    /// The SNMP message, with an empty community; none of other messages.
    pub(super) fn message(&self) -> Option<Vec<u8>> {
        match self {
            Original::Packet(message) => anonymous::without_community(message),
            Original::Scoped(scoped, _) => anonymous::of_scoped(scoped),
            Original::Line(..) | Original::Posted(_) => None,
        }
    }

    /// Adds the message to those that are captured. `tags`: of the rules that it may reach.
    pub(super) fn capture(
        &self,
        message: &Message<'_>,
        source: &Source,
        tags: Option<&[String]>,
        captured: &mut Batch,
    ) {
        let (received, from) = (source.received, source.address());
        let tags = tags.map(|tags| tags.iter().map(String::as_str).collect());
        let push = |body| captured.push(&Entry { received, from, tags, body });
        match (self, message) {
            (Original::Line(text, cut), _) => push(Body::Line { text, cut: *cut }),
            (Original::Posted(posted), _) => push(Body::Posted(&written(posted))),
            (Original::Packet(packet), _) => {
                push(Body::Packet(&anonymous::without_community(packet).unwrap_or_default()));
            }
            (Original::Scoped(content, user), Message::Notification(notification)) => {
                let Some(security) = &notification.security else { return };
                let (level, relay, of_engine) = (security.level, security.relay, security.of_engine);
                let mut content = content.to_vec();
                anonymous::mask_proxied(&mut content);
                push(Body::Scoped { content: &content, user, level, relay, of_engine });
            }
            (Original::Scoped(..), Message::Syslog(_) | Message::Posted(_)) => {}
        }
    }
}

/// A packet that cannot be decoded, as the inbox keeps it: its community is written over.
pub(super) fn malformed(packet: &[u8], source: &Source) -> Sample {
    let mut shown = without_community(packet);
    shown.truncate(MAX_PACKET);
    Sample {
        received: source.received,
        from: source.address(),
        user: None,
        cut: false,
        raw: Raw::Octets(HEXLOWER.encode(&shown)),
    }
}

/// The group of a message that no rule takes.
pub(super) fn group_of(message: &Message<'_>) -> Key {
    match message {
        Message::Notification(notification) => Key::Trap(notification.oid.to_string()),
        Message::Syslog(line) => {
            Key::Line { program: line.program.map(str::to_owned), text: mask(line.message) }
        }
        Message::Posted(posted) => {
            Key::Posted { kind: posted.kind().as_str().to_owned(), name: posted.name.to_owned() }
        }
    }
}
