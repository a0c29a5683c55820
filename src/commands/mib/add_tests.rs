use super::*;
use crate::commands::mib::zip::tests::archive;

fn module(name: &str, updated: &str) -> String {
    format!(
        "{name} DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\nx MODULE-IDENTITY\n  LAST-UPDATED \"{updated}\"\n ::= {{ enterprises 99991 }}\nEND\n"
    )
}

#[test]
fn whatever_vendors_ship_becomes_modules_with_the_newest_revision() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (module("A-MIB", "9912310000Z"), module("A-MIB", "200001010000Z"));
    let zip = archive(
        &[
            ("mibs/", b""),
            ("../../../etc/B.mib", module("B-MIB", "200001010000Z").as_bytes()),
            ("readme.pdf", b"%PDF"),
            ("A.old", old.as_bytes()),
        ],
        true,
    );
    std::fs::create_dir(dir.path().join("in")).unwrap();
    std::fs::write(dir.path().join("in/vendor.bin"), zip).unwrap();
    std::fs::write(dir.path().join("in/a new.one"), &new).unwrap();
    std::os::unix::fs::symlink("..", dir.path().join("in/circle")).unwrap();
    let mut gathered = Gathered::default();
    gathered.add(dir.path()).unwrap();
    let names: Vec<&str> = gathered.modules.keys().map(|names| names[0].as_str()).collect();
    assert_eq!(names, ["A-MIB", "B-MIB"]);
    assert_eq!(gathered.modules[&vec!["A-MIB".to_owned()]].bytes, new.as_bytes());
    assert_eq!(gathered.left_out.len(), 2, "{:?}", gathered.left_out);
}

#[test]
fn revisions_are_compared_over_the_turn_of_the_century() {
    let found = |text: String| Found { from: "f".to_owned(), bytes: text.into() };
    let at = |updated: &str| found(module("A-MIB", updated));
    assert!(older(&at("9912310000Z"), &at("200001010000Z")).unwrap().contains("199912310000"));
    assert_eq!(older(&at("200001010000Z"), &at("9912310000Z")), None);
    assert!(older(&at("200001010000Z"), &at("200001010000Z")).unwrap().contains("the same"));
    // Without a revision the new one is meant.
    assert_eq!(older(&at("soon"), &at("200001010000Z")), None);
}

#[test]
fn names_of_modules_are_found_in_any_form() {
    for (text, names) in [
        ("A-MIB DEFINITIONS ::= BEGIN\nEND", &["A-MIB"][..]),
        ("-- B DEFINITIONS ::= BEGIN\r\nA-MIB\r\n  DEFINITIONS::=BEGIN END", &["A-MIB"]),
        ("A-MIB { iso org(3) } DEFINITIONS IMPLICIT TAGS ::= BEGIN END", &["A-MIB"]),
        ("A-MIB DEFINITIONS ::= BEGIN END\nB-MIB DEFINITIONS ::= BEGIN END", &["A-MIB", "B-MIB"]),
        ("The DEFINITIONS of words", &[]),
        ("DEFINITIONS ::= BEGIN", &[]),
        ("", &[]),
    ] {
        assert_eq!(module_names(text.as_bytes()), names, "{text}");
    }
}
