//! The names that a rule may use.

use crate::body::{Form, Step};
use crate::language::names::{Doubt, Key, Names, Path, Resolved};
use crate::message::PostKind;
use crate::mib::{Base, Kind, Mib};
use crate::oid::Oid;
use crate::rules::asks::{self, Asked};
use crate::rules::lookups::{self, Offered};
use crate::rules::matching::Matcher;
use crate::rules::variable::{FIXED, For, OF_VARBINDS, Target, Variable};
use crate::settings::diagnostic::did_you_mean;

/// The messages that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// Traps and informs.
    Notifications,
    /// Lines of syslog.
    Lines,
    /// Check-ins.
    CheckIns,
    /// Events in JSON.
    Events,
}

impl Messages {
    /// Those of a matcher.
    pub fn of(matcher: &Matcher) -> Self {
        match matcher {
            Matcher::Trap(_) => Messages::Notifications,
            Matcher::Syslog(_) => Messages::Lines,
            Matcher::Posted(pattern) => match pattern.kind {
                PostKind::CheckIn => Messages::CheckIns,
                PostKind::Json => Messages::Events,
            },
        }
    }
}

/// The names of one rule.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'c> {
    /// The names of varbinds.
    pub mib: &'c Mib,
    /// The messages that the rule is for.
    pub kind: Messages,
    /// The names of the groups of the message pattern, by index.
    pub captures: &'c [String],
    /// The names of values with commas between them, each with its position from 1.
    pub columns: &'c [(usize, String)],
    /// The OIDs of the notifications that the rule is for: a name that several modules define means their object.
    pub traps: &'c [Oid<'static>],
    /// What can be asked about the state of rules.
    pub asked: Option<&'c Asked>,
    /// The tables that can be looked into.
    pub lookups: Option<&'c Offered<'c>>,
}

