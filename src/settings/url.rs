//! Where requests go.

use hyper::Uri;

/// The longest path of a URL, and of a request below it, in bytes. Both together, with their queries, are shorter than the longest
/// path that a request can have, which is 65,534 bytes.
pub const LONGEST_PATH: usize = 32_000;

/// A URL or an address of a server for messages, without the user and the password that may stand in it.
pub fn shown(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{host}"),
        None => format!("***@{host}"),
    }
}

/// A server and the start of its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `host:port` as it was written.
    pub authority: String,
    /// The path and query of the URL.
    pub path: String,
}

impl Target {
    /// Reads `http://HOST[:PORT][/PATH]` or `https://...`.
    ///
    /// # Errors
    ///
    /// What is wrong and what to write.
    pub fn parse(url: &str) -> Result<Self, String> {
        let write = "write https://HOST:PORT/PATH";
        let shown = || shown(url);
        let uri: Uri = url.parse().map_err(|error| format!("'{}' is no URL ({error}); {write}", shown()))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("'{}' does not begin with http:// or https://; {write}", shown())),
        };
        let authority = uri.authority().ok_or_else(|| format!("'{}' names no host; {write}", shown()))?;
        if authority.as_str().contains('@') {
            return Err(
                "a URL with a password in it shows in logs; give user and password on their own".into()
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if path.len() > LONGEST_PATH {
            return Err(format!("its path has more than {LONGEST_PATH} bytes"));
        }
        Ok(Target { secure, host, port, authority: authority.to_string(), path })
    }

    /// The path and query of a request: those of the URL, with this path below it, and this query behind its own. None for
    /// what no URL can have, or is longer than [`LONGEST_PATH`].
    pub(crate) fn uri(&self, path: &str) -> Option<Uri> {
        if path.len() > LONGEST_PATH {
            return None;
        }
        let parts = |whole: &'_ str| match whole.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (whole.to_owned(), None),
        };
        let ((base, own), (below, more)) = (parts(&self.path), parts(path));
        let mut whole =
            if below.is_empty() { base } else { format!("{}{below}", base.trim_end_matches('/')) };
        for (query, mark) in own.into_iter().chain(more).filter(|query| !query.is_empty()).zip(['?', '&']) {
            whole.push(mark);
            whole.push_str(&query);
        }
        whole.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_password() {
        for (text, without) in [
            ("mqtt://h:1883/", "mqtt://h:1883/"),
            ("mqtt://u:p@h:1883/", "mqtt://***@h:1883/"),
            ("amqp://u:a@b/c:d@h/v", "amqp://***@h/v"),
            ("u:p@h", "***@h"),
            ("amqp:u:p@h", "***@h"),
            ("", ""),
        ] {
            assert_eq!(shown(text), without);
        }
    }

    #[test]
    fn urls() {
        let target = Target::parse("https://icinga.example:5665/").unwrap();
        assert_eq!((target.secure, target.host.as_str(), target.port), (true, "icinga.example", 5665));
        assert_eq!(target.uri("/v1/actions").unwrap().to_string(), "/v1/actions");
        let target = Target::parse("http://[::1]/nrdp/?x=1").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        for (url, path, whole) in [
            ("/nrdp/?x=1", "", "/nrdp/?x=1"),
            ("/a", "", "/a"),
            ("/a/", "/b", "/a/b"),
            ("/a?x=1", "/b", "/a/b?x=1"),
            ("/a?x=1", "/b?y=2", "/a/b?x=1&y=2"),
            ("/a?x=1", "?y=2", "/a?x=1&y=2"),
            ("/a?", "/b?y=2", "/a/b?y=2"),
            ("", "/b?y=?", "/b?y=?"),
        ] {
            let target = Target::parse(&format!("http://h{url}")).unwrap();
            assert_eq!(target.uri(path).unwrap().to_string(), whole, "{url} and {path}");
        }
        let long = "/".to_owned() + &"a".repeat(LONGEST_PATH - 1);
        let target = Target::parse(&format!("http://h{long}")).unwrap();
        assert_eq!(target.uri(&long).unwrap().path().len(), 2 * LONGEST_PATH);
        assert_eq!((target.uri(&format!("{long}a")), target.uri("/a b")), (None, None));
        assert!(Target::parse(&format!("http://h{long}a")).unwrap_err().contains("32000"));
        assert!(Target::parse("icinga.example").is_err());
        assert!(Target::parse("ftp://x/").is_err());
        assert!(Target::parse("https://user:secret@x/").unwrap_err().contains("password"));
    }
}
