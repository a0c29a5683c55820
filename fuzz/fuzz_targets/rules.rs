//! Any rule file is safe to compile; one that cannot be says why.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use trapline::mib::{Mib, load as mib};
use trapline::rules::compile::{RuleFile, compile};

fuzz_target!(|text: &str| {
    static MIB: OnceLock<Arc<Mib>> = OnceLock::new();
    let mib = MIB.get_or_init(|| Arc::new(mib::load(&[]).mib)).clone();
    let compiled = compile(&[RuleFile { name: "fuzz.toml".into(), text: text.into() }], mib);
    assert!(compiled.rules.is_some() != compiled.found.has_errors());
});
