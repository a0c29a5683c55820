//! `[self]`: Trapline as a service of its own.

use std::time::Duration;

use super::judge::Limits;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::duration;

/// What stands for the name of this machine.
const NODE: &str = "{{ node }}";
/// The longest interval and the largest limit.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// `[self]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The host that it belongs to.
    pub host: String,
    /// The service.
    pub service: String,
    /// How often it is reported.
    pub every: Duration,
    /// What is not well.
    pub limits: Limits,
}

/// Reads the section. `node` is the name of this machine.
pub fn read(section: Section<'_, '_>, node: &str, found: &mut Diagnostics) -> Settings {
    let mut name = |key, default: &str| {
        let given = section.string(key, found);
        if let Some(empty) = given.as_ref().filter(|name| name.value.trim().is_empty()) {
            let message = format!("'{key}' is empty");
            let hint = Some("name it as the monitoring core does".to_owned());
            found.push(section.source().error(&empty.span, message, hint));
        }
        given.map_or_else(|| default.to_owned(), |name| name.value).replace(NODE, node)
    };
    let (host, service) = (name("host", NODE), name("service", "Trapline"));
    let every = duration(&section, "every", Duration::from_secs(1)..=Duration::from_hours(24), found);
    let default = Limits::default();
    let limits = Limits {
        warning: duration(&section, "warning", Duration::from_secs(1)..=LONGEST, found)
            .unwrap_or(default.warning),
        critical: duration(&section, "critical", Duration::from_secs(1)..=LONGEST, found)
            .unwrap_or(default.critical.max(default.warning)),
    };
    if limits.critical < limits.warning {
        found.push(
            section.error("'critical' is below 'warning'", "set critical to an age above that of warning"),
        );
    }
    section.finish(found);
    Settings { host, service, every: every.unwrap_or(Duration::from_mins(1)), limits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    fn read_text(text: &str) -> (Settings, String) {
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "[self]");
        let settings = read(section, "node7", &mut found);
        (settings, found.to_text())
    }

    #[test]
    fn defaults_and_the_name_of_the_machine() {
        let (settings, found) = read_text("");
        assert_eq!(found, "");
        assert_eq!((settings.host.as_str(), settings.service.as_str()), ("node7", "Trapline"));
        assert_eq!(settings.every, Duration::from_mins(1));
        let text = "host = \"mon-{{ node }}\"\nservice = \"Traps\"\nevery = \"10s\"\nwarning = \"1min\"\ncritical = \"2min\"\n";
        let (settings, found) = read_text(text);
        assert_eq!((settings.host.as_str(), found.as_str()), ("mon-node7", ""));
        assert_eq!(settings.limits.critical, Duration::from_mins(2));
    }

    #[test]
    fn mistakes_are_found_at_once() {
        let (_, found) = read_text("host = \" \"\nevery = \"0\"\nwarning = \"2h\"\nservise = \"x\"\n");
        for part in ["'host' is empty", "every must be 1s to 1d", "'critical' is below 'warning'", "servise"]
        {
            assert!(found.contains(part), "{part} in {found}");
        }
    }
}
