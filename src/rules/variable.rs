//! The variables of rules and their values.

use std::borrow::Cow;
use std::sync::Arc;

use crate::body::{Form, Step};
use crate::language::value::{Number, Shown, Val};
use crate::message::{
    Message, Notification, Posted, PostedWhat, Status, SyslogClock, SyslogLine, Value, Varbind,
};
use crate::mib::format::Presented;
use crate::mib::rows::index_of;
use crate::mib::{Kind, Mib, Syntax, format};
use crate::oid::Oid;
use crate::peer::Credentials;
use crate::rules::asks::Question;
use crate::rules::body_values;
use crate::rules::context::MessageContext;
use crate::rules::lookups::Look;
use crate::syslog::{FACILITIES, SEVERITIES};
use crate::text::Charset;

/// A variable, resolved when its rule is compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// A property of the message or of its source.
    Fixed(Fixed),
    /// A group of the rule's message pattern, by its index.
    Capture(usize),
    /// The first varbind at or below one of these OIDs; earlier targets come first.
    Varbind {
        /// The OIDs.
        targets: Vec<Target>,
        /// Whether the value is meant without enumeration names, hints and units.
        raw: bool,
    },
    /// A varbind by its position, from 1, not counting sysUpTime and snmpTrapOID.
    Position {
        /// The position.
        at: usize,
        /// Whether the value is meant without enumeration names, hints and units.
        raw: bool,
    },
    /// A property of the varbind at a position.
    OfVarbind {
        /// The position, from 1.
        at: usize,
        /// The property.
        what: OfVarbind,
    },
    /// The number of varbinds.
    Count,
    /// The value of an index, from the instance of the first varbind whose row has that index.
    Index {
        /// The object that is the index.
        oid: Oid<'static>,
        /// The place of its definition in [`Mib::objects`].
        definition: Option<usize>,
    },
    /// A question about the state of rules.
    State(Question),
    /// A look into a table.
    Lookup(Look),
    /// A parameter of structured data.
    StructuredData {
        /// SD-ID.
        id: String,
        /// The name of the parameter.
        name: String,
    },
    /// A field of a message that has a form.
    Body {
        /// The form.
        kind: Form,
        /// The way to the field.
        steps: Vec<Step>,
    },
}

/// A property of a varbind other than its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfVarbind {
    /// `names[1]`: the instance by name, such as `IF-MIB::ifDescr.3`.
    Name,
    /// `oids[1]`: the instance as numbers.
    Oid,
    /// `types[1]`: the type of the value, as the SMI writes it (RFC 2578, section 7.1).
    Type,
    /// `plain[1]`: the value as snmptrapd writes it without MIBs.
    Plain,
}

/// The tables of these properties.
pub const OF_VARBINDS: [(&str, OfVarbind); 4] = [
    ("names", OfVarbind::Name),
    ("oids", OfVarbind::Oid),
    ("types", OfVarbind::Type),
    ("plain", OfVarbind::Plain),
];

impl OfVarbind {
    /// The property of a varbind.
    pub fn of<'m>(self, varbind: &'m Varbind<'m>, mib: &Mib) -> Cow<'m, str> {
        match self {
            OfVarbind::Name => mib.name_of(&varbind.oid).into(),
            OfVarbind::Oid => varbind.oid.to_string().into(),
            OfVarbind::Type => varbind.value.type_name().into(),
            OfVarbind::Plain => format::as_net_snmp(&varbind.value),
        }
    }
}

/// An OID at or below which a varbind is looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// An object, an instance of one, or any other OID.
    pub oid: Oid<'static>,
    /// The place of the object's definition in [`Mib::objects`]; none if the OID is not that of one object.
    pub definition: Option<usize>,
}

macro_rules! fixed {
    ($($variant:ident $name:literal $kind:ident,)+) => {
        /// A variable that has the same name in every rule of a kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fixed {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        /// All of them: name, variable, and the messages that have it.
        pub const FIXED: &[(&str, Fixed, For)] = &[$(($name, Fixed::$variant, For::$kind),)+];
    };
}

/// The messages that have a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// All.
    All,
    /// Traps and informs.
    Notifications,
    /// Syslog lines.
    Lines,
    /// Check-ins.
    CheckIns,
}

