//! Kinds of requests.

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET; HEAD is answered as well.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

impl Method {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }

    /// Whether requests with it are of this one.
    pub fn is(self, method: &hyper::Method) -> bool {
        method.as_str() == self.as_str() || (self == Method::Get && method == hyper::Method::HEAD)
    }
}

/// What a request costs; there are limits for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Little.
    Small,
    /// A search in the history.
    Search,
    /// A trial of rules: one of a token at a time.
    Trial,
    /// A whole range of the history.
    Export,
    /// It stays open.
    Stream,
    /// A login: limited by address.
    Login,
    /// A file of some megabytes: one at a time.
    Upload,
}
