//! The variables of expressions and templates: which there are, and what each is for a message.

use std::borrow::Cow;

use crate::message::{Notification, Value, Varbind};
use crate::mib::rows::index_of;
use crate::mib::{Kind, Mib, Syntax, format};
use crate::oid::Oid;
use crate::rules::subject::Subject;
use crate::rules::value::Val;
use crate::settings::diagnostic::did_you_mean;
use crate::syslog::{FACILITIES, SEVERITIES};

/// A variable, resolved when the rule is compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// A variable that the message or its source has.
    Fixed(Fixed),
    /// A group of the rule's message pattern, by its place.
    Capture(usize),
    /// A varbind by name or OID: the first one at or below one of these OIDs, with the place of its definition.
    Varbind {
        /// Where to look.
        targets: Vec<Target>,
        /// Without what the MIB knows.
        raw: bool,
    },
    /// A varbind by its place, from 1, after sysUpTime and snmpTrapOID.
    Position {
        /// The place.
        at: usize,
        /// Without what the MIB knows.
        raw: bool,
    },
    /// What is known of a varbind at a place beside its value.
    OfVarbind {
        /// The place, from 1.
        at: usize,
        /// What of it.
        what: OfVarbind,
    },
    /// How many varbinds there are.
    Count,
    /// The value of an index, out of the instance of the first varbind whose row has it.
    Index {
        /// The object that is the index.
        oid: Oid<'static>,
        /// The place of its definition in the MIB's objects.
        definition: Option<usize>,
    },
    /// A parameter of structured data.
    StructuredData {
        /// SD-ID.
        id: String,
        /// The parameter's name.
        name: String,
    },
}

/// What is known of a varbind beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfVarbind {
    /// `names[1]`: the instance by name, such as `IF-MIB::ifDescr.3`.
    Name,
    /// `oids[1]`: the instance by number.
    Oid,
    /// `types[1]`: the type of the value, as the SMI writes it (RFC 2578, section 7.1).
    Type,
    /// `plain[1]`: the value as snmptrapd writes it without MIBs.
    Plain,
}

/// The tables that have this.
pub const OF_VARBINDS: [(&str, OfVarbind); 4] = [
    ("names", OfVarbind::Name),
    ("oids", OfVarbind::Oid),
    ("types", OfVarbind::Type),
    ("plain", OfVarbind::Plain),
];

impl OfVarbind {
    /// What it is of a varbind.
    pub fn of<'m>(self, varbind: &'m Varbind<'m>, mib: &Mib) -> Cow<'m, str> {
        match self {
            OfVarbind::Name => mib.name_of(&varbind.oid).into(),
            OfVarbind::Oid => varbind.oid.to_string().into(),
            OfVarbind::Type => varbind.value.type_name().into(),
            OfVarbind::Plain => format::as_net_snmp(&varbind.value),
        }
    }
}

/// Where a varbind is looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The object, or an instance of it.
    pub oid: Oid<'static>,
    /// The place of its definition in the MIB's objects.
    pub definition: Option<usize>,
}

macro_rules! fixed {
    ($($variant:ident $name:literal $kind:ident,)+) => {
        /// A variable that has the same name in every rule of a kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fixed {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
        }

        const FIXED: &[(&str, Fixed, For)] = &[$(($name, Fixed::$variant, For::$kind),)+];
    };
}

/// Which messages have a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    All,
    Notifications,
    Lines,
}

fixed! {
    Host "host" All,
    Source "source" All,
    SourceHost "source_host" All,
    Text "text" All,
    Received "received" All,
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
    Action "action" Lines,
    ClientHost "client_host" Lines,
    ClientAddress "client_address" Lines,
    ClientUser "client_user" Lines,
    Daemon "daemon" Lines,
    Detail "detail" Lines,
}

/// The names that stand for tables of variables.
pub const TABLES: [&str; 8] = ["v", "raw", "index", "sd", "names", "oids", "types", "plain"];

/// What the variables of one rule can be.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'c> {
    /// The names of varbinds.
    pub mib: &'c Mib,
    /// Whether the rule is for notifications; else it is for lines of syslog.
    pub notifications: bool,
    /// The names of the groups of the message pattern, by place.
    pub captures: &'c [String],
}

