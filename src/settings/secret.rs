//! Passwords and tokens: as they stand, from the first line of a file, or from the environment. Wiped from memory
//! when they go.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::input;
use crate::settings::section::{Located, Section};

/// The keys by which one secret may be given.
pub(crate) struct Keys {
    pub(crate) inline: &'static str,
    pub(crate) file: &'static str,
    pub(crate) env: &'static str,
}

/// `password`, `password_file`, `password_env`.
pub(crate) const PASSWORD: Keys = Keys { inline: "password", file: "password_file", env: "password_env" };
/// `token`, `token_file`, `token_env`.
pub(crate) const TOKEN: Keys = Keys { inline: "token", file: "token_file", env: "token_env" };
/// `secret`, `secret_file`, `secret_env`.
pub(crate) const SECRET: Keys = Keys { inline: "secret", file: "secret_file", env: "secret_env" };

impl Keys {
    /// Whether it is given in some way.
    pub(crate) fn given(&self, section: &Section<'_, '_>) -> bool {
        [self.inline, self.file, self.env].iter().any(|key| section.get(key).is_some())
    }

    /// The key by which it is given.
    pub(crate) fn key(&self, section: &Section<'_, '_>) -> &'static str {
        let keys = [self.inline, self.env, self.file];
        keys.into_iter().find(|key| section.get(key).is_some()).unwrap_or(self.inline)
    }

    /// The first line of a text from elsewhere: what writes files and variables often ends them with a line break.
    fn first_line(
        &self,
        section: &Section<'_, '_>,
        text: &str,
        name: &Located<String>,
        from: &str,
        found: &mut Diagnostics,
    ) -> Option<Zeroizing<String>> {
        let secret = text.lines().next().unwrap_or_default();
        if secret.is_empty() {
            let message = format!("the first line of {from} is empty");
            let hint = Some(format!("write the {} there", self.inline));
            found.push(section.source().error(&name.span, message, hint));
            return None;
        }
        Some(Zeroizing::new(secret.to_owned()))
    }

    /// Reads it.
    pub(crate) fn read(
        &self,
        section: &Section<'_, '_>,
        resolve: &dyn Fn(&str) -> PathBuf,
        found: &mut Diagnostics,
    ) -> Option<Zeroizing<String>> {
        // All are asked for, so that each is a known key.
        let _ = self.given(section);
        if let Some(secret) = section.string(self.inline, found) {
            if everybody_reads(Path::new(section.source().file)) {
                // Once for a file is enough.
                let message = "everybody can read this file, and the passwords in it";
                if !found.clone().sorted().iter().any(|known| known.message == message) {
                    let hint = format!("chmod o-r it, or use {}", self.file);
                    found.push(warning(section, self.inline, message, &hint));
                }
            }
            let Located { value, span } = secret;
            if value.is_empty() {
                let message = format!("the {} is empty", self.inline);
                let hint = Some(format!("write the {}, or remove the key", self.inline));
                found.push(section.source().error(&span, message, hint));
                return None;
            }
            return Some(Zeroizing::new(value));
        }
        if let Some(name) = section.string(self.env, found) {
            let secret = std::env::var(&name.value).inspect(|secret| section.reads(secret.as_bytes()));
            let secret = secret.map_err(|error| {
                let message = format!("cannot read the {} from ${}: {error}", self.inline, name.value);
                let hint = Some("set this variable for the daemon".to_owned());
                found.push(section.source().error(&name.span, message, hint));
            });
            let from = format!("${}", name.value);
            return self.first_line(section, &Zeroizing::new(secret.ok()?), &name, &from, found);
        }
        let name = section.string(self.file, found)?;
        let path = resolve(&name);
        match input::text(&path, input::TEXT) {
            Ok(text) => {
                section.reads(text.as_bytes());
                if everybody_reads(&path) {
                    found.push(warning(section, self.file, "everybody can read this file", "chmod o-r it"));
                }
                self.first_line(section, &text, &name, &path.display().to_string(), found)
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let hint = Some(format!("name a file with the {} in it", self.inline));
                found.push(section.source().error(&name.span, message, hint));
                None
            }
        }
    }
}

