//! Messages as listeners decode them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use data_encoding::HEXLOWER;

use crate::body::{Bodies, Body, Form};
use crate::message::posted::Posted;
use crate::oid::Oid;
use crate::peer::Peer;

/// One decoded message.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be allocated for each line, and few messages are there at a time"
)]
pub enum Message<'a> {
    /// An SNMP trap or inform.
    Notification(Notification<'a>),
    /// A line of syslog.
    Syslog(SyslogLine<'a>),
    /// What was posted over HTTP.
    Posted(Posted<'a>),
}

/// Where and when a message was received, as the intake saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Who sent it.
    pub peer: Peer,
    /// When it was received, in microseconds since 1970 UTC.
    pub received: i64,
}

impl Source {
    /// The sender's address, an IPv4 one that came in over an IPv6 socket as IPv4; 127.0.0.1 for a program of this machine.
    #[inline]
    pub fn address(&self) -> IpAddr {
        self.peer.ip()
    }
}

/// The version of SNMP that a notification was sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// SNMPv1, RFC 1157.
    V1,
    /// SNMPv2c, RFC 1901.
    V2c,
    /// SNMPv3, RFC 3412.
    V3,
}

impl Version {
    /// The name that people use: "1", "2c" or "3".
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1 => "1",
            Version::V2c => "2c",
            Version::V3 => "3",
        }
    }
}

/// How a v3 message was secured (RFC 3411, section 3.4.3), the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// Not at all.
    NoAuthNoPriv,
    /// By a digest.
    AuthNoPriv,
    /// By a digest, and encrypted.
    AuthPriv,
}

impl SecurityLevel {
    /// All of them.
    pub const ALL: [SecurityLevel; 3] = [Self::NoAuthNoPriv, Self::AuthNoPriv, Self::AuthPriv];

    /// The name that the RFCs and net-snmp use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAuthNoPriv => "noAuthNoPriv",
            Self::AuthNoPriv => "authNoPriv",
            Self::AuthPriv => "authPriv",
        }
    }

    /// The level of this name, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word))
    }
}

/// Who sent a v3 message, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security<'a> {
    /// The user.
    pub user: &'a str,
    /// How the message was secured.
    pub level: SecurityLevel,
    /// contextName: the part of the device that it speaks of, mostly empty.
    pub context: &'a [u8],
    /// contextEngineID: the SNMP engine that it speaks of, mostly that of the sender.
    pub engine: &'a [u8],
    /// Whether the user may speak for other hosts.
    pub relay: bool,
    /// Whether the user may speak for that engine: it is bound to no other.
    pub of_engine: bool,
}

impl Security<'_> {
    /// The engine as the configuration writes it: hex behind `0x`.
    pub fn engine_id(&self) -> String {
        format!("0x{}", HEXLOWER.encode(self.engine))
    }
}

/// Whether the sender waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationKind {
    /// Not answered.
    Trap,
    /// InformRequest-PDU, answered once its outcomes are in the journal (RFC 3416, section 4.2.7).
    Inform,
}

/// An SNMP trap or inform, a v1 trap translated to the v2 form (RFC 3584, section 3.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Notification<'a> {
    /// The version of the message.
    pub version: Version,
    /// Trap or inform.
    pub kind: NotificationKind,
    /// The community, as sent; empty in v3.
    pub community: &'a [u8],
    /// snmpTrapCommunity of a proxied trap: the community that the agent had used.
    pub proxied_community: Option<&'a [u8]>,
    /// Who sent a v3 message, and how it was secured.
    pub security: Option<Security<'a>>,
    /// request-id of the PDU; 0 for v1 traps, which have none.
    pub request_id: i32,
    /// snmpTrapOID: what the notification is.
    pub oid: Oid<'a>,
    /// The enterprise of a v1 trap, or snmpTrapEnterprise of a proxied one.
    pub enterprise: Option<Oid<'a>>,
    /// The agent that raised it, where the message says so: agent-addr of v1 unless 0.0.0.0, else
    /// snmpTrapAddress.
    pub agent: Option<Ipv4Addr>,
    /// generic-trap of v1.
    pub generic: Option<i32>,
    /// specific-trap of v1.
    pub specific: Option<i32>,
    /// sysUpTime of the agent in hundredths of a second.
    pub uptime: Option<u32>,
    /// The varbinds after sysUpTime.0 and snmpTrapOID.0.
    pub varbinds: Vec<Varbind<'a>>,
}

/// One variable binding: an instance and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Varbind<'a> {
    /// The instance.
    pub oid: Oid<'a>,
    /// Its value.
    pub value: Value<'a>,
}

