//! What README.md says holds in a fresh clone: `tests/readme`.

use std::path::Path;
use std::process::Command;

use crate::support::run;

#[test]
fn the_readme_holds_in_a_fresh_clone() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readme");
    let output = run(Command::new(script).arg(env!("CARGO_BIN_EXE_trapline")));
    assert!(String::from_utf8_lossy(&output.stdout).contains("README.md holds"), "{output:?}");
}
