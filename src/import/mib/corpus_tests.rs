//! Properties of the rules for all notifications: of the shipped modules, and of a collection of vendors' modules where
//! one is beside the repository.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Comments, Identity, Proposal, example, propose, rules, write};
use crate::lookup::hosts::Hosts;
use crate::mib::load::load;
use crate::mib::load::module_files;
use crate::mib::{Mib, Object, Syntax, format, parse};
use crate::oid::Oid;
use crate::rules::compile::{Compiled, RuleFile, compile};
use crate::rules::testing;
use crate::text::Charset;

fn collection() -> &'static (Arc<Mib>, Comments) {
    static ALL: OnceLock<(Arc<Mib>, Comments)> = OnceLock::new();
    ALL.get_or_init(|| {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/mibs");
        let beside = std::env::var_os("TRAPLINE_MIBS").map_or(beside, Into::into);
        let paths: Vec<_> = Some(beside).filter(|path| path.is_dir()).into_iter().collect();
        let mut comments = Comments::default();
        for file in module_files(&paths).files.into_iter().map(|file| file.path) {
            comments.read(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        }
        (Arc::new(load(&paths).mib), comments)
    })
}

fn proposals() -> Vec<Proposal<'static>> {
    let (mib, comments) = collection();
    mib.modules().iter().flat_map(|module| propose(mib, module, comments)).collect()
}

fn compiled(text: String) -> Compiled {
    let file = RuleFile { name: "generated.toml".into(), text: text.into() };
    compile(&[file], collection().0.clone())
}

#[test]
fn every_generated_rule_passes_check_and_test() {
    let (mib, comments) = collection();
    let modules: Vec<&str> = mib.modules().iter().map(AsRef::as_ref).collect();
    let text = rules(mib, &modules, comments);
    let plain = text.matches("output = \"{{ trap }} {{ text }}\"").count();
    let count = text.matches("[[rule]]").count();
    let compiled = compiled(text);
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    let report = testing::run(&rules, &compiled.tests, &Hosts::default());
    assert_eq!((report.failed, report.found.to_text()), (0, String::new()));
    assert_eq!(report.passed, count);
    assert_eq!(plain, 0);
    println!("{count} rules");
}

#[test]
fn rules_for_all_modules_are_those_for_each() {
    let (mib, comments) = collection();
    let modules: Vec<&str> = mib.modules().iter().map(AsRef::as_ref).collect();
    let blocks = |text: &str| -> HashSet<String> {
        text.split("\n\n")
            .filter(|block| block.contains("[[rule]]"))
            .map(|block| block.trim().to_owned())
            .collect()
    };
    let all = blocks(&rules(mib, &modules, comments));
    let each: HashSet<String> =
        modules.iter().flat_map(|module| blocks(&rules(mib, &[module], comments))).collect();
    assert!(all.is_subset(&each));
}

/// One rule that takes the notification, with a test for the service of an instance.
fn with_service(proposal: &Proposal<'_>, which: u8, service: &str) -> String {
    format!(
        "[[rule.test]]\ntrap = \"{}\"\nvarbinds = {{ {} }}\nexpect = {{ service = \"{service}\" }}\n",
        proposal.notification.qualified(),
        write::varbinds(proposal, which, &collection().0)
    )
}

