//! Modules from folders, files and the shipped ones, read by mib-rs and boiled down to a [`Mib`].

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use mib_rs::mib::UnresolvedKind;
use mib_rs::source::Source;
use mib_rs::types::IndexEncoding;
use mib_rs::types::{DiagnosticConfig, ResolverStrictness, Severity as MibSeverity};
use mib_rs::{BaseType, Loader, source};

use crate::mib::index::{About, Base, Coding, Kind, Links, Mib, Object, Part, Syntax};
use crate::mib::load::compiled;
use crate::mib::load::files::{ModuleFiles, Texts, module_files};
use crate::mib::load::loaded::Loaded;
use crate::mib::load::shipped;
use crate::oid::Oid;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Loads the modules of these files and folders (with their sub-folders); the shipped modules stand behind them
/// for what they lack.
pub fn load(paths: &[PathBuf]) -> Loaded {
    load_files(module_files(paths), &Arc::default())
}

/// The same for files that are known; `read` counts the modules that were read.
pub(crate) fn load_files(mut files: ModuleFiles, read: &Arc<AtomicUsize>) -> Loaded {
    let named = files.files.iter().filter(|file| file.named);
    let named: Vec<String> = named.map(|file| file.path.display().to_string()).collect();
    let names = compiled::take(&mut files);
    let texts = Texts::read(&mut files, read);
    let mut found = files.found;
    let mut sources: Vec<Box<dyn Source>> = vec![Box::new(texts)];
    sources.push(source::memory_modules(shipped::MODULES.iter().map(|(name, text)| (*name, *text))));
    // Permissive: vendors' modules lean on each other in ways that the SMI does not allow.
    let loader = Loader::new()
        .sources(sources)
        .resolver_strictness(ResolverStrictness::Permissive)
        .diagnostic_config(DiagnosticConfig { fail_at: MibSeverity::Fatal, ..DiagnosticConfig::default() });
    match loader.load() {
        Ok(library) => {
            report(&library.diagnostic_report(), &named, &mut found);
            missing_imports(&library, &mut found);
            Loaded { mib: boil_down(&library, &names), found }
        }
        Err(error) => {
            if let mib_rs::LoadError::DiagnosticThreshold { report: all } = &error {
                report(all, &named, &mut found);
            }
            found.file_error("mibs", format!("no MIB module could be loaded: {error}"), "");
            Loaded { mib: Mib::default(), found }
        }
    }
}

/// Turns what mib-rs says of broken modules into diagnostics; matters of style are left out.
fn report(report: &mib_rs::types::DiagnosticReport, named: &[String], found: &mut Diagnostics) {
    for entry in report.iter() {
        let diagnostic = entry.diagnostic();
        let unreadable = matches!(diagnostic.code.phase(), "lexer" | "parser");
        if !unreadable || !diagnostic.severity.at_least(MibSeverity::Error) {
            continue;
        }
        let file = match entry.range() {
            Ok(Some((document, _))) => document.label().to_owned(),
            _ => diagnostic.module.clone().unwrap_or_else(|| "mibs".to_owned()),
        };
        let place = entry
            .byte_positions()
            .ok()
            .flatten()
            .map(|(start, _)| (start.line() as usize + 1, start.column() as usize + 1));
        let severity = if named.contains(&file) { Severity::Error } else { Severity::Warning };
        found.push(Diagnostic { severity, file, place, message: diagnostic.message.clone(), hint: None });
    }
}

/// What stands before and behind the names of modules that are missing.
const IMPORTS: &str = " imports ";
const NOWHERE: &str = ", which no folder has;";

/// The modules that are missing where a warning is about imports; none of any other.
pub fn missing_in(warning: &Diagnostic) -> impl Iterator<Item = &str> {
    let names = warning.message.split_once(NOWHERE).and_then(|(before, _)| before.split_once(IMPORTS));
    names.into_iter().flat_map(|(_, names)| names.split(", "))
}

