use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::lookup::rows::tests::definition as defined;

#[test]
fn a_file_with_a_mistake_gives_way_to_the_last_good_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (path, state) = (dir.path().join("sites.csv"), dir.path().join("state"));
    std::fs::create_dir(&state).unwrap();
    let lines = format!("csv = \"{}\"\nkey = \"address\"", path.display());
    let definition = Arc::new(defined(&lines));
    let look = || begin(std::slice::from_ref(&definition), &state);
    let city = |begun: &Begun| {
        let table = begun.tables.at(0)?;
        Some(table.cell(table.find("sw1", &mut |_| true)?, "city")?.text().into_owned())
    };
    let none = look();
    assert!(none.found.has_errors() && none.broken.is_empty() && city(&none).is_none());
    let good = b"address,city\nsw1,Wien\n";
    std::fs::write(&path, good).unwrap();
    assert_eq!(city(&look()).as_deref(), Some("Wien"));
    copy::write(&state, &definition, good).unwrap();
    let mode = std::fs::metadata(state.join("lookups/t")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A mistake, and no file at all: both are said, and the copy counts.
    std::fs::write(&path, "address,city\nsw1\n").unwrap();
    let begun = look();
    assert_eq!(city(&begun).as_deref(), Some("Wien"));
    assert!(begun.found.is_empty());
    assert!(
        begun.broken.to_text().contains("sites.csv:2:1: error: this row has 1 fields"),
        "{}",
        begun.broken.to_text()
    );
    std::fs::remove_file(&path).unwrap();
    let begun = look();
    assert!(begun.broken.to_text().contains("cannot read this table") && city(&begun).is_some());
    // The copy of another source says nothing.
    let other = Arc::new(defined(&lines.replace("sites", "others")));
    assert!(begin(&[other], &state).tables.at(0).is_none());
    // A damaged copy is none.
    assert!(copy::is(&state, &definition, good));
    assert!(
        !copy::is(&state, &definition, b"address,city\nsw1,Graz\n") && !copy::is(&state, &definition, b"")
    );
    let copy = state.join("lookups/t");
    let damaged = std::fs::read(&copy).unwrap();
    for at in 0..damaged.len() {
        let mut turned = damaged.clone();
        turned[at] ^= 1;
        std::fs::write(&copy, &turned).unwrap();
        assert!(city(&look()).is_none() && !copy::is(&state, &definition, good), "octet {at}");
    }
    for other in [&damaged[..damaged.len() - 1], &[&damaged[..], b"x"].concat()] {
        std::fs::write(&copy, other).unwrap();
        assert!(city(&look()).is_none() && !copy::is(&state, &definition, good));
    }
    std::fs::write(&copy, &damaged).unwrap();
    assert!(city(&look()).is_some());
}

#[test]
fn a_server_that_was_not_asked_yet_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let definition = Arc::new(defined("url = \"http://127.0.0.1:1/api\"\nkey = \"a\""));
    let begun = begin(std::slice::from_ref(&definition), dir.path());
    assert!(!begun.found.has_errors() && begun.tables.at(0).is_none());
    assert!(begun.found.to_text().contains("nothing of the table 't' was fetched yet"));
    copy::write(dir.path(), &definition, b"[{\"a\": \"sw1\", \"b\": 1}]").unwrap();
    let begun = begin(&[definition], dir.path());
    assert_eq!((begun.found.len(), begun.tables.at(0).map(Table::len)), (0, Some(1)));
}
