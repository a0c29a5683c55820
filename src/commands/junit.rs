//! Results of tests as JUnit's XML, which CI systems read. The format is that of the schema of Apache Ant's junitreport,
//! as far as all readers agree on it. Pure.

use std::fmt::Write as _;

/// A test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The file that has it.
    pub file: String,
    /// Its name, unique in the file.
    pub name: String,
    /// Why it has failed, a line each; empty if it has passed.
    pub failures: Vec<String>,
}

/// The document: a suite for each file, in the order of the cases.
pub fn document(cases: &[Case]) -> String {
    let failed = |cases: &[Case]| cases.iter().filter(|case| !case.failures.is_empty()).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites tests=\"{}\" failures=\"{}\">", cases.len(), failed(cases));
    for suite in cases.chunk_by(|one, other| one.file == other.file) {
        let file = escaped(&suite[0].file);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{}\">",
            suite.len(),
            failed(suite)
        );
        for case in suite {
            let name = escaped(&case.name);
            let _ = write!(out, "    <testcase classname=\"{file}\" name=\"{name}\"");
            if case.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            let first = escaped(&case.failures[0]);
            let all = escaped(&case.failures.join("\n"));
            let _ = writeln!(out, ">\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text that is safe in content and attributes. What XML 1.0 section 2.2 has no place for becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(out, "&#{};", c as u32);
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_cases_and_hostile_names() {
        let case = |file: &str, name: &str, failures: &[&str]| Case {
            file: file.to_owned(),
            name: name.to_owned(),
            failures: failures.iter().map(|&failure| failure.to_owned()).collect(),
        };
        let text = document(&[
            case("a.toml", "one, test 1", &[]),
            case("a.toml", "<two> \"&\"", &["a.toml:1:2: error: state is \"ok\"\u{0}", "and\nmore"]),
            case("b.toml", "three", &[]),
        ]);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuites tests=\"3\" failures=\"1\">\n\
            \x20 <testsuite name=\"a.toml\" tests=\"2\" failures=\"1\">\n\
            \x20   <testcase classname=\"a.toml\" name=\"one, test 1\"/>\n\
            \x20   <testcase classname=\"a.toml\" name=\"&lt;two&gt; &quot;&amp;&quot;\">\n\
            \x20     <failure message=\"a.toml:1:2: error: state is &quot;ok&quot;\u{fffd}\">\
            a.toml:1:2: error: state is &quot;ok&quot;\u{fffd}&#10;and&#10;more</failure>\n\
            \x20   </testcase>\n\
            \x20 </testsuite>\n\
            \x20 <testsuite name=\"b.toml\" tests=\"1\" failures=\"0\">\n\
            \x20   <testcase classname=\"b.toml\" name=\"three\"/>\n\
            \x20 </testsuite>\n\
            </testsuites>\n";
        assert_eq!(text, expected);
    }
}
