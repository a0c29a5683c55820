//! Whatever a snmptt.conf says, the rules that are made of it can be loaded.

use std::sync::{Arc, OnceLock};

use trapline::import::snmptt::{Ini, Options, import};
use trapline::mib::{Mib, load as mib};
use trapline::rules::compile::{RuleFile, compile};

static MIB: OnceLock<Arc<Mib>> = OnceLock::new();

/// One input.
pub fn run(octets: &[u8]) {
    let Some((first, rest)) = octets.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let unsafe_regex = first & 1 == 1;
    let mib = MIB.get_or_init(|| Arc::new(mib::load(&[]).mib)).clone();
    let options = Options { ini: Ini { unsafe_regex, ..Ini::default() }, ..Options::default() };
    let nodes = |_: &str| Ok("192.0.2.0/24 fred\n".to_owned());
    let imported = import(&[("fuzz.conf".to_owned(), text.to_owned())], &nodes, &mib, &options);
    let compiled =
        compile(&[RuleFile { name: "fuzz.toml".into(), text: imported.text.as_str().into() }], mib);
    assert!(compiled.rules.is_some(), "{}\n{}", imported.text, compiled.found.to_text());
}