/// Warns of modules that import from modules which are in none of the folders, with what is lost by that.
fn missing_imports(library: &mib_rs::Mib, found: &mut Diagnostics) {
    let known: BTreeSet<&str> = library.modules().map(mib_rs::Module::name).collect();
    // Definitions without a place in the tree, by module: objects stay without a node, of the others only the references
    // are known.
    let mut objects: HashMap<&str, usize> = HashMap::new();
    for object in library.objects().filter(|object| object.node().is_none()) {
        *objects.entry(object.module().map_or("", mib_rs::Module::name)).or_default() += 1;
    }
    let mut references: HashMap<&str, usize> = HashMap::new();
    for reference in library.unresolved().iter().filter(|reference| reference.kind == UnresolvedKind::Oid) {
        *references.entry(&reference.module).or_default() += 1;
    }
    for module in library.modules() {
        let missing: BTreeSet<&str> = module
            .imports()
            .iter()
            .map(|import| import.module.as_str())
            .filter(|name| !known.contains(name))
            .collect();
        let count = |counts: &HashMap<&str, usize>| counts.get(module.name()).copied().unwrap_or(0);
        let lost = count(&objects).max(count(&references));
        if missing.is_empty() || lost == 0 {
            continue;
        }
        let names: Vec<&str> = missing.into_iter().collect();
        found.push(Diagnostic {
            severity: Severity::Warning,
            file: module.source_label().unwrap_or(module.name()).to_owned(),
            place: None,
            message: format!(
                "{}{IMPORTS}{}{NOWHERE} {lost} of its definitions are not known",
                module.name(),
                names.join(", ")
            ),
            hint: Some("add the modules to a folder of mibs.paths".to_owned()),
        });
    }
}

fn base(base: Option<BaseType>) -> Base {
    match base {
        Some(BaseType::Integer32) => Base::Integer,
        Some(BaseType::ObjectIdentifier) => Base::ObjectId,
        Some(BaseType::IpAddress) => Base::IpAddress,
        Some(BaseType::Counter32) => Base::Counter32,
        Some(BaseType::Gauge32 | BaseType::Unsigned32) => Base::Gauge32,
        Some(BaseType::TimeTicks) => Base::TimeTicks,
        Some(BaseType::Counter64) => Base::Counter64,
        _ => Base::Octets,
    }
}

/// Definitions on their way into a [`Mib`].
#[derive(Default)]
struct Building<'l> {
    modules: HashMap<&'l str, Arc<str>>,
    syntaxes: HashMap<Syntax, Arc<Syntax>>,
    no_syntax: Arc<Syntax>,
    no_indexes: Option<Arc<[Part]>>,
    links: Links,
}

impl<'l> Building<'l> {
    fn object(&mut self, name: &str, module: &str, oid: Oid<'static>) -> Object {
        Object {
            name: name.into(),
            module: self.modules.get(module).cloned().unwrap_or_else(|| module.into()),
            oid,
            kind: Kind::Node,
            syntax: Arc::clone(&self.no_syntax),
            objects: Box::default(),
            indexes: Arc::clone(self.no_indexes.get_or_insert_with(|| Arc::from([]))),
        }
    }

    fn notification(&mut self, object: &mut Object, notification: mib_rs::Notification<'l>) {
        object.kind = Kind::Notification;
        let names = notification.objects().filter_map(qualified).collect();
        self.links.objects.insert(object.qualified(), names);
        let about = About {
            status: notification.status().to_string().into(),
            description: notification.description().into(),
        };
        self.links.about.insert(object.qualified(), about);
    }

    fn value(&mut self, object: &mut Object, definition: mib_rs::Object<'l>) {
        object.kind = Kind::Object;
        let syntax = syntax(definition);
        object.syntax = self.syntaxes.entry(syntax.clone()).or_insert_with(|| Arc::new(syntax)).clone();
        if definition.is_column() {
            let indexes = definition.effective_indexes();
            let parts = indexes.map(|index| (index.object().and_then(qualified), coding(index)));
            self.links.indexes.insert(object.qualified(), parts.collect());
        }
    }

    /// What several modules define has a node of one module only: the further names, by module.
    fn further_names(&mut self, library: &'l mib_rs::Mib) -> Vec<Object> {
        let mut objects = Vec::new();
        let is_further = |name: &str, module: &str, node: &mib_rs::Node<'_>| {
            node.name() != name || node.module().is_some_and(|of_node| of_node.name() != module)
        };
        for notification in library.notifications() {
            let (Some(node), Some(module)) = (notification.node(), notification.module()) else { continue };
            let Some(oid) = Oid::from_arcs(node.oid()) else { continue };
            if is_further(notification.name(), module.name(), &node) {
                let mut object = self.object(notification.name(), module.name(), oid);
                self.notification(&mut object, notification);
                objects.push(object);
            }
        }
        for definition in library.objects().filter(|o| o.is_scalar() || o.is_column()) {
            let (Some(node), Some(module)) = (definition.node(), definition.module()) else { continue };
            let Some(oid) = Oid::from_arcs(node.oid()) else { continue };
            if is_further(definition.name(), module.name(), &node) {
                let mut object = self.object(definition.name(), module.name(), oid);
                self.value(&mut object, definition);
                objects.push(object);
            }
        }
        objects.sort_by(|a, b| a.module.cmp(&b.module).then_with(|| a.name.cmp(&b.name)));
        objects
    }
}