fixed! {
    Host "host" All,
    Source "source" All,
    SourceHost "source_host" All,
    Text "text" All,
    Received "received" All,
    Age "age" All,
    Agent "agent" Notifications,
    Trap "trap" Notifications,
    Oid "oid" Notifications,
    Enterprise "enterprise" Notifications,
    EnterpriseOid "enterprise_oid" Notifications,
    Uptime "uptime" Notifications,
    PlainUptime "plain_uptime" Notifications,
    Community "community" Notifications,
    User "user" Notifications,
    SnmpContext "context" Notifications,
    EngineId "engine_id" Notifications,
    Version "version" Notifications,
    Generic "generic" Notifications,
    Specific "specific" Notifications,
    Program "program" Lines,
    Pid "pid" Lines,
    MsgId "msgid" Lines,
    Facility "facility" Lines,
    Severity "severity" Lines,
    Message "message" Lines,
    SyslogHost "syslog_host" Lines,
    PeerPid "peer_pid" Lines,
    PeerUid "peer_uid" Lines,
    Action "action" Lines,
    ClientHost "client_host" Lines,
    ClientAddress "client_address" Lines,
    ClientUser "client_user" Lines,
    Daemon "daemon" Lines,
    Detail "detail" Lines,
    LineUser "user" Lines,
    TargetUser "target_user" Lines,
    ClientPort "client_port" Lines,
    Method "method" Lines,
    Service "service" Lines,
    SecurityCount "count" Lines,
    TargetAddress "target_address" Lines,
    TargetPort "target_port" Lines,
    Protocol "protocol" Lines,
    Repeated "repeated" Lines,
    Time "time" Lines,
    Clock "clock" Lines,
    Truncated "truncated" Lines,
    TlsPeer "tls_peer" Lines,
    TlsFingerprint "tls_fingerprint" Lines,
    CheckIn "checkin" CheckIns,
    Status "status" CheckIns,
    Info "info" CheckIns,
}

impl Variable {
    /// The value for a message.
    pub fn get<'m>(
        &'m self,
        context: &MessageContext<'m>,
        captures: &[Option<&'m str>],
        mib: &'m Mib,
    ) -> Val<'m> {
        match self {
            Variable::Fixed(fixed) => match context.message {
                Message::Notification(notification) => fixed.of_notification(notification, context, mib),
                Message::Syslog(line) => fixed.of_line(line, context),
                Message::Posted(posted) => fixed.of_posted(posted, context),
            },
            Variable::Capture(at) => Val::optional(captures.get(*at).copied().flatten()),
            Variable::Varbind { targets, raw } => {
                let all = context.varbinds();
                of_targets(targets, all, mib).map_or(Val::Undefined, |(varbind, syntax)| {
                    varbind_value(varbind, syntax, (*raw, context.charset, all), mib)
                })
            }
            other => other.get_rare(context, mib),
        }
    }

    /// Appends what [`Variable::get`] gives, as text: the short way for names of numbers and for text.
    pub fn push<'m>(
        &'m self,
        context: &MessageContext<'m>,
        captures: &[Option<&'m str>],
        mib: &'m Mib,
        out: &mut String,
    ) {
        let Variable::Varbind { targets, raw: false } = self else {
            return self.get(context, captures, mib).push_to(out);
        };
        let all = context.varbinds();
        let Some((varbind, syntax)) = of_targets(targets, all, mib) else { return };
        let text = match (&varbind.value, syntax) {
            (Value::Integer(number), Some(syntax)) => syntax.name_of((*number).into()),
            (Value::OctetString(octets), syntax) => format::unchanged(octets, syntax),
            _ => None,
        };
        match text {
            Some(text) => out.push_str(text),
            None => varbind_value(varbind, syntax, (false, context.charset, all), mib).push_to(out),
        }
    }

    /// The value of a variable that few templates have, or that costs more than this call.
    fn get_rare<'m>(&'m self, context: &MessageContext<'m>, mib: &'m Mib) -> Val<'m> {
        let varbinds = || context.varbinds();
        match self {
            Variable::Position { at, raw } => {
                let all = varbinds();
                at.checked_sub(1).and_then(|at| all.get(at)).map_or(Val::Undefined, |varbind| {
                    varbind_value(varbind, syntax_of(varbind, mib), (*raw, context.charset, all), mib)
                })
            }
            Variable::OfVarbind { at, what } => at
                .checked_sub(1)
                .and_then(|at| varbinds().get(at))
                .map_or(Val::Undefined, |varbind| Val::Str(what.of(varbind, mib))),
            Variable::Count => Val::Int(varbinds().len() as i128),
            Variable::Index { oid, .. } => varbinds()
                .iter()
                .find_map(|v| index_of(&v.oid, oid, mib))
                .map_or(Val::Undefined, of_presented),
            // They are functions, and what get() gives.
            Variable::State(_)
            | Variable::Lookup(_)
            | Variable::Fixed(_)
            | Variable::Capture(_)
            | Variable::Varbind { .. } => Val::Undefined,
            Variable::StructuredData { id, name } => {
                // Some senders write an element in several pairs of brackets.
                let elements = context.syslog().map_or(&[][..], |line| &line.structured_data);
                let mut params = elements.iter().filter(|e| e.id == id).flat_map(|e| &e.params);
                let value = params.find(|(n, _)| n == name);
                value.map_or(Val::Undefined, |(_, v)| Val::Str(Cow::Borrowed(v)))
            }
            Variable::Body { kind, steps } => body_values::Source::of(context)
                .map_or(Val::Undefined, |source| body_values::field(source, *kind, steps)),
        }
    }
}

