//! `trapline init` on this machine, whatever is installed on it.

use crate::daemon::{output, trapline};

#[test]
fn a_first_configuration_passes_the_check_and_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/trapline.toml");
    let name = path.to_str().unwrap();
    let made = output(&["init", name]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success() && said.contains(&format!("wrote {name}")), "{made:?}");
    let checked = output(&["check", "--config", name]);
    assert!(checked.status.success(), "{checked:?}");
    assert!(path.with_file_name("rules").is_dir());
    let text = std::fs::read_to_string(&path).unwrap();
    let again = output(&["init", name]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.code() == Some(1) && said.contains("is there already, and stays as it is"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    // A link that leads nowhere is something that is there.
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
    assert_eq!(output(&["init", link.to_str().unwrap()]).status.code(), Some(1));
    assert!(!folder.path().join("nowhere").exists());
    let below_a_file = path.join("x/trapline.toml");
    let refused = output(&["init", below_a_file.to_str().unwrap()]);
    assert!(refused.status.code() == Some(1) && !refused.stderr.is_empty(), "{refused:?}");
    let printed = trapline().args(["init", "-", "--standard-ports", "--journal", "/srv/j"]).output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("\"0.0.0.0:162\"") && text.contains("directory = \"/srv/j\""), "{text}");
}
