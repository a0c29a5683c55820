//! Modules from folders, files and the shipped ones, read by mib-rs and boiled down to a [`Mib`].

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mib_rs::source::{Source, SourceCandidate};
use mib_rs::types::IndexEncoding;
use mib_rs::types::{DiagnosticConfig, ResolverStrictness, Severity as MibSeverity};
use mib_rs::{BaseType, Loader, source};

use crate::mib::index::{About, Base, Coding, Kind, Links, Mib, Object, Syntax};
use crate::mib::load::shipped;
use crate::oid::Oid;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};

/// What loading gave.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The index.
    pub mib: Mib,
    /// What was found wrong. A broken module in a folder is a warning, as it stops no other; one that was named
    /// as a file is an error.
    pub found: Diagnostics,
}

/// Loads the modules of these files and folders (with their sub-folders); the shipped modules stand behind them
/// for what they lack.
pub fn load(paths: &[PathBuf]) -> Loaded {
    load_counting(paths, &Arc::default())
}

/// A source that counts what is read of it.
struct Counting {
    of: Box<dyn Source>,
    read: Arc<AtomicUsize>,
}

impl Source for Counting {
    fn find(&self, name: &str) -> std::io::Result<Option<SourceCandidate>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.of.find(name)
    }

    fn find_candidates<'a>(
        &'a self,
        name: &'a str,
    ) -> Box<dyn Iterator<Item = std::io::Result<SourceCandidate>> + 'a> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.of.find_candidates(name)
    }

    fn list_modules(&self) -> std::io::Result<Vec<String>> {
        self.of.list_modules()
    }
}

/// The same as [`load`]; `read` counts the modules that were read.
pub(crate) fn load_counting(paths: &[PathBuf], read: &Arc<AtomicUsize>) -> Loaded {
    let mut found = Diagnostics::default();
    let mut sources = Vec::new();
    let mut named = Vec::new();
    for path in paths {
        let opened = if path.is_file() {
            named.push(path.display().to_string());
            source::file(path)
        } else {
            source::dir(path)
        };
        match opened {
            Ok(of) => sources.push(Box::new(Counting { of, read: read.clone() }) as Box<dyn Source>),
            Err(error) => found.file_error(
                &path.display().to_string(),
                format!("cannot read these MIBs: {error}"),
                "name a folder or a file that exists in mibs.paths",
            ),
        }
    }
    sources.push(source::memory_modules(shipped::MODULES.iter().map(|(name, text)| (*name, *text))));
    // Permissive: vendors' modules lean on each other in ways that the SMI does not allow.
    let loader = Loader::new()
        .sources(sources)
        .resolver_strictness(ResolverStrictness::Permissive)
        .diagnostic_config(DiagnosticConfig { fail_at: MibSeverity::Fatal, ..DiagnosticConfig::default() });
    match loader.load() {
        Ok(library) => {
            report(&library.diagnostic_report(), &named, &mut found);
            Loaded { mib: boil_down(&library), found }
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

fn boil_down(library: &mib_rs::Mib) -> Mib {
    let mut links = Links::default();
    let mut objects = Vec::new();
    let mut syntaxes: HashMap<Syntax, Arc<Syntax>> = HashMap::new();
    let modules: HashMap<&str, Arc<str>> =
        library.modules().map(|module| (module.name(), Arc::from(module.name()))).collect();
    let (no_syntax, no_indexes) = (Arc::new(Syntax::default()), Arc::from([]));
    for node in library.nodes() {
        let (Some(oid), Some(module)) = (Oid::from_arcs(node.oid()), node.module()) else { continue };
        if node.name().is_empty() {
            continue;
        }
        let mut object = Object {
            name: node.name().into(),
            module: modules.get(module.name()).cloned().unwrap_or_else(|| module.name().into()),
            oid,
            kind: Kind::Node,
            syntax: Arc::clone(&no_syntax),
            objects: Box::default(),
            indexes: Arc::clone(&no_indexes),
        };
        if let Some(notification) = node.notification() {
            object.kind = Kind::Notification;
            let names = notification.objects().filter_map(qualified).collect();
            links.objects.insert(object.qualified(), names);
            let about = About {
                status: notification.status().to_string().into(),
                description: notification.description().into(),
            };
            links.about.insert(object.qualified(), about);
        } else if let Some(definition) = node.object().filter(|o| o.is_scalar() || o.is_column()) {
            object.kind = Kind::Object;
            let syntax = syntax(definition);
            object.syntax = syntaxes.entry(syntax.clone()).or_insert_with(|| Arc::new(syntax)).clone();
            if definition.is_column() {
                let indexes = definition.effective_indexes();
                let parts = indexes.map(|index| (index.object().and_then(qualified), coding(index)));
                links.indexes.insert(object.qualified(), parts.collect());
            }
        }
        objects.push(object);
    }
    Mib::new(objects, &links, modules.into_values().collect())
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

/// The folders of MIB modules that this system has, where net-snmp and its like put them.
pub fn system_mibs() -> Vec<PathBuf> {
    let folders = ["/usr/share/snmp/mibs", "/usr/share/mibs", "/usr/local/share/snmp/mibs", "/var/lib/mibs"];
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
