//! Fetching the items of a table from a server.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::copy::LONGEST;
use super::server::Http;
use crate::http::client::{Client, HttpError};
use crate::net::Network;
use crate::settings::url::Target;
use crate::text::without_bom;

/// The most pages of one table.
const MOST_PAGES: usize = 10_000;

/// Why a table could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no answer.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The server refuses.
    #[error("{0} answers {1}: {2}")]
    Status(String, StatusCode, String),
    /// The answer is no JSON.
    #[error("{0} does not answer in JSON: {1}")]
    Json(String, serde_json::Error),
    /// The rows are not where they should be.
    #[error("the answer of {0} has no list in '{1}'; {2}")]
    Items(String, Box<str>, String),
    /// The next page is elsewhere.
    #[error("the next page '{0}' is not on {1}; only pages of the same server are fetched")]
    Elsewhere(String, String),
    /// It does not end.
    #[error("{0} has more than {1}")]
    Endless(String, String),
}

/// Fetches all items, page by page, at most `max`.
///
/// # Errors
///
/// Why they could not be fetched.
pub async fn fetch(http: &Http, network: Arc<dyn Network>, max: usize) -> Result<Vec<Value>, FetchError> {
    // Paths of pages are whole ones.
    let root = Target { path: "/".to_owned(), ..http.target.clone() };
    let mut client =
        Client::new(network, root, http.tls.clone(), http.headers.clone()).with_longest(LONGEST as usize);
    let server = client.server().to_owned();
    let (mut path, mut items, mut bytes) = (http.target.path.clone(), Vec::new(), 0);
    for _ in 0..MOST_PAGES {
        let answer = client.send(&Method::GET, &path, &HeaderMap::new(), Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(server, answer.status, answer.excerpt()));
        }
        bytes += answer.body.len() as u64;
        if bytes > LONGEST {
            return Err(FetchError::Endless(server, format!("{LONGEST} bytes")));
        }
        let page: Value = serde_json::from_slice(without_bom(&answer.body))
            .map_err(|error| FetchError::Json(server.clone(), error))?;
        let next = http.next.as_ref().and_then(|next| next.of(&page)?.as_str().map(str::to_owned));
        take(http, &server, page, &mut items)?;
        if items.len() > max {
            return Err(FetchError::Endless(server, format!("{max} items; raise 'max' in [[lookups]]")));
        }
        match next.filter(|next| !next.is_empty()) {
            None => return Ok(items),
            Some(next) => path = below(&next, &http.target)?,
        }
    }
    Err(FetchError::Endless(server, format!("{MOST_PAGES} pages")))
}

/// Takes the items of a page.
fn take(http: &Http, server: &str, page: Value, items: &mut Vec<Value>) -> Result<(), FetchError> {
    match http.items.of(&page) {
        Some(Value::Array(_)) => {}
        _ => {
            let members: Vec<&str> =
                page.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).take(10).collect();
            let hint = if members.is_empty() {
                "set 'items' to the pointer of the list".to_owned()
            } else {
                format!("set 'items' to a pointer; its members: {}", members.join(", "))
            };
            return Err(FetchError::Items(server.to_owned(), http.items.text().into(), hint));
        }
    }
    let mut page = page;
    if let Some(Value::Array(list)) = page.pointer_mut(http.items.text()) {
        items.append(list);
    }
    Ok(())
}

/// The path of the next page. The login goes to no other server.
fn below(next: &str, target: &Target) -> Result<String, FetchError> {
    if next.starts_with('/') && !next.starts_with("//") {
        return Ok(next.to_owned());
    }
    if let Some(query) = next.strip_prefix('?') {
        let path = target.path.split('?').next().unwrap_or_default();
        return Ok(format!("{path}?{query}"));
    }
    match Target::parse(next) {
        Ok(page) if page.host == target.host && page.port == target.port && page.secure == target.secure => {
            Ok(page.path)
        }
        _ => {
            let shown = next.chars().take(200).collect::<String>().escape_debug().to_string();
            Err(FetchError::Elsewhere(shown, target.authority.clone()))
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
