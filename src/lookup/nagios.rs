//! Objects of Nagios and its kin, as object caches and object files have them. Pure.

/// An object: its kind, such as `host`, and its directives.
pub type Object<'t> = (&'t str, Vec<(&'t str, &'t str)>);

/// The objects in a text. What is not between `define KIND {` and `}` is left out.
pub fn objects(text: &str) -> impl Iterator<Item = Object<'_>> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        let kind = lines.by_ref().find_map(|line| {
            let kind = line.strip_prefix("define")?.trim_start().strip_suffix('{')?.trim();
            (!kind.is_empty()).then_some(kind)
        })?;
        let mut directives = Vec::new();
        for line in lines.by_ref() {
            if line == "}" {
                break;
            }
            let line = line.split(';').next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            directives.push((name, value.trim()));
        }
        Some((kind, directives))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_caches_and_files() {
        let text = "# all\n\ndefine host {\n\thost_name\tsw1\n\talias\tSwitch 1 ; of Wien\n\t}\n}\nnonsense\ndefine  service{\n  host_name sw1\n  #x\n  is_volatile\n}\ndefine {\n";
        let found: Vec<Object<'_>> = objects(text).collect();
        assert_eq!(
            found,
            [
                ("host", vec![("host_name", "sw1"), ("alias", "Switch 1")]),
                ("service", vec![("host_name", "sw1"), ("is_volatile", "")]),
            ]
        );
        assert_eq!(objects("define host {\nhost_name a").count(), 1);
    }
}
