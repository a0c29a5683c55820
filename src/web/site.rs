//! The files of the console, which are part of the program: `GET /` and `GET /assets/...`. Nothing builds them: the browser
//! reads the modules as they are in `src/web/console`.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use hyper::body::Bytes;
use sha2::{Digest as _, Sha256};

/// A file as it is sent.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What is in it.
    pub content: Bytes,
    /// Its strong `ETag`, with the quotes. Names stay the same from release to release, so that a browser asks each time
    /// whether it has the file still.
    pub etag: String,
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("console/", $name)))),*]
    };
}

const FILES: &[(&str, &[u8])] = files!(
    "index.html" "app.css" "app.js" "theme.js" "icon.svg"
    "api.js" "chart.js" "dom.js" "keys.js" "stream.js" "text.js" "toml.js" "ui.js"
    "pages/admin.js" "pages/checkins.js" "pages/editing.js" "pages/history.js" "pages/inbox.js" "pages/live.js" "pages/login.js" "pages/maker.js" "pages/mibs.js"
    "pages/overview.js" "pages/parts.js" "pages/replay.js" "pages/rules.js" "pages/senders.js" "pages/sinks.js" "pages/state.js"
    "lib/preact.js" "lib/hooks.js" "lib/htm.js" "lib/uplot.js" "lib/uplot.css" "lib/LICENSES.txt"
);

/// The files with their names; made once.
static SITE: LazyLock<Vec<(&'static str, Asset)>> = LazyLock::new(|| {
    let asset = |(name, content): &(&'static str, &'static [u8])| {
        let etag = format!("\"{}\"", &HEXLOWER.encode(&Sha256::digest(content))[..32]);
        (*name, Asset { content_type: content_type(name), content: Bytes::from_static(content), etag })
    };
    FILES.iter().map(asset).collect()
});

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// The file for a path such as `/` or `/assets/app.js`; none if there is none.
pub fn file(path: &str) -> Option<&'static Asset> {
    let name = if path == "/" { "index.html" } else { path.strip_prefix("/assets/")? };
    SITE.iter().find(|(known, _)| *known == name).map(|(_, asset)| asset)
}

/// Whether a browser has a file already, by its `If-None-Match` (RFC 9110, section 13.1.2).
pub fn is_known(asset: &Asset, if_none_match: &str) -> bool {
    let mut tags = if_none_match.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == "*" || tag == asset.etag)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/console")
    }

    fn names(folder: &Path, below: &str, all: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                names(&entry.path(), &format!("{name}/"), all);
            } else {
                all.insert(name);
            }
        }
    }

    #[test]
    fn all_files_are_served_with_a_type_and_a_tag() {
        let mut all = BTreeSet::new();
        names(&folder(), "", &mut all);
        assert_eq!(all, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
        for name in all {
            let asset = file(&format!("/assets/{name}")).unwrap();
            assert!(is_known(asset, &asset.etag) && is_known(asset, &format!("\"a\", W/{}", asset.etag)));
            assert!(!is_known(asset, "\"a\""));
        }
        assert_eq!(file("/").unwrap().content_type, "text/html; charset=utf-8");
        for wrong in ["/assets/", "/assets/../app.js", "/app.js", "/assets/app.js/", "assets/app.js"] {
            assert!(file(wrong).is_none(), "{wrong}");
        }
    }

    /// preact 10.29.8 and htm 3.1.1: `dist/*.module.js` of the packages in the registry of npm, without the line that names a source
    /// map, and with `"./preact.js"` for `"preact"`. uPlot 1.6.32: `dist/uPlot.iife.min.js` with `export default uPlot;` as its last
    /// line, and `dist/uPlot.min.css`.
    #[test]
    fn vendored_files_are_those_that_were_examined() {
        let sums = [
            ("preact.js", "25a5df7e9f628a587743c4641a368737a3b218f28ef738ba0376a2d5bdfc948c"),
            ("hooks.js", "3b5febe57b6eebec5285fc25b33c9019e53e31641df0fad7d8f9e64ca8661592"),
            ("htm.js", "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4"),
            ("uplot.js", "073f022c867cb9c40f0be28f5d680830857a5b3a04082c2473880c8328a12e04"),
            ("uplot.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
            ("LICENSES.txt", "bb4b01fb9224567b89a89d9ff0b27291f6c8b36e319b4e8dc2b46181f3b2c487"),
        ];
        for (name, sum) in sums {
            let asset = file(&format!("/assets/lib/{name}")).unwrap();
            assert_eq!(HEXLOWER.encode(&Sha256::digest(&asset.content)), sum, "{name}");
        }
    }

    #[test]
    fn nothing_in_the_console_makes_markup_or_code_of_text() {
        for (name, content) in FILES {
            let text = String::from_utf8_lossy(content);
            let own = !name.starts_with("lib/");
            for word in
                ["innerHTML =", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!own || !text.contains(word), "{name}: {word}");
            }
            assert!(!own || !text.contains("dangerouslySetInnerHTML"), "{name}");
            assert!(!text.contains("sourceMappingURL"), "{name}: it would be asked for, and is not there");
        }
        let page = String::from_utf8_lossy(&file("/").unwrap().content).into_owned();
        assert!(
            !page.contains(" style=") && !page.contains("<style") && !page.contains(" on"),
            "inline code"
        );
        assert!(
            page.matches("<script").count()
                == page.matches("<script src=").count()
                    + page.matches("<script type=\"module\" src=").count()
        );
    }
}