/// A value of the SMI (RFC 2578, section 7.1; RFC 3416, section 3), with what net-snmp wraps in Opaque.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// INTEGER, Integer32.
    Integer(i32),
    /// OCTET STRING, BITS.
    OctetString(&'a [u8]),
    /// OBJECT IDENTIFIER.
    ObjectId(Oid<'a>),
    /// IpAddress.
    IpAddress(Ipv4Addr),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Gauge32(u32),
    /// TimeTicks, hundredths of a second.
    TimeTicks(u32),
    /// Counter64.
    Counter64(u64),
    /// Opaque with content of no known kind.
    Opaque(&'a [u8]),
    /// Opaque-wrapped single precision float (tag 0x9f78).
    Float(f32),
    /// Opaque-wrapped double precision float (tag 0x9f79).
    Double(f64),
    /// Opaque-wrapped signed 64-bit integer (tag 0x9f7a).
    Integer64(i64),
    /// Opaque-wrapped unsigned 64-bit integer (tags 0x9f76 and 0x9f7b).
    Unsigned64(u64),
    /// NsapAddress of RFC 1442.
    Nsap(&'a [u8]),
    /// UInteger32 of RFC 1442.
    UInteger32(u32),
    /// BIT STRING of RFC 1442: the unused-bits octet, then the bits.
    BitString(&'a [u8]),
    /// NULL.
    Null,
    /// noSuchObject.
    NoSuchObject,
    /// noSuchInstance.
    NoSuchInstance,
    /// endOfMibView.
    EndOfMibView,
    /// A value whose type is unknown or whose content does not fit its type: its tag octet and bytes.
    Odd {
        /// The identifier octet.
        tag: u8,
        /// The content.
        bytes: &'a [u8],
    },
}

impl Value<'_> {
    /// The name of the type, as the SMI writes it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Integer(_) => "Integer32",
            Value::OctetString(_) => "OctetString",
            Value::ObjectId(_) => "ObjectIdentifier",
            Value::IpAddress(_) => "IpAddress",
            Value::Counter32(_) => "Counter32",
            Value::Gauge32(_) => "Gauge32",
            Value::TimeTicks(_) => "TimeTicks",
            Value::Counter64(_) => "Counter64",
            Value::Opaque(_) => "Opaque",
            Value::Float(_) => "Float",
            Value::Double(_) => "Double",
            Value::Integer64(_) => "Integer64",
            Value::Unsigned64(_) => "Unsigned64",
            Value::Nsap(_) => "NsapAddress",
            Value::UInteger32(_) => "UInteger32",
            Value::BitString(_) => "BitString",
            Value::Null => "Null",
            Value::NoSuchObject => "noSuchObject",
            Value::NoSuchInstance => "noSuchInstance",
            Value::EndOfMibView => "endOfMibView",
            Value::Odd { .. } => "Odd",
        }
    }

    /// The number, where the value is a whole one.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Value::Integer(v) => Some(v.into()),
            Value::Counter32(v) | Value::Gauge32(v) | Value::TimeTicks(v) | Value::UInteger32(v) => {
                Some(v.into())
            }
            Value::Counter64(v) | Value::Unsigned64(v) => Some(v.into()),
            Value::Integer64(v) => Some(v.into()),
            _ => None,
        }
    }
}

/// A line of syslog (RFC 3164, RFC 5424).
#[derive(Debug, Clone, PartialEq)]
pub struct SyslogLine<'a> {
    /// Facility, 0 to 23.
    pub facility: Option<u8>,
    /// Severity, 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// The time that the line carries, in microseconds since 1970 UTC.
    pub time: Option<i64>,
    /// What is known of the clock that this time is from.
    pub clock: Option<SyslogClock>,
    /// The host that the line names.
    pub host: Option<&'a str>,
    /// APP-NAME of RFC 5424, the tag of RFC 3164 without its pid.
    pub program: Option<&'a str>,
    /// PROCID, the process id of the tag.
    pub pid: Option<Cow<'a, str>>,
    /// MSGID of RFC 5424, or the type of the message, as written: `%LINK-3-UPDOWN`.
    pub msgid: Option<&'a str>,
    /// STRUCTURED-DATA: elements with their parameters.
    pub structured_data: Vec<StructuredElement<'a>>,
    /// The message itself.
    pub message: &'a str,
    /// How often the message came, where the line says that equal ones were folded into it.
    pub repeated: Option<u32>,
    /// Whether the line is cut: it was longer than `max_message`, or its stream ended within it.
    pub truncated: bool,
    /// Who has sent it over TLS. This and `truncated` are known from the stream, not from the text.
    pub tls: Option<TlsSender<'a>>,
    /// What the line says when TCP Wrappers (libwrap) wrote it.
    pub tcp_wrappers: Option<WrapperLine<'a>>,
    /// What the line says about logins, rights and blocked traffic.
    pub security: Option<SecurityLine<'a>>,
    /// The message as JSON, keys and values and so on, as far as somebody has asked for it.
    pub bodies: Bodies,
}

impl SyslogLine<'_> {
    /// The fields of the message in a form; none if it does not have that form.
    pub fn body(&self, kind: Form) -> Option<&Body> {
        self.bodies.open(kind, self.message)
    }
}

/// Who has sent a line over TLS, as a certificate says that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSender<'a> {
    /// The name in it; none if it has none.
    pub name: Option<&'a str>,
    /// Its fingerprint, as in `sha-256:4F:0A:...`.
    pub fingerprint: &'a str,
}