impl Names for Scope<'_> {
    type Var = Variable;

    fn resolve(&self, path: &Path<'_>) -> Resolved<Variable> {
        let keys = path.keys.as_slice();
        if let Some(kind) = self.body(path.base) {
            return self.of_body(kind, keys);
        }
        if self.is_table(path.base) {
            return match (path.base, keys) {
                (_, []) => Resolved::Table,
                ("sd", [Key::Name(id), Key::Name(name)]) => Resolved::Variable(Variable::StructuredData {
                    id: id.to_string(),
                    name: name.to_string(),
                }),
                ("sd", [Key::Name(_)]) => Resolved::Table,
                ("sd", _) => Resolved::Unknown("write sd['id'].name".to_owned()),
                (table, [key]) => match self.entry(table, key) {
                    Some(variable) => Resolved::Variable(variable),
                    None => Resolved::Unknown(self.entry_hint(table, key)),
                },
                (table, [key, ..]) => match self.entry(table, key) {
                    Some(_) => Resolved::Part,
                    None => Resolved::Unknown(self.entry_hint(table, key)),
                },
            };
        }
        let Some(variable) = self.name(path.base) else { return Resolved::Unknown(self.suggest(path.base)) };
        match keys {
            [] => Resolved::Variable(variable),
            [Key::Index(_), ..] => Resolved::Part,
            [Key::Name(_), ..] => Resolved::Unknown(format!("'{}' is a value and has no entries", path.base)),
            [Key::Dotted(instance), ..] => {
                Resolved::Unknown(format!("write v['{}.{instance}'] for this instance", path.base))
            }
        }
    }

    fn length(&self, table: &str) -> Option<Variable> {
        (self.kind == Messages::Notifications && table == "v").then_some(Variable::Count)
    }

    fn function(
        &self,
        name: &str,
        first: Option<&str>,
        args: usize,
        keys: &[Key<'_>],
    ) -> Option<Result<Variable, Doubt>> {
        if name == lookups::FUNCTION {
            return Some(self.lookups?.look(first, args, keys).map(Variable::Lookup));
        }
        let question = self.asked?.question(name, first, args)?;
        Some(question.and_then(|question| match keys {
            [] => Ok(Variable::State(question)),
            _ => Err(Doubt {
                message: format!("what '{name}' gives has no entries"),
                hint: "remove what stands behind the call".to_owned(),
            }),
        }))
    }

    fn functions(&self) -> &'static [&'static str] {
        if self.asked.is_some() { &asks::FUNCTIONS } else { &[] }
    }

    fn engine_functions(&self) -> &'static [&'static str] {
        if self.lookups.is_some() { &[lookups::FUNCTION] } else { &[] }
    }

    fn is_text(&self, variable: &Variable) -> bool {
        match variable {
            Variable::Fixed(fixed) => !fixed.can_be_number(),
            Variable::Capture(_) | Variable::OfVarbind { .. } | Variable::StructuredData { .. } => true,
            Variable::Body { kind, .. } => *kind != Form::Json,
            Variable::Varbind { targets, raw } => {
                targets.iter().all(|target| self.has_text(target.definition, *raw))
            }
            Variable::Index { definition, .. } => self.has_text(*definition, false),
            Variable::Position { .. } | Variable::Count | Variable::State(_) | Variable::Lookup(_) => false,
        }
    }

    fn number_of(&self, variable: &Variable, name: &str) -> String {
        let Variable::Varbind { targets, raw: false } = variable else { return format!("{name}|number") };
        let is_time = |target: &Target| {
            let object = target.definition.and_then(|at| self.mib.objects().get(at));
            object.is_some_and(|object| object.syntax.base == Base::TimeTicks)
        };
        if !targets.iter().all(is_time) {
            return format!("{name}|number");
        }
        let plain = name.strip_prefix("v.").unwrap_or(name);
        let key = plain.strip_prefix("v[").and_then(|key| key.strip_suffix(']'));
        match key {
            Some(key) => format!("raw[{key}], which is in hundredths of a second"),
            None => format!("raw.{plain}, which is in hundredths of a second"),
        }
    }

    fn enumeration(&self, variable: &Variable) -> Option<Vec<String>> {
        let Variable::Varbind { targets, raw: false } = variable else { return None };
        let mut names = Vec::new();
        for target in targets {
            let enums = &self.mib.objects().get(target.definition?)?.syntax.enums;
            if enums.is_empty() {
                return None;
            }
            names.extend(enums.iter().map(|(_, name)| name.to_string()));
        }
        Some(names)
    }

    fn is_tree(&self, variable: &Variable) -> bool {
        matches!(variable, Variable::Body { kind: Form::Json, .. })
    }

    fn doubt(&self, variable: &Variable) -> Option<Doubt> {
        let Variable::Varbind { targets, .. } = variable else { return None };
        let first = targets.first()?;
        if targets.iter().all(|target| target.oid == first.oid) {
            return None;
        }
        let names: Vec<String> = targets.iter().map(|target| self.mib.name_of(&target.oid)).collect();
        Some(Doubt {
            message: format!(
                "several modules define this name; the first varbind of any of them is used: {}",
                names.join(", ")
            ),
            hint: "write v['MODULE::name'] for the one that you mean".to_owned(),
        })
    }
}

