//! The files of the console. The hook of `GET /` and `GET /assets/...`: what this does not know is answered with 404.

use hyper::body::Bytes;

/// A file as it is sent.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What is in it.
    pub content: Bytes,
    /// Whether its name changes with its content, so that it can be kept for ever.
    pub immutable: bool,
}

/// The file for a path such as `/` or `/assets/app.js`; none if there is none.
pub fn file(path: &str) -> Option<Asset> {
    let _ = path;
    None
}