/// The first varbind that is an instance of the first object that has one, and its syntax.
#[inline]
fn of_targets<'m>(
    targets: &'m [Target],
    all: &'m [Varbind<'m>],
    mib: &'m Mib,
) -> Option<(&'m Varbind<'m>, Option<&'m Syntax>)> {
    targets.iter().find_map(|target| {
        let varbind = target.oid.first_below(all, |varbind| &varbind.oid)?;
        let syntax = match target.definition {
            Some(at) => Some(&*mib.objects()[at].syntax),
            None => syntax_of(varbind, mib),
        };
        Some((varbind, syntax))
    })
}

/// The syntax of the object that a varbind is an instance of.
pub fn syntax_of<'m>(varbind: &Varbind<'_>, mib: &'m Mib) -> Option<&'m Syntax> {
    mib.lookup(&varbind.oid).filter(|object| object.kind == Kind::Object).map(|object| &*object.syntax)
}

/// The value of a varbind among all varbinds of its notification: numbers as numbers, enumerations as named numbers,
/// numbers with a DISPLAY-HINT as it writes them, everything else as text in the sender's character set. With `raw`, without what the MIB knows.
pub fn varbind_value<'m>(
    varbind: &'m Varbind<'m>,
    syntax: Option<&'m Syntax>,
    (raw, charset, all): (bool, Charset, &'m [Varbind<'m>]),
    mib: &'m Mib,
) -> Val<'m> {
    match &varbind.value {
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => Val::Undefined,
        // By its shortest decimal form, so that 23.3 does not become 23.299999237060547.
        Value::Float(number) => {
            let number = number.to_string().parse().unwrap_or(f64::from(*number));
            float(number, &varbind.value, charset)
        }
        Value::Double(number) => float(*number, &varbind.value, charset),
        value if raw => match value.as_integer() {
            Some(number) => Val::Int(number),
            None => Val::Str(format::plain(value, charset)),
        },
        _ => of_presented(format::present_varbind(varbind, syntax, (charset, all), mib)),
    }
}

/// A number whose text is the one that it has wherever the message is shown: `23`, where a number of the language would be `23.0`.
fn float<'m>(number: f64, value: &'m Value<'m>, charset: Charset) -> Val<'m> {
    Val::Shown(Arc::new(Shown { number: Number::Float(number), text: format::plain(value, charset).into() }))
}