fn boil_down(library: &mib_rs::Mib, names: &[Mib]) -> Mib {
    let modules = library.modules().map(|module| (module.name(), Arc::from(module.name()))).collect();
    let mut building = Building { modules, ..Building::default() };
    // Behind the further names of an OID comes the one that it is known by. Texts are newer than what was compiled of them.
    let mut objects = Vec::new();
    let texts: BTreeSet<&str> = library.modules().map(mib_rs::Module::name).collect();
    let mut more: BTreeSet<Arc<str>> = BTreeSet::new();
    for mib in names {
        let is_wanted = |module: &str| !texts.contains(module) && !more.contains(module);
        objects.extend(compiled::parts(mib, is_wanted, &mut building.links));
        let of_mib = mib.modules().iter().filter(|module| !texts.contains(&***module)).cloned();
        more.extend(of_mib);
    }
    objects.extend(building.further_names(library));
    for node in library.nodes() {
        let (Some(oid), Some(module)) = (Oid::from_arcs(node.oid()), node.module()) else { continue };
        if node.name().is_empty() {
            continue;
        }
        let mut object = building.object(node.name(), module.name(), oid);
        if let Some(notification) = node.notification() {
            building.notification(&mut object, notification);
        } else if let Some(definition) = node.object().filter(|o| o.is_scalar() || o.is_column()) {
            building.value(&mut object, definition);
        }
        objects.push(object);
    }
    Mib::new(objects, &building.links, building.modules.into_values().chain(more).collect())
}

fn qualified(object: mib_rs::Object<'_>) -> Option<String> {
    Some(format!("{}::{}", object.module()?.name(), object.name()))
}

fn syntax(definition: mib_rs::Object<'_>) -> Syntax {
    let named = |values: &[mib_rs::mib::NamedValue]| {
        values.iter().map(|v| (v.value, v.label.as_str().into())).collect()
    };
    let convention = definition.ty().and_then(mib_rs::Type::effective_tc);
    Syntax {
        base: base(definition.ty().map(mib_rs::Type::effective_base)),
        enums: named(definition.effective_enums()),
        bits: named(definition.effective_bits()),
        hint: definition.effective_display_hint().into(),
        convention: convention.map(|tc| tc.name().into()).unwrap_or_default(),
    }
}

fn coding(index: mib_rs::mib::Index<'_>) -> Coding {
    let fixed = || u16::try_from(index.fixed_size().0).ok().filter(|size| *size > 0);
    match (index.encoding(), index.implied()) {
        (IndexEncoding::IpAddress, _) => Coding::Address,
        (IndexEncoding::FixedString, _) => fixed().map_or(Coding::Counted, Coding::Fixed),
        (IndexEncoding::LengthPrefixed | IndexEncoding::Implied, implied) => {
            let oid = index.object().and_then(mib_rs::Object::ty).map(mib_rs::Type::effective_base)
                == Some(BaseType::ObjectIdentifier);
            let implied = implied || index.encoding() == IndexEncoding::Implied;
            match (oid, implied) {
                (false, false) => Coding::Counted,
                (false, true) => Coding::Rest,
                (true, false) => Coding::CountedOid,
                (true, true) => Coding::RestOid,
            }
        }
        _ => Coding::Integer,
    }
}

