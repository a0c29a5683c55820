//! Where requests go.

use hyper::Uri;

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
        let uri: Uri = url.parse().map_err(|error| format!("'{url}' is no URL ({error}); {write}"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("'{url}' does not begin with http:// or https://; {write}")),
        };
        let authority = uri.authority().ok_or_else(|| format!("'{url}' names no host; {write}"))?;
        if authority.as_str().contains('@') {
            return Err(
                "a URL with a password in it shows in logs; give user and password on their own".into()
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Target { secure, host, port, authority: authority.to_string(), path })
    }

    /// The path of a request: absolute, or below the URL's own.
    pub(crate) fn uri(&self, path: &str) -> Uri {
        let whole = if path.is_empty() {
            self.path.clone()
        } else {
            format!("{}{path}", self.path.trim_end_matches('/'))
        };
        whole.parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::parse("https://icinga.example:5665/").unwrap();
        assert_eq!((target.secure, target.host.as_str(), target.port), (true, "icinga.example", 5665));
        assert_eq!(target.uri("/v1/actions").to_string(), "/v1/actions");
        let target = Target::parse("http://[::1]/nrdp/?x=1").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 80));
        assert_eq!(target.uri("").to_string(), "/nrdp/?x=1");
        assert!(Target::parse("icinga.example").is_err());
        assert!(Target::parse("ftp://x/").is_err());
        assert!(Target::parse("https://user:secret@x/").unwrap_err().contains("password"));
    }
}