/// Which service does an instance get? The failing test says it.
fn services(proposals: &[Proposal<'_>]) -> HashMap<(String, u8), String> {
    let mut text = String::new();
    let mut order = Vec::new();
    for proposal in proposals {
        let name = proposal.notification.qualified();
        text.push_str(&format!(
            "[[rule]]\nid = {name:?}\ntrap = {name:?}\n[rule.check]\nservice = {:?}\nstate = 'ok'\n",
            proposal.service
        ));
        for which in [0, 1] {
            text.push_str(&with_service(proposal, which, "?"));
            order.push((name.clone(), which));
        }
    }
    let compiled = compiled(text);
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    let mut services = HashMap::new();
    for (test, key) in compiled.tests.iter().zip(order) {
        let report = testing::run(&rules, std::slice::from_ref(test), &Hosts::default());
        let said = report.found.to_text();
        let service = said.split("service is \"").nth(1).unwrap_or_else(|| panic!("{key:?}: {said}"));
        services.insert(key, service.split("\", expected").next().unwrap_or_default().to_owned());
    }
    services
}

/// The places of the indexes of objects.
fn indexes(objects: &[&Object]) -> HashSet<u32> {
    objects.iter().flat_map(|object| object.indexes.iter().filter_map(|part| part.object)).collect()
}

#[test]
fn instances_of_a_pair_that_differ_have_services_that_differ() {
    let mut seen = HashSet::new();
    let mut all = proposals();
    all.retain(|proposal| seen.insert(proposal.notification.oid.clone()));
    all.retain(|proposal| !proposal.counterparts.is_empty());
    let services = services(&all);
    let (mut told_apart, mut host, mut missing) = (0, 0, 0);
    for proposal in &all {
        let name = proposal.notification.qualified();
        let of = |name: &str, which| services.get(&(name.to_owned(), which));
        match &proposal.identity {
            Identity::Indexes(_) | Identity::Names(_) => {
                assert_ne!(of(&name, 0), of(&name, 1), "{name}: {}", proposal.service);
                told_apart += 1;
            }
            Identity::Host => host += 1,
            Identity::Missing => missing += 1,
        }
        if !matches!(proposal.identity, Identity::Indexes(_)) {
            let of = |name: &Oid| all.iter().find(|p| p.notification.oid == *name);
            let opposite =
                |p: &Proposal<'_>| p.counterparts.iter().filter_map(|o| of(&o.oid)).collect::<Vec<_>>();
            let opposites = opposite(proposal);
            let beside = opposites.first().map(|p| opposite(p)).unwrap_or_default();
            let group: Vec<HashSet<u32>> =
                [opposites, beside].concat().iter().map(|p| indexes(&p.objects)).collect();
            let mut own = indexes(&proposal.objects);
            own.retain(|index| group.iter().all(|other| other.contains(index)));
            assert!(own.is_empty() || group.is_empty(), "{name} has indexes that tell its instances apart");
        }
        // The end of trouble reaches the service of its trouble.
        for counterpart in &proposal.counterparts {
            let other = of(&counterpart.qualified(), 0);
            assert!(other.is_none() || other == of(&name, 0), "{name} and {}", counterpart.qualified());
        }
    }
    println!(
        "notifications of pairs: {told_apart} told apart, {host} of the host, {missing} without identity"
    );
    assert!(told_apart > 0);
}

#[test]
fn a_severity_in_a_notification_is_read() {
    let mut count = 0;
    for proposal in proposals() {
        let severity = proposal.objects.iter().find(|object| {
            object.name.to_lowercase().contains("severity") && !object.syntax.enums.is_empty()
        });
        let Some(severity) = severity else { continue };
        count += 1;
        let reads =
            proposal.state.expression.contains("everity") || proposal.state.because.contains("everity");
        assert!(
            reads,
            "{} carries {}: {:?}",
            proposal.notification.qualified(),
            severity.name,
            proposal.state
        );
    }
    println!("{count} notifications with a severity");
}

#[test]
fn an_example_of_every_syntax_is_shown_as_it_is_written() {
    let (mib, _) = collection();
    let mut seen: HashSet<*const Syntax> = HashSet::new();
    for object in mib.objects().iter().filter(|object| seen.insert(Arc::as_ptr(&object.syntax))) {
        for which in [0, 1, 9] {
            let text = example::shown(&object.syntax, which, mib);
            let read = parse::from_text(&text, Some(&object.syntax), mib);
            let read = read.unwrap_or_else(|| panic!("{}: '{text}' does not fit", object.qualified()));
            let shown =
                format::text(&read.value(), Some(&object.syntax), Charset::default(), mib).into_owned();
            assert_eq!(shown, text, "{}", object.qualified());
        }
    }
}
