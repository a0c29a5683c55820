//! Whether the tests exist that docs/conformance.md names.

use std::path::Path;

use crate::files::only_here_tests::sources;

#[test]
fn every_clause_of_the_page_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let rows = page.lines().filter(|line| line.starts_with("| RFC "));
    let mut clauses = 0;
    for row in rows {
        let (_, last) = row.trim_end_matches(['|', ' ']).rsplit_once("| ").unwrap();
        let name = last.split('`').nth(1).unwrap_or_else(|| panic!("no test: {row}"));
        let test = format!("fn {name}(");
        let is_test = |text: &String| text.contains(&test) && text.contains("#[test]");
        assert!(texts.iter().any(is_test), "there is no test {name}: {row}");
        assert!(
            ["yes", "lenient", "strict"].iter().any(|word| row.contains(&format!("| {word} |"))),
            "{row}"
        );
        clauses += 1;
    }
    assert!(clauses > 40, "{clauses} clauses");
}