/// What is known of a sender's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogClock {
    /// It may be wrong: the sender says that it is not set or not synchronized, or the time is more than a day away from the
    /// reception.
    Unsure,
}

impl SyslogClock {
    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsure => "unsure",
        }
    }
}

/// One element of structured data (RFC 5424, section 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructuredElement<'a> {
    /// SD-ID.
    pub id: &'a str,
    /// SD-PARAMs, escapes resolved.
    pub params: Vec<(&'a str, Cow<'a, str>)>,
}

/// What TCP Wrappers did or complained of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapperAction {
    /// A client was turned away.
    Refused,
    /// A client was let in.
    Connected,
    /// A command was run in the place of the service (hosts_options(5), `twist`).
    Twisted,
    /// The name of a client does not agree with its address, or cannot be verified.
    Mismatch,
    /// Something is wrong with the wrapper's own configuration or with the service behind it.
    Error,
}

impl WrapperAction {
    /// All of them, for messages about a wrong one.
    pub const ALL: [WrapperAction; 5] =
        [Self::Refused, Self::Connected, Self::Twisted, Self::Mismatch, Self::Error];

    /// The word that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Connected => "connected",
            Self::Twisted => "twisted",
            Self::Mismatch => "mismatch",
            Self::Error => "error",
        }
    }

    /// The action that a rule's word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }
}

/// A line of TCP Wrappers, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapperLine<'a> {
    /// What happened.
    pub action: WrapperAction,
    /// The client's name as the wrapper knows it; the address again where it has none.
    pub client_host: Option<Cow<'a, str>>,
    /// The client's address in its canonical form, an IPv4 one as IPv4.
    pub client_address: Option<Cow<'a, str>>,
    /// The client's user, where RFC 931 look-ups are on. The client chooses it.
    pub client_user: Option<&'a str>,
    /// The daemon: the program that logged the line, or the service that it names.
    pub daemon: Option<&'a str>,
    /// What else the line says: the options of a source-routed packet, the command of a twist, the text of
    /// an error.
    pub detail: Option<&'a str>,
    /// How often the line came, where a syslog daemon has folded equal lines into one.
    pub repeated: Option<u32>,
}

macro_rules! security_actions {
    ($($(#[$doc:meta])* $variant:ident $word:literal,)+) => {
        /// What a line about security says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SecurityAction {
            $($(#[$doc])* $variant,)+
        }

        impl SecurityAction {
            /// All of them, for messages about a wrong one.
            pub const ALL: &'static [SecurityAction] = &[$(Self::$variant,)+];

            /// The word that rules use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

security_actions! {
    /// Somebody has logged in.
    Accepted "accepted",
    /// Somebody has tried to log in or to become somebody.
    Failed "failed",
    /// A client or user was stopped after too many tries.
    Limited "limited",
    /// Somebody may not do what he tried.
    Denied "denied",
    /// A connection has ended.
    Disconnected "disconnected",
    /// TCP Wrappers have turned a client away.
    Refused "refused",
    /// A session was opened.
    Opened "opened",
    /// A session was closed.
    Closed "closed",
    /// Somebody acts as another user.
    Elevated "elevated",
    /// An account was created.
    Created "created",
    /// An account or its password was changed.
    Changed "changed",
    /// An account was deleted.
    Deleted "deleted",
    /// A client was banned.
    Banned "banned",
    /// The ban of a client has ended.
    Unbanned "unbanned",
    /// A firewall has blocked traffic.
    Blocked "blocked",
}

/// A line about logins, rights and blocked traffic, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityLine<'a> {
    /// What wrote it: `sshd`, `pam`, `sudo`, `firewall` ...
    pub source: &'a str,
    /// What happened.
    pub action: SecurityAction,
    /// The user that is spoken of. Whoever wants in chooses it.
    pub user: Option<&'a str>,
    /// The user that this user wanted to become.
    pub target_user: Option<&'a str>,
    /// The client's name.
    pub client_host: Option<Cow<'a, str>>,
    /// The client's address in its canonical form.
    pub client_address: Option<Cow<'a, str>>,
    /// The client's port.
    pub client_port: Option<u16>,
    /// How somebody wanted to log in: `password`, `publickey`.
    pub method: Option<&'a str>,
    /// The service of PAM, the jail of fail2ban, the group of an account.
    pub service: Option<&'a str>,
    /// How often it happened.
    pub count: Option<u32>,
    /// What else the line says.
    pub detail: Option<&'a str>,
    /// The address that traffic was for.
    pub target_address: Option<Cow<'a, str>>,
    /// The port that traffic was for.
    pub target_port: Option<u16>,
    /// The protocol of the traffic.
    pub protocol: Option<&'a str>,
}

impl<'a> SecurityLine<'a> {
    /// A line of a source that says that something happened, without anything else.
    pub fn new(source: &'a str, action: SecurityAction) -> Self {
        SecurityLine {
            source,
            action,
            user: None,
            target_user: None,
            client_host: None,
            client_address: None,
            client_port: None,
            method: None,
            service: None,
            count: None,
            detail: None,
            target_address: None,
            target_port: None,
            protocol: None,
        }
    }
}