/// What is presented to people, as rules compute with it.
pub fn of_presented(presented: Presented<'_>) -> Val<'_> {
    match presented {
        Presented::Number(number) => Val::Int(number),
        Presented::Named { number, name } => Val::Named { number, name },
        Presented::Hinted { number, places, text } => {
            let number = match places {
                0 => Number::Int(number.into()),
                places => Number::Float(number as f64 / 10f64.powi(places.into())),
            };
            Val::Shown(Arc::new(Shown { number, text: text.into() }))
        }
        Presented::Text(text) => Val::Str(text),
    }
}

/// The texts of all varbinds, joined by spaces.
fn all_text(notification: &Notification<'_>, charset: Charset, mib: &Mib) -> String {
    let texts: Vec<_> = notification
        .varbinds
        .iter()
        .map(|v| {
            let syntax = mib.lookup(&v.oid).map(|o| &*o.syntax);
            format::of_varbind(v, syntax, (charset, &notification.varbinds), mib)
        })
        .collect();
    texts.join(" ")
}

impl Fixed {
    /// Whether the variable can be a number; otherwise it is text or undefined.
    pub fn can_be_number(self) -> bool {
        matches!(
            self,
            Fixed::Received
                | Fixed::Age
                | Fixed::Generic
                | Fixed::Specific
                | Fixed::Facility
                | Fixed::Severity
                | Fixed::Repeated
                | Fixed::Time
                | Fixed::ClientPort
                | Fixed::SecurityCount
                | Fixed::TargetPort
        )
    }

    fn of_notification<'m>(
        self,
        n: &'m Notification<'m>,
        context: &MessageContext<'m>,
        mib: &'m Mib,
    ) -> Val<'m> {
        let number = |n: Option<i32>| n.map_or(Val::Undefined, |n| Val::Int(n.into()));
        match self {
            Fixed::Host => Val::Str(Cow::Borrowed(context.host)),
            Fixed::Source => Val::Str(Cow::Borrowed(context.address)),
            Fixed::SourceHost => context.source_host(),
            Fixed::Text => Val::Str(all_text(n, context.charset, mib).into()),
            Fixed::Received => context.received(),
            Fixed::Agent => match n.agent {
                Some(agent) => Val::Str(agent.to_string().into()),
                None => Val::Str(Cow::Borrowed(context.address)),
            },
            Fixed::Trap => Val::Str(mib.name_of(&n.oid).into()),
            Fixed::Oid => Val::Str(n.oid.to_string().into()),
            Fixed::Enterprise => match &n.enterprise {
                Some(enterprise) => Val::Str(mib.name_of(enterprise).into()),
                None => Val::Undefined,
            },
            Fixed::EnterpriseOid => match &n.enterprise {
                Some(enterprise) => Val::Str(enterprise.to_string().into()),
                None => Val::Undefined,
            },
            Fixed::Uptime => match n.uptime {
                Some(ticks) => Val::Str(format::time_ticks(ticks).into()),
                None => Val::Undefined,
            },
            Fixed::PlainUptime => match n.uptime {
                Some(ticks) => Val::Str(format::net_snmp_ticks(ticks).into()),
                None => Val::Undefined,
            },
            Fixed::Community => Val::Str(String::from_utf8_lossy(n.proxied_community.unwrap_or(n.community))),
            Fixed::User => Val::optional(n.security.map(|s| s.user)),
            Fixed::SnmpContext => match n.security {
                Some(security) => Val::Str(String::from_utf8_lossy(security.context)),
                None => Val::Undefined,
            },
            Fixed::EngineId => match n.security.filter(|security| !security.engine.is_empty()) {
                Some(security) => Val::Str(security.engine_id().into()),
                None => Val::Undefined,
            },
            Fixed::Version => Val::Str(Cow::Borrowed(n.version.as_str())),
            Fixed::Generic => number(n.generic),
            Fixed::Specific => number(n.specific),
            _ => Val::Undefined,
        }
    }

    fn of_posted<'m>(self, posted: &'m Posted<'m>, context: &MessageContext<'m>) -> Val<'m> {
        let (status, info) = match posted.what {
            PostedWhat::CheckIn { status, info } => (Some(status), Some(info)),
            PostedWhat::Json => (None, None),
        };
        match self {
            Fixed::Host => Val::Str(Cow::Borrowed(context.host)),
            Fixed::Source => Val::Str(Cow::Borrowed(context.address)),
            Fixed::SourceHost => context.source_host(),
            Fixed::Text => Val::Str(Cow::Borrowed(info.unwrap_or(posted.text))),
            Fixed::Received => context.received(),
            Fixed::CheckIn => Val::Str(Cow::Borrowed(posted.name)),
            Fixed::Status => Val::optional(status.map(Status::as_str)),
            Fixed::Info => Val::optional(info),
            _ => Val::Undefined,
        }
    }

    fn of_line<'m>(self, line: &'m SyslogLine<'m>, context: &MessageContext<'m>) -> Val<'m> {
        let (wrapper, security) = (line.tcp_wrappers.as_ref(), line.security.as_ref());
        let count = |number: Option<u32>| number.map_or(Val::Undefined, |number| Val::Int(number.into()));
        let named = |number: Option<u8>, names: &'static [&'static str]| match number {
            Some(number) => Val::Named {
                number: number.into(),
                name: names.get(usize::from(number)).copied().unwrap_or(""),
            },
            None => Val::Undefined,
        };
        let peer = |property: fn(Credentials) -> u32| {
            let credentials = context.source.peer.credentials();
            credentials.map_or(Val::Undefined, |peer| Val::Int(property(peer).into()))
        };
        match self {
            Fixed::Host => Val::Str(Cow::Borrowed(context.host)),
            Fixed::Source => Val::Str(Cow::Borrowed(context.address)),
            Fixed::SourceHost => context.source_host(),
            Fixed::Text | Fixed::Message => Val::Str(Cow::Borrowed(line.message)),
            Fixed::Received => context.received(),
            Fixed::Age => line.time.map_or(Val::Undefined, |time| {
                Val::Int(i128::from((context.source.received - time) / 1_000_000))
            }),
            Fixed::Program => Val::optional(line.program),
            Fixed::Pid => Val::optional(line.pid.as_deref()),
            Fixed::MsgId => Val::optional(line.msgid),
            Fixed::Facility => named(line.facility, &FACILITIES),
            Fixed::Severity => named(line.severity, &SEVERITIES),
            Fixed::SyslogHost => Val::optional(line.host),
            Fixed::TlsPeer => Val::optional(line.tls.and_then(|tls| tls.name)),
            Fixed::TlsFingerprint => Val::optional(line.tls.map(|tls| tls.fingerprint)),
            Fixed::PeerPid => peer(|peer| peer.pid),
            Fixed::PeerUid => peer(|peer| peer.uid),
            // What TCP Wrappers say is more exact.
            Fixed::Action => Val::optional(
                wrapper.map(|w| w.action.as_str()).or(security.map(|security| security.action.as_str())),
            ),
            Fixed::ClientHost => Val::optional(match wrapper {
                Some(wrapper) => wrapper.client_host.as_deref(),
                None => security.and_then(|security| security.client_host.as_deref()),
            }),
            Fixed::ClientAddress => Val::optional(match wrapper {
                Some(wrapper) => wrapper.client_address.as_deref(),
                None => security.and_then(|security| security.client_address.as_deref()),
            }),
            Fixed::LineUser => Val::optional(security.and_then(|security| security.user)),
            Fixed::TargetUser => Val::optional(security.and_then(|security| security.target_user)),
            Fixed::ClientPort => count(security.and_then(|security| security.client_port).map(u32::from)),
            Fixed::Method => Val::optional(security.and_then(|security| security.method)),
            Fixed::Service => Val::optional(security.and_then(|security| security.service)),
            Fixed::SecurityCount => count(security.and_then(|security| security.count)),
            Fixed::TargetAddress => {
                Val::optional(security.and_then(|security| security.target_address.as_deref()))
            }
            Fixed::TargetPort => count(security.and_then(|security| security.target_port).map(u32::from)),
            Fixed::Protocol => Val::optional(security.and_then(|security| security.protocol)),
            Fixed::ClientUser => Val::optional(wrapper.and_then(|w| w.client_user)),
            Fixed::Daemon => Val::optional(wrapper.and_then(|w| w.daemon)),
            Fixed::Detail => Val::optional(match wrapper {
                Some(wrapper) => wrapper.detail,
                None => security.and_then(|security| security.detail),
            }),
            Fixed::Repeated => count(line.repeated),
            Fixed::Time => {
                line.time.map_or(Val::Undefined, |time| Val::Int(time.div_euclid(1_000_000).into()))
            }
            Fixed::Clock => Val::optional(line.clock.map(SyslogClock::as_str)),
            Fixed::Truncated => Val::Bool(line.truncated),
            _ => Val::Undefined,
        }
    }
}
