//! What fuzzing has found stays tested: every target of `fuzz/` gets the inputs that are kept of its corpus. A file in `kept` has an input
//! a line, in base64; `fuzz/keep` writes it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

mod targets;

/// The inputs that are kept for a target.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/kept").join(target).with_extension("txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| data_encoding::BASE64.decode(line.as_bytes()).unwrap()).collect()
}

/// Runs a target with all its inputs, and says which one it fails with.
fn run(target: &str, one: fn(&[u8])) {
    let inputs = kept(target);
    assert!(inputs.len() >= 50, "{} inputs", inputs.len());
    for input in &inputs {
        let passed = std::panic::catch_unwind(|| one(input)).is_ok();
        assert!(passed, "fails with {:?}", data_encoding::BASE64.encode(input));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            run(stringify!($name), targets::$name::run);
        })*
    };
}

targets! { certificate framing journal pcap relp rules snmp snmptt syslog usm }

/// The names of the files in a folder of this repository, without their endings.
fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_is_here_and_has_kept_inputs() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(names("tests/fuzz/kept"), targets);
    // A package of this crate has no fuzz/.
    if Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").exists() {
        assert_eq!(names("fuzz/fuzz_targets"), targets);
    }
}