impl Scope<'_> {
    /// The variable that a plain name stands for.
    ///
    /// # Errors
    ///
    /// A hint, if there is no such variable.
    pub fn name(&self, name: &str) -> Result<Variable, String> {
        if let Some(at) = self.captures.iter().position(|c| c == name) {
            return Ok(Variable::Capture(at));
        }
        if let Some((_, fixed, _)) = FIXED.iter().find(|(n, _, kind)| *n == name && self.has(*kind)) {
            return Ok(Variable::Fixed(*fixed));
        }
        if self.notifications {
            return self.varbind(name, false);
        }
        Err(self.suggest(name))
    }

    /// The varbind of a name (`ifDescr`, `ifDescr.3`, `IF-MIB::ifDescr`) or an OID.
    ///
    /// # Errors
    ///
    /// A hint, if no MIB knows the name.
    pub fn varbind(&self, name: &str, raw: bool) -> Result<Variable, String> {
        if let Ok(oid) = name.parse::<Oid>() {
            let definition = self.place(&oid);
            return Ok(Variable::Varbind { targets: vec![Target { oid, definition }], raw });
        }
        let (plain, instance) = name.split_once('.').map_or((name, None), |(n, i)| (n, Some(i)));
        let targets: Option<Vec<Target>> = self
            .mib
            .find(plain)
            .filter(|o| o.kind == Kind::Object)
            .map(|object| {
                let mut oid = object.oid.clone();
                for arc in instance.into_iter().flat_map(|i| i.split('.')) {
                    oid = oid.child(arc.parse().ok()?);
                }
                Some(Target { definition: self.place(&object.oid), oid })
            })
            .collect();
        match targets {
            Some(targets) if !targets.is_empty() => Ok(Variable::Varbind { targets, raw }),
            _ => Err(self.suggest(plain)),
        }
    }

    /// The index of a row by its name.
    ///
    /// # Errors
    ///
    /// A hint, if no MIB knows the name.
    pub fn index(&self, name: &str) -> Result<Variable, String> {
        match self.varbind(name, false)? {
            Variable::Varbind { targets, .. } => {
                let candidates = self.mib.ambiguous(name, |object| object.kind == Kind::Object);
                if !candidates.is_empty() {
                    let all = candidates.join(", ");
                    return Err(format!(
                        "several modules have it: {all}; write the one that is meant with its module"
                    ));
                }
                let target = targets.into_iter().next().ok_or_else(|| self.suggest(name))?;
                Ok(Variable::Index { oid: target.oid, definition: target.definition })
            }
            other => Ok(other),
        }
    }

    fn place(&self, oid: &Oid<'_>) -> Option<usize> {
        self.mib.place(self.mib.lookup(oid)?)
    }

    fn has(&self, kind: For) -> bool {
        kind == For::All || (kind == For::Notifications) == self.notifications
    }

    fn suggest(&self, name: &str) -> String {
        let fixed = FIXED.iter().filter(|(_, _, kind)| self.has(*kind)).map(|(n, _, _)| *n);
        let captures = self.captures.iter().map(String::as_str);
        let objects = self.mib.objects().iter().filter(|o| o.kind == Kind::Object).map(|o| &*o.name);
        let near = fixed.clone().chain(captures).chain(objects.filter(|_| self.notifications));
        did_you_mean(name, near).unwrap_or_else(|| {
            let all: Vec<_> = fixed.collect();
            let rest = if self.notifications {
                ", every object of the loaded MIBs, v[1], v['1.3.6...']"
            } else {
                ", the named groups of the message pattern, sd['id'].name"
            };
            format!("known here: {}{rest}", all.join(", "))
        })
    }
}

impl Variable {
    /// What the variable is for a message.
    pub fn get<'m>(&'m self, subject: &Subject<'m>, captures: &[Option<&'m str>], mib: &'m Mib) -> Val<'m> {
        match self {
            Variable::Fixed(fixed) => match (subject.notification(), subject.syslog()) {
                (Some(notification), _) => fixed.of_notification(notification, subject, mib),
                (_, Some(line)) => fixed.of_line(line, subject),
                (None, None) => Val::Undefined,
            },
            Variable::Capture(at) => Val::optional(captures.get(*at).copied().flatten()),
            Variable::Varbind { targets, raw } => {
                let Some(notification) = subject.notification() else { return Val::Undefined };
                targets
                    .iter()
                    .find_map(|target| {
                        let varbind =
                            notification.varbinds.iter().find(|v| v.oid.starts_with(&target.oid))?;
                        let syntax = target.definition.map(|at| &*mib.objects()[at].syntax);
                        Some(varbind_value(varbind, syntax, (*raw, &notification.varbinds), mib))
                    })
                    .unwrap_or(Val::Undefined)
            }
            Variable::Position { at, raw } => {
                let all = subject.notification().map_or(&[][..], |n| &n.varbinds);
                at.checked_sub(1).and_then(|at| all.get(at)).map_or(Val::Undefined, |varbind| {
                    let syntax = mib.lookup(&varbind.oid).map(|o| &*o.syntax);
                    varbind_value(varbind, syntax, (*raw, all), mib)
                })
            }
            Variable::OfVarbind { at, what } => subject
                .notification()
                .and_then(|n| n.varbinds.get(at.checked_sub(1)?))
                .map_or(Val::Undefined, |varbind| Val::Str(what.of(varbind, mib))),
            Variable::Count => Val::Int(subject.notification().map_or(0, |n| n.varbinds.len() as i128)),
            Variable::Index { oid, definition } => subject
                .notification()
                .and_then(|n| n.varbinds.iter().find_map(|v| index_of(&v.oid, oid, mib)))
                .map_or(Val::Undefined, |(text, number)| {
                    let named = definition.and_then(|at| mib.objects()[at].syntax.name_of(number?));
                    match (named, number) {
                        (Some(name), Some(number)) => Val::Named { number, name },
                        (None, Some(number)) => Val::Int(number.into()),
                        _ => Val::Str(text),
                    }
                }),
            Variable::StructuredData { id, name } => {
                let element = subject.syslog().and_then(|l| l.structured_data.iter().find(|e| e.id == id));
                let value = element.and_then(|e| e.params.iter().find(|(n, _)| n == name));
                value.map_or(Val::Undefined, |(_, v)| Val::Str(Cow::Borrowed(v)))
            }
        }
    }
}

