//! Any rule file is safe to compile; one that cannot be says why.

use std::sync::{Arc, OnceLock};

use trapline::mib::{Mib, load as mib};
use trapline::rules::compile::{RuleFile, compile};

static MIB: OnceLock<Arc<Mib>> = OnceLock::new();

/// One input.
pub fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let mib = MIB.get_or_init(|| Arc::new(mib::load(&[]).mib)).clone();
    let compiled = compile(&[RuleFile { name: "fuzz.toml".into(), text: text.into() }], mib);
    assert!(compiled.rules.is_some() != compiled.found.has_errors());
}