impl Scope<'_> {
    /// The form of a message that a name stands for here. A group of the pattern may have the name of a form.
    fn body(&self, name: &str) -> Option<Form> {
        let is_group = self.captures.iter().any(|group| group == name);
        let form = (!is_group).then(|| Form::from_word(name)).flatten()?;
        let has = match self.kind {
            Messages::Notifications => false,
            Messages::Lines => true,
            Messages::CheckIns | Messages::Events => form == Form::Json,
        };
        has.then_some(form)
    }

    /// Whether the values of an object are text. Octets may as well be an Opaque number, where the module does not say how
    /// they are written.
    fn has_text(&self, definition: Option<usize>, raw: bool) -> bool {
        let Some(object) = definition.and_then(|at| self.mib.objects().get(at)) else { return false };
        let syntax = &object.syntax;
        match syntax.base {
            Base::ObjectId | Base::IpAddress => true,
            Base::TimeTicks => !raw,
            Base::Octets => {
                !syntax.hint.is_empty() || !syntax.bits.is_empty() || &*syntax.convention == "InetAddress"
            }
            Base::Integer | Base::Counter32 | Base::Gauge32 | Base::Counter64 => false,
        }
    }

    /// A field of a message that has a form.
    fn of_body(&self, kind: Form, keys: &[Key<'_>]) -> Resolved<Variable> {
        let field = |steps| Resolved::Variable(Variable::Body { kind, steps });
        match (kind, keys) {
            (_, []) => Resolved::Table,
            (Form::Json, keys) => match keys.iter().map(step).collect::<Option<Vec<Step>>>() {
                Some(steps) => field(steps),
                None => Resolved::Unknown("items of a list count from 0".to_owned()),
            },
            (Form::Csv, [Key::Name(name), ..]) => {
                let names = self.columns.iter().map(|(_, name)| name.as_str());
                match self.columns.iter().find(|(_, other)| other == name) {
                    Some((at, _)) if keys.len() == 1 => field(vec![Step::At(at - 1)]),
                    Some(_) => Resolved::Part,
                    None => Resolved::Unknown(did_you_mean(name, names).unwrap_or_else(|| {
                        "name it in syslog.columns, as in columns = { 4 = \"type\" }, or write csv[4]"
                            .to_owned()
                    })),
                }
            }
            (Form::Csv, [Key::Index(at) | Key::Dotted(at), ..]) => match usize::try_from(*at) {
                Ok(at @ 1..) if keys.len() == 1 => field(vec![Step::At(at - 1)]),
                Ok(1..) => Resolved::Part,
                _ => Resolved::Unknown("values count from 1: write csv[4] for the fourth".to_owned()),
            },
            (_, [Key::Name(name)]) => field(vec![Step::Key(Box::from(&**name))]),
            (_, [Key::Name(_), Key::Index(_), ..]) => Resolved::Part,
            (kind, [Key::Name(name), Key::Name(rest), ..]) => {
                let hint = format!("a key with a point in it is written {}['{name}.{rest}']", kind.as_str());
                Resolved::Unknown(hint)
            }
            (kind, _) => Resolved::Unknown(format!("write {0}.key or {0}['key']", kind.as_str())),
        }
    }

    /// Whether a name is a table of variables here.
    pub fn is_table(&self, name: &str) -> bool {
        let of_notifications =
            matches!(name, "v" | "raw" | "index") || OF_VARBINDS.iter().any(|(table, _)| *table == name);
        match self.kind {
            Messages::Notifications => of_notifications,
            Messages::Lines => name == "sd",
            Messages::CheckIns | Messages::Events => false,
        }
    }

    /// The variable that a plain name stands for.
    fn name(&self, name: &str) -> Option<Variable> {
        if let Some(at) = self.captures.iter().position(|c| c == name) {
            return Some(Variable::Capture(at));
        }
        if let Some((_, fixed, _)) = FIXED.iter().find(|(n, _, kind)| *n == name && self.has(*kind)) {
            return Some(Variable::Fixed(*fixed));
        }
        (self.kind == Messages::Notifications).then(|| self.varbind(name, false)).flatten()
    }

    /// The entry of a table: `v[1]`, `raw['ifDescr.3']`, `names[1]`, `index.ifIndex`.
    pub fn entry(&self, table: &str, key: &Key<'_>) -> Option<Variable> {
        let at = match key {
            Key::Name(_) => None,
            Key::Index(at) | Key::Dotted(at) => usize::try_from(*at).ok().filter(|at| *at > 0),
        };
        match (table, key) {
            ("v" | "raw", Key::Name(name)) => self.varbind(name, table == "raw"),
            ("v" | "raw", _) => at.map(|at| Variable::Position { at, raw: table == "raw" }),
            ("index", Key::Name(name)) => self.index(name),
            ("index", _) => None,
            _ => {
                let (_, what) = OF_VARBINDS.iter().find(|(name, _)| *name == table)?;
                at.map(|at| Variable::OfVarbind { at, what: *what })
            }
        }
    }

    /// What to write in place of a key that a table does not have.
    fn entry_hint(&self, table: &str, key: &Key<'_>) -> String {
        match (table, key) {
            ("index", Key::Name(name)) => {
                let candidates = self.mib.objects_for(name, self.traps);
                if candidates.len() < 2 {
                    return self.suggest(name);
                }
                let candidates: Vec<String> = candidates
                    .iter()
                    .map(|object| format!("{} ({})", object.qualified(), object.oid))
                    .collect();
                format!("several modules define it: {}; write index['MODULE::name']", candidates.join(", "))
            }
            ("index", _) => "write the name of the index, such as index.ifIndex".to_owned(),
            ("v" | "raw", Key::Name(name)) => {
                self.suggest(name.split_once('.').map_or(name, |(name, _)| name))
            }
            _ => "positions count from 1, without sysUpTime and snmpTrapOID".to_owned(),
        }
    }

    /// The varbind of a name (`ifDescr`, `ifDescr.3`, `IF-MIB::ifDescr`, `IF-MIB::ifDescr.3`) or an OID.
    fn varbind(&self, name: &str, raw: bool) -> Option<Variable> {
        if let Ok(oid) = name.parse::<Oid>() {
            let definition = self.definition(&oid);
            return Some(Variable::Varbind { targets: vec![Target { oid, definition }], raw });
        }
        let (plain, instance) = name.split_once('.').map_or((name, None), |(n, i)| (n, Some(i)));
        let targets: Vec<Target> = self
            .mib
            .objects_for(plain, self.traps)
            .into_iter()
            .map(|object| {
                let mut oid = object.oid.clone();
                for arc in instance.into_iter().flat_map(|i| i.split('.')) {
                    oid = oid.child(arc.parse().ok()?);
                }
                Some(Target { definition: self.definition(&object.oid), oid })
            })
            .collect::<Option<_>>()?;
        (!targets.is_empty()).then_some(Variable::Varbind { targets, raw })
    }

    /// The index of a row, if only one object has this name.
    fn index(&self, name: &str) -> Option<Variable> {
        let Some(Variable::Varbind { targets, .. }) = self.varbind(name, false) else { return None };
        let target = targets.first()?;
        targets
            .iter()
            .all(|other| other.oid == target.oid)
            .then(|| Variable::Index { oid: target.oid.clone(), definition: target.definition })
    }

    /// The place of the definition of an object or an instance of one.
    fn definition(&self, oid: &Oid<'_>) -> Option<usize> {
        let object = self.mib.lookup(oid).filter(|object| object.kind == Kind::Object)?;
        self.mib.place(object)
    }

    fn has(&self, kind: For) -> bool {
        match kind {
            For::All => true,
            For::Notifications => self.kind == Messages::Notifications,
            For::Lines => self.kind == Messages::Lines,
            For::CheckIns => self.kind == Messages::CheckIns,
        }
    }

    /// A hint for a name that is unknown here.
    fn suggest(&self, name: &str) -> String {
        let fixed = FIXED.iter().filter(|(_, _, kind)| self.has(*kind)).map(|(n, _, _)| *n);
        let captures = self.captures.iter().map(String::as_str);
        let objects = self.mib.objects().iter().filter(|o| o.kind == Kind::Object).map(|o| &*o.name);
        let near =
            fixed.clone().chain(captures).chain(objects.filter(|_| self.kind == Messages::Notifications));
        did_you_mean(name, near).unwrap_or_else(|| {
            let all: Vec<_> = fixed.collect();
            let rest = match self.kind {
                Messages::Notifications => ", every object of the loaded MIBs, v[1], v['1.3.6...']",
                Messages::CheckIns | Messages::Events => ", and every field, such as json.name",
                Messages::Lines => ", the named groups of the message pattern, sd['id'].name, and of the message as json, kv, cef, leef or csv \
                 its fields, such as kv.user"
            };
            format!("known variables: {}{rest}", all.join(", "))
        })
    }
}

/// A step to an item of JSON; none for a position before the first.
fn step(key: &Key<'_>) -> Option<Step> {
    Some(match key {
        Key::Name(name) => Step::Key(Box::from(&**name)),
        Key::Index(at) | Key::Dotted(at) => Step::At(usize::try_from(*at).ok()?),
    })
}