/// The value of a varbind among all of its notification: numbers as numbers, enumerations as named numbers, the rest
/// as text; without what the MIB knows where it is to be raw.
pub fn varbind_value<'m>(
    varbind: &'m Varbind<'m>,
    syntax: Option<&'m Syntax>,
    (raw, all): (bool, &'m [Varbind<'m>]),
    mib: &'m Mib,
) -> Val<'m> {
    match &varbind.value {
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => Val::Undefined,
        // By its shortest decimal form, so that 23.3 does not become 23.299999237060547.
        Value::Float(number) => Val::Float(number.to_string().parse().unwrap_or(f64::from(*number))),
        Value::Double(number) => Val::Float(*number),
        value if raw => match value.as_integer() {
            Some(number) => Val::Int(number),
            None => Val::Str(format::plain(value)),
        },
        Value::TimeTicks(_) => Val::Str(format::text(&varbind.value, syntax, mib)),
        value => match (value.as_integer(), syntax) {
            (Some(number), Some(syntax)) => {
                let small = i64::try_from(number).unwrap_or(i64::MAX);
                match syntax.name_of(small) {
                    Some(name) => Val::Named { number: small, name },
                    None if syntax.hint.is_empty() || &*syntax.hint == "d" => Val::Int(number),
                    None => Val::Str(format::text(value, Some(syntax), mib)),
                }
            }
            (Some(number), None) => Val::Int(number),
            (None, syntax) => Val::Str(format::of_varbind(varbind, syntax, all, mib)),
        },
    }
}

/// The texts of all varbinds, joined by spaces.
fn all_text(notification: &Notification<'_>, mib: &Mib) -> String {
    let texts: Vec<_> = notification
        .varbinds
        .iter()
        .map(|v| format::of_varbind(v, mib.lookup(&v.oid).map(|o| &*o.syntax), &notification.varbinds, mib))
        .collect();
    texts.join(" ")
}

impl Fixed {
    fn of_notification<'m>(self, n: &'m Notification<'m>, subject: &Subject<'m>, mib: &'m Mib) -> Val<'m> {
        let number = |n: Option<i32>| n.map_or(Val::Undefined, |n| Val::Int(n.into()));
        match self {
            Fixed::Host => Val::Str(Cow::Borrowed(subject.host)),
            Fixed::Source => Val::Str(Cow::Borrowed(subject.address)),
            Fixed::SourceHost => subject.source_host(),
            Fixed::Text => Val::Str(all_text(n, mib).into()),
            Fixed::Received => subject.received(),
            Fixed::Agent => match n.agent {
                Some(agent) => Val::Str(agent.to_string().into()),
                None => Val::Str(Cow::Borrowed(subject.address)),
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
            Fixed::Version => Val::Str(Cow::Borrowed(n.version.as_str())),
            Fixed::Generic => number(n.generic),
            Fixed::Specific => number(n.specific),
            _ => Val::Undefined,
        }
    }

    fn of_line<'m>(self, line: &'m crate::message::SyslogLine<'m>, subject: &Subject<'m>) -> Val<'m> {
        let wrapper = line.tcp_wrappers.as_ref();
        let named = |number: Option<u8>, names: &'static [&'static str]| match number {
            Some(number) => Val::Named {
                number: number.into(),
                name: names.get(usize::from(number)).copied().unwrap_or(""),
            },
            None => Val::Undefined,
        };
        match self {
            Fixed::Host => Val::Str(Cow::Borrowed(subject.host)),
            Fixed::Source => Val::Str(Cow::Borrowed(subject.address)),
            Fixed::SourceHost => subject.source_host(),
            Fixed::Text | Fixed::Message => Val::Str(Cow::Borrowed(line.message)),
            Fixed::Received => subject.received(),
            Fixed::Program => Val::optional(line.program),
            Fixed::Pid => Val::optional(line.pid.as_deref()),
            Fixed::MsgId => Val::optional(line.msgid),
            Fixed::Facility => named(line.facility, &FACILITIES),
            Fixed::Severity => named(line.severity, &SEVERITIES),
            Fixed::SyslogHost => Val::optional(line.host),
            Fixed::Action => Val::optional(wrapper.map(|w| w.action.as_str())),
            Fixed::ClientHost => Val::optional(wrapper.and_then(|w| w.client_host)),
            Fixed::ClientAddress => Val::optional(wrapper.and_then(|w| w.client_address)),
            Fixed::ClientUser => Val::optional(wrapper.and_then(|w| w.client_user)),
            Fixed::Daemon => Val::optional(wrapper.and_then(|w| w.daemon)),
            Fixed::Detail => Val::optional(wrapper.and_then(|w| w.detail)),
            _ => Val::Undefined,
        }
    }
}
