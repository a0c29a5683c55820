//! All routes.

use hyper::StatusCode;

use super::answer::Answer;
use super::openapi;
use super::problem::Problem;
use super::route::{Does, Route};
use super::routes;
use crate::history::endpoint::percent_decoded;

/// All routes, the files in the order in which they are looked at.
const ALL: &[&[Route]] = &[
    routes::access::ROUTES,
    routes::checkins::ROUTES,
    routes::daemon::ROUTES,
    routes::export::ROUTES,
    routes::grafana::ROUTES,
    routes::letters::ROUTES,
    routes::outcomes::ROUTES,
    routes::problems::ROUTES,
    routes::rules::ROUTES,
    routes::senders::ROUTES,
    routes::streams::ROUTES,
    DOCUMENT,
];

const DOCUMENT: &[Route] = &[Route::get(
    "/api/v1/openapi.json",
    "This document: OpenAPI 3.1",
    Does::Now(|_| Ok(Answer::json(&openapi::document(all())))),
)];

/// All routes.
pub fn all() -> impl Iterator<Item = &'static Route> {
    ALL.iter().flat_map(|routes| routes.iter())
}

/// The route of a request, and the parameters of its path, decoded.
///
/// # Errors
///
/// 404, 405 with the methods that there are, or 400 if a part of the path is no text.
pub fn find(method: &hyper::Method, path: &str) -> Result<(&'static Route, Vec<String>), Problem> {
    let mut others: Vec<&'static str> = Vec::new();
    for route in all() {
        let Some(parts) = route.matches(path) else { continue };
        if !route.method.is(method) {
            others.push(route.method.as_str());
            continue;
        }
        let decoded = parts.into_iter().map(|part| {
            percent_decoded(part)
                .ok_or_else(|| Problem::wrong("a part of the path is not percent-encoded UTF-8"))
        });
        return Ok((route, decoded.collect::<Result<_, _>>()?));
    }
    if others.is_empty() {
        return Err(Problem::absent(
            "there is nothing of this path; GET /api/v1/openapi.json lists what there is",
        ));
    }
    let detail = format!("this path takes {}", others.join(", "));
    Err(Problem { allow: Some(others.join(", ")), ..Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::api::role::Role;

    #[test]
    fn no_route_hides_another() {
        for route in all() {
            let path: Vec<String> = route
                .path
                .split('/')
                .map(|part| if part.starts_with('{') { "x%2Fy".to_owned() } else { part.to_owned() })
                .collect();
            let method = hyper::Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
            let (found, params) = find(&method, &path.join("/")).unwrap();
            assert_eq!((found.path, found.method), (route.path, route.method));
            assert!(params.iter().all(|param| param == "x/y"));
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        let status = |method, path| find(&method, path).unwrap_err().status.as_u16();
        assert_eq!(status(hyper::Method::GET, "/api/v1/nothing"), 404);
        assert_eq!(status(hyper::Method::DELETE, "/api/v1/status"), 405);
    }

    #[test]
    fn the_document_has_every_route_once() {
        let document = openapi::document(all());
        let mut ids = BTreeSet::new();
        for route in all() {
            let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["x-role"], route.role.as_str(), "{}", route.path);
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{}", route.path);
            assert_eq!(operation["security"].is_array(), route.role == Role::Open);
        }
    }

    #[test]
    fn the_page_names_every_route() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
        for route in all() {
            let line = page.lines().find(|line| {
                line.starts_with(&format!(
                    "| {} |",
                    if route.role == Role::Open { "-" } else { route.role.as_str() }
                )) && line.contains(&format!("`{} {}", route.method.as_str(), route.path))
            });
            assert!(
                line.is_some(),
                "docs/api.md has no line '| {} | `{} {}`'",
                route.role.as_str(),
                route.method.as_str(),
                route.path
            );
        }
    }
}