/// Secrets in a file, one a line, without white space around them. Empty lines and lines that begin with `#` are left out.
/// None if the key is not given; a file that cannot be read is reported and has none.
pub(crate) fn lines(
    section: &Section<'_, '_>,
    key: &'static str,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Vec<String>> {
    let name = section.string(key, found)?;
    let path = resolve(&name);
    let text = match input::text(&path, input::TEXT) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            let hint = Some("name a file with one entry a line".to_owned());
            found.push(section.source().error(&name.span, message, hint));
            return Some(Vec::new());
        }
    };
    section.reads(text.as_bytes());
    if everybody_reads(&path) {
        found.push(warning(section, key, "everybody can read this file", "chmod o-r it"));
    }
    let entries = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries: Vec<String> = entries.map(str::to_owned).collect();
    if entries.is_empty() {
        let hint = "write one entry a line, or remove the key";
        found.push(warning(section, key, "this file has no entry, so that nothing is let in by it", hint));
    }
    Some(entries)
}

/// A secret that is a whole file, as it is read by a function. None if the key is not given; what is wrong is reported.
pub(crate) fn whole<T>(
    section: &Section<'_, '_>,
    key: &'static str,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<T> {
    let name = section.string(key, found)?;
    let path = resolve(&name);
    let text = input::text(&path, input::TEXT).map_err(|error| error.to_string());
    let value = text.and_then(|text| {
        section.reads(text.as_bytes());
        read(&text).map_err(str::to_owned)
    });
    if everybody_reads(&path) {
        found.push(warning(section, key, "everybody can read this file", "chmod o-r it"));
    }
    let report = |error| {
        let message = format!("cannot use {}: {error}", path.display());
        found.push(section.source().error(&name.span, message, Some("name another file".to_owned())));
    };
    value.map_err(report).ok()
}

fn everybody_reads(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o004 != 0)
}

/// A warning at a key.
pub(crate) fn warning(section: &Section<'_, '_>, key: &str, message: &str, hint: &str) -> Diagnostic {
    let error = section.source().error(&section.key_span(key), message, Some(hint.to_owned()));
    Diagnostic { severity: Severity::Warning, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::diagnostic::SourceText;

    /// Whichever key gives it.
    #[test]
    fn an_empty_secret_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "\n").unwrap();
        for keys in [&PASSWORD, &TOKEN, &SECRET] {
            let file = format!("{} = \"{}\"", keys.file, path.display());
            for (text, said) in
                [(format!("{} = \"\"", keys.inline), "is empty; write the"), (file, "is empty; write the")]
            {
                let source = SourceText { file: "t.toml", text: &text };
                let mut found = Diagnostics::default();
                let root = crate::settings::section::read(&source, &mut found).unwrap();
                let section = Section::new(&source, root.get_ref(), root.span(), "t");
                assert!(keys.read(&section, &|text| text.into(), &mut found).is_none());
                assert!(found.has_errors() && found.to_text().contains(said), "{text}: {}", found.to_text());
            }
        }
    }

    #[test]
    fn what_comes_from_elsewhere_is_one_line() {
        let source = SourceText { file: "t.toml", text: "\ntoken_env = \"T\"" };
        let mut found = Diagnostics::default();
        let root = crate::settings::section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "t");
        let name = section.string(TOKEN.env, &mut found).unwrap();
        let mut read = |text: &str| {
            let secret = TOKEN.first_line(&section, text, &name, "$T", &mut found);
            secret.map(|secret| secret.to_string())
        };
        for text in ["s", "s\n", "s\r\n", "s\nrest"] {
            assert_eq!(read(text).as_deref(), Some("s"), "{text:?}");
        }
        assert_eq!((read(""), read("\ns")), (None, None));
        let text = found.to_text();
        assert!(
            text.contains("t.toml:2:13: error: the first line of $T is empty; write the token there"),
            "{text}"
        );
    }
}
