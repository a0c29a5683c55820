//! MIB modules at the scale of vendors' folders: `cargo bench --bench mibs`.
//!
//! How long they are read and opened, by a process of its own each time, in how much memory; and what a look-up takes among
//! them. The corpus is read where it stands beside this checkout; the large folder is made here.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use trapline::message::Oid;
use trapline::mib::load::{Held, cache};

/// As many modules as the largest public collections have, each with so many columns.
const MODULES: usize = 4628;
const COLUMNS: usize = 93;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/mibs");
    if corpus.is_dir() {
        measure("the corpus", &corpus, dir.path());
    }
    let made = dir.path().join("made");
    make(&made);
    measure("a made folder", &made, dir.path());
}

fn measure(what: &str, folder: &Path, dir: &Path) {
    let index = dir.join("index");
    let load = || -> Value {
        let done = Command::new(env!("CARGO_BIN_EXE_trapline"))
            .args(["mib", "load", "--json", "--index"])
            .arg(&index)
            .arg(folder)
            .output()
            .unwrap();
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let _ = std::fs::remove_file(&index);
    let (cold, warm) = (load(), load());
    assert!(cold["from_index"] == false && warm["from_index"] == true);
    println!(
        "{what}: {} modules, {} objects, {} notifications, {} definitions in all",
        warm["modules"], warm["objects"], warm["notifications"], warm["definitions"]
    );
    for (how, run) in [("cold", cold), ("warm", warm)] {
        let megabytes = run["peak_kb"].as_u64().unwrap_or(0) / 1024;
        println!("  {how}: {:.3} s, {megabytes} MB at most", run["seconds"].as_f64().unwrap());
    }
    let (Held { mib, .. }, _) =
        cache::load(&[folder.to_owned()], Some(&index), &Held::default(), &|what| println!("{what}"));
    // In no order, so that nothing is near in the caches.
    let some: Vec<usize> = (0..mib.objects().len()).step_by(7).collect();
    let oids: Vec<Oid<'_>> = some.iter().map(|at| mib.objects()[*at].oid.child(3)).collect();
    let names: Vec<&str> = some.iter().map(|at| &*mib.objects()[*at].name).collect();
    per_call("an instance's object by OID", |at| {
        mib.lookup(black_box(&oids[at % oids.len()])).unwrap().name.len()
    });
    per_call("an object by name", |at| {
        mib.find(black_box(names[at % names.len()])).next().unwrap().name.len()
    });
}

fn per_call(what: &str, mut call: impl FnMut(usize) -> usize) {
    const CALLS: u32 = 2_000_000;
    let start = Instant::now();
    let sum: usize = (0..CALLS as usize).map(|n| call(n.wrapping_mul(7919))).sum();
    println!("  {what}: {} ns", (start.elapsed() / CALLS).as_nanos());
    black_box(sum);
}

/// Modules of the shape that vendors' have: a table with columns of several types, and notifications.
fn make(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for module in 0..MODULES {
        let m = format!("made{module}");
        let mut text = format!(
            "MADE{module}-MIB DEFINITIONS ::= BEGIN\n\
             IMPORTS MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, Gauge32, enterprises FROM SNMPv2-SMI\n\
             DisplayString FROM SNMPv2-TC;\n\
             {m}Mib MODULE-IDENTITY LAST-UPDATED \"202601010000Z\" ORGANIZATION \"x\" CONTACT-INFO \"x\"\n\
             DESCRIPTION \"x\" ::= {{ enterprises {} }}\n\
             {m}Traps OBJECT IDENTIFIER ::= {{ {m}Mib 0 }}\n\
             {m}Table OBJECT-TYPE SYNTAX SEQUENCE OF Made{module}Entry MAX-ACCESS not-accessible STATUS current\n\
             DESCRIPTION \"x\" ::= {{ {m}Mib 1 }}\n\
             {m}Entry OBJECT-TYPE SYNTAX Made{module}Entry MAX-ACCESS not-accessible STATUS current\n\
             DESCRIPTION \"x\" INDEX {{ {m}Index }} ::= {{ {m}Table 1 }}\n\
             Made{module}Entry ::= SEQUENCE {{ {m}Index Integer32 }}\n\
             {m}Index OBJECT-TYPE SYNTAX Integer32 (1..9) MAX-ACCESS not-accessible STATUS current\n\
             DESCRIPTION \"x\" ::= {{ {m}Entry 1 }}\n",
            100_000 + module
        );
        for column in 2..2 + COLUMNS {
            let syntax = match column % 4 {
                0 => "Integer32".to_owned(),
                1 => "Gauge32".to_owned(),
                2 => "DisplayString".to_owned(),
                _ => format!("INTEGER {{ ok(1), warning{}(2), failed(3) }}", column % 7),
            };
            let _ = writeln!(
                text,
                "{m}PowerSupplyColumnNumber{column} OBJECT-TYPE SYNTAX {syntax} MAX-ACCESS read-only STATUS current\n\
                 DESCRIPTION \"The value of a column.\" ::= {{ {m}Entry {column} }}"
            );
        }
        for trap in 1..6 {
            let _ = writeln!(
                text,
                "{m}PowerSupplyFailed{trap} NOTIFICATION-TYPE\n\
                 OBJECTS {{ {m}PowerSupplyColumnNumber{}, {m}PowerSupplyColumnNumber{} }} STATUS current\n\
                 DESCRIPTION \"Sent when a power supply has failed, and somebody should look after it.\"\n\
                 ::= {{ {m}Traps {trap} }}",
                trap + 1,
                trap + 2
            );
        }
        text.push_str("END\n");
        std::fs::write(folder.join(format!("MADE{module}-MIB.txt")), text).unwrap();
    }
}