/// The folders of MIB modules that this system has: where `trapline mib add` puts them, and net-snmp and its like do.
pub fn system_mibs() -> Vec<PathBuf> {
    let folders = [
        "/etc/trapline/mibs",
        "/usr/share/snmp/mibs",
        "/usr/share/mibs",
        "/usr/local/share/snmp/mibs",
        "/var/lib/mibs",
    ];
    // One may be a link to another.
    let there: BTreeSet<PathBuf> =
        folders.iter().filter_map(|folder| std::fs::canonicalize(folder).ok()).collect();
    there.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_modules_are_sound_and_all_listed() {
        let loaded = load(&[]);
        assert_eq!(loaded.found.to_text(), "");
        for (name, _) in shipped::MODULES {
            assert!(loaded.mib.modules().iter().any(|m| **m == **name), "{name}");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/mibs")).unwrap().count();
        assert_eq!(files, shipped::MODULES.len());
    }

    #[test]
    fn every_name_of_an_oid_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let one = "ONE-MIB DEFINITIONS ::= BEGIN\nIMPORTS OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI;\n\
            one OBJECT IDENTIFIER ::= { enterprises 99991 }\n\
            speed OBJECT-TYPE SYNTAX INTEGER { slow(1), fast(2) } MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= { one 2 }\n\
            slow NOTIFICATION-TYPE OBJECTS { speed } STATUS current DESCRIPTION \"x\" ::= { one 4 }\nEND\n";
        std::fs::write(folder.path().join("one.txt"), one).unwrap();
        let two = one.replace("ONE-MIB", "TWO-MIB").replace("one ", "two ").replace("slow NOT", "lame NOT");
        std::fs::write(folder.path().join("two.txt"), two).unwrap();
        let mib = load(&[folder.path().to_owned()]).mib;
        let oid: Oid = "1.3.6.1.4.1.99991.4".parse().unwrap();
        for name in ["ONE-MIB::slow", "TWO-MIB::lame", "slow", "lame"] {
            assert_eq!(mib.resolve(name).as_ref(), Some(&oid), "{name}");
            let notification = mib.find(name).next().unwrap();
            assert_eq!(notification.kind, Kind::Notification);
            let carried: Vec<_> = mib.objects_of(notification).collect();
            assert_eq!(carried.len(), 1, "{name}");
            assert_eq!(carried[0].module, notification.module, "{name}");
            assert!(mib.place(notification).is_some());
        }
        let known = mib.lookup(&oid).unwrap();
        assert!(mib.all_of(&oid).last().is_some_and(|last| std::ptr::eq(last, known)));
    }

    #[test]
    fn a_missing_import_is_said_with_what_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let one = "ONE-MIB DEFINITIONS ::= BEGIN\nIMPORTS OBJECT-TYPE, NOTIFICATION-TYPE, Integer32 FROM SNMPv2-SMI\n root FROM ROOT-MIB;\n\
            speed OBJECT-TYPE SYNTAX Integer32 MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= { root 2 }\n\
            slow NOTIFICATION-TYPE OBJECTS { speed } STATUS current DESCRIPTION \"x\" ::= { root 4 }\nEND\n";
        let path = folder.path().join("one.txt");
        std::fs::write(&path, one).unwrap();
        let said = load(&[folder.path().to_owned()]).found.to_text();
        assert!(
            said.contains(
                "ONE-MIB imports ROOT-MIB, which no folder has; 2 of its definitions are not known"
            ),
            "{said}"
        );
        let root = "ROOT-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\nroot OBJECT IDENTIFIER ::= { enterprises 99991 }\nEND\n";
        std::fs::write(folder.path().join("root.txt"), root).unwrap();
        assert_eq!(load(&[folder.path().to_owned()]).found.to_text(), "");
    }

    #[test]
    fn names_both_ways() {
        let mib = load(&[]).mib;
        for (oid, name) in [
            ("1.3.6.1.6.3.1.1.5.3", "IF-MIB::linkDown"),
            ("1.3.6.1.2.1.2.2.1.2.3", "IF-MIB::ifDescr.3"),
            ("1.3.6.1.4.1.791.2.0.9", "ARCserve-Alarm-MIB::arcServetrap9"),
            ("1.3.6.1.2.1.33.2.1", "UPS-MIB::upsTrapOnBattery"),
            ("1.3.6.1.4.1.8072.4.0.2", "NET-SNMP-AGENT-MIB::nsNotifyShutdown"),
            ("1.3.6.1.2.1.14.16.2.2", "OSPF-TRAP-MIB::ospfNbrStateChange"),
            ("1.3.6.1.2.1.15.0.1", "BGP4-MIB::bgpEstablishedNotification"),
        ] {
            let parsed: Oid = oid.parse().unwrap();
            assert_eq!(mib.name_of(&parsed), name);
            assert_eq!(mib.resolve(name), Some(parsed));
        }
        let link_down = mib.find("linkDown").next().unwrap();
        let objects: Vec<_> = mib.objects_of(link_down).map(|o| &*o.name).collect();
        assert_eq!(objects, ["ifIndex", "ifAdminStatus", "ifOperStatus"]);
        let status = mib.find("IF-MIB::ifOperStatus").next().unwrap();
        assert_eq!(status.syntax.name_of(7), Some("lowerLayerDown"));
    }

    #[test]
    fn broken_modules() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("BROKEN-MIB.txt");
        std::fs::write(&path, "BROKEN-MIB DEFINITIONS ::= BEGIN\nfoo OBJECT IDENTIFIER ::= { bar \nEND\n")
            .unwrap();
        let in_folder = load(&[folder.path().to_owned()]);
        assert!(!in_folder.found.has_errors());
        assert!(in_folder.mib.find("IF-MIB::linkDown").next().is_some());
        let named = load(std::slice::from_ref(&path));
        assert!(named.found.has_errors(), "{}", named.found.to_text());
        assert!(named.found.to_text().contains("BROKEN-MIB.txt:"), "{}", named.found.to_text());
        let missing = load(&["/nonexistent".into()]);
        assert!(missing.found.to_text().contains("/nonexistent"), "{}", missing.found.to_text());
    }
}
