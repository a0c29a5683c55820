//! Definitions as people and programs read them.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::{Value, json};

use crate::mib::{Base, Kind, Mib, Object};
use crate::outcome::name::visible;

/// How many names of an enumeration stand in a line.
const NAMES: usize = 12;

/// Colours of a terminal (ECMA-48), or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    name: &'static str,
    oid: &'static str,
    kind: &'static str,
    syntax: &'static str,
    end: &'static str,
}

impl Palette {
    const PLAIN: Palette = Palette { name: "", oid: "", kind: "", syntax: "", end: "" };
    const COLOURED: Palette =
        Palette { name: "\x1b[1m", oid: "\x1b[2m", kind: "\x1b[35m", syntax: "\x1b[36m", end: "\x1b[0m" };

    /// Colours where standard output is a terminal and nobody asks for none (<https://no-color.org>).
    pub(crate) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && std::io::stdout().is_terminal() { Self::COLOURED } else { Self::PLAIN }
    }
}

fn kind(object: &Object) -> &'static str {
    match object.kind {
        Kind::Node => "node",
        Kind::Object => "object",
        Kind::Notification => "notification",
    }
}

/// The type of an object's values, as the SMI writes it (RFC 2578, section 7.1).
fn base(object: &Object) -> &'static str {
    match object.syntax.base {
        Base::Integer if object.syntax.enums.is_empty() => "Integer32",
        Base::Integer => "INTEGER",
        Base::Octets if object.syntax.bits.is_empty() => "OCTET STRING",
        Base::Octets => "BITS",
        Base::ObjectId => "OBJECT IDENTIFIER",
        Base::IpAddress => "IpAddress",
        Base::Counter32 => "Counter32",
        Base::Gauge32 => "Gauge32",
        Base::TimeTicks => "TimeTicks",
        Base::Counter64 => "Counter64",
    }
}

/// The objects that tell the rows of a column's table apart.
fn indexes<'m>(object: &'m Object, mib: &'m Mib) -> Vec<&'m str> {
    let place = |part: &crate::mib::index::Part| part.object.and_then(|at| mib.objects().get(at as usize));
    object.indexes.iter().filter_map(place).map(|index| &*index.name).collect()
}

/// A definition as one JSON object.
pub(crate) fn json(object: &Object, mib: &Mib) -> Value {
    let named = |values: &[(i64, Box<str>)]| -> Value {
        values.iter().map(|(number, name)| (name.to_string(), Value::from(*number))).collect()
    };
    let is_object = object.kind == Kind::Object;
    let about = mib.about(object);
    json!({
        "name": object.name,
        "module": &*object.module,
        "oid": object.oid.to_string(),
        "kind": kind(object),
        "type": is_object.then(|| base(object)),
        "convention": (!object.syntax.convention.is_empty()).then_some(&object.syntax.convention),
        "enums": named(&object.syntax.enums),
        "bits": named(&object.syntax.bits),
        "hint": object.syntax.hint,
        "indexes": indexes(object, mib),
        "objects": mib.objects_of(object).map(Object::qualified).collect::<Vec<_>>(),
        "status": about.map(|about| &about.status),
        "description": about.map(|about| &about.description),
    })
}

/// A definition in one line, indented by its depth below the first one.
pub(crate) fn line(object: &Object, mib: &Mib, depth: usize, palette: Palette) -> String {
    let Palette { name, oid, kind: of_kind, syntax, end } = palette;
    let indent = "  ".repeat(object.oid.arcs().count().saturating_sub(depth));
    let mut line = format!(
        "{indent}{name}{}{end} {oid}{}{end} {of_kind}{}{end}",
        object.qualified(),
        object.oid,
        kind(object)
    );
    if object.kind == Kind::Object {
        let convention = match &*object.syntax.convention {
            "" => String::new(),
            convention => format!("{convention} "),
        };
        let _ = write!(line, " {syntax}{convention}{}{end}", base(object));
    }
    let names = object.syntax.enums.iter().chain(&object.syntax.bits);
    let names: Vec<String> = names.map(|(number, name)| format!("{name}({number})")).collect();
    if !names.is_empty() {
        let more = names.len().saturating_sub(NAMES);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let _ = write!(line, " {{ {}{more} }}", names[..names.len().min(NAMES)].join(", "));
    }
    let objects: Vec<&str> = mib.objects_of(object).map(|o| &*o.name).collect();
    if !objects.is_empty() {
        let _ = write!(line, " with {}", objects.join(", "));
    }
    line
}

/// What else there is to say of a definition, in lines.
pub(crate) fn about(object: &Object, mib: &Mib, palette: Palette) -> String {
    let Palette { oid, end, .. } = palette;
    let mut text = String::new();
    let indexes = indexes(object, mib);
    if !indexes.is_empty() {
        let _ = writeln!(text, "  {oid}rows by{end} {}", indexes.join(", "));
    }
    let all = object.syntax.enums.iter().chain(&object.syntax.bits).skip(NAMES);
    let all: Vec<String> = all.map(|(number, name)| format!("{name}({number})")).collect();
    if !all.is_empty() {
        let _ = writeln!(text, "  {oid}further{end} {}", all.join(", "));
    }
    if !object.syntax.hint.is_empty() {
        let _ = writeln!(text, "  {oid}written by{end} {}", visible(&object.syntax.hint));
    }
    if let Some(about) = mib.about(object) {
        let _ = writeln!(text, "  {oid}status{end} {}", about.status);
        for line in about.description.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let _ = writeln!(text, "  {}", visible(&line.replace('\t', " ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_for_people_and_programs() {
        let mib = crate::mib::load::shipped_once();
        let mut text = String::new();
        for name in ["IF-MIB::ifEntry", "ifDescr", "ifOperStatus", "linkDown"] {
            let object = mib.find(name).next().unwrap();
            let _ = writeln!(text, "{}", line(object, &mib, 8, Palette::PLAIN));
            text.push_str(&about(object, &mib, Palette::PLAIN));
        }
        let object = mib.find("ifOperStatus").next().unwrap();
        let _ = writeln!(text, "{}", line(object, &mib, 10, Palette::COLOURED).replace('\x1b', "ESC"));
        let _ = writeln!(text, "{}", json(object, &mib));
        insta::assert_snapshot!(text);
    }
}
