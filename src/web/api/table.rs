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
    routes::mibs::ROUTES,
    routes::outcomes::ROUTES,
    routes::problems::ROUTES,
    routes::replay::ROUTES,
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

    /// What the dashboard for the Infinity data source asks for: the address, its parameters, the fields of the answer.
    fn asked(value: &serde_json::Value, found: &mut Vec<serde_json::Value>) {
        if value["url"].is_string() {
            found.push(value.clone());
        }
        let (list, map) = (value.as_array().into_iter().flatten(), value.as_object());
        for below in list.chain(map.into_iter().flat_map(serde_json::Map::values)) {
            asked(below, found);
        }
    }

    #[test]
    fn the_dashboard_of_infinity_asks_for_what_there_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/grafana/trapline-infinity.json");
        let dashboard = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let document = openapi::document(all());
        let mut targets = Vec::new();
        asked(&dashboard, &mut targets);
        assert!(targets.len() > 5);
        for target in targets {
            let url = target["url"].as_str().unwrap();
            let operation = &document["paths"][url]["get"];
            assert_eq!(
                (&target["url_options"]["method"], operation.is_object()),
                (&"GET".into(), true),
                "{url}"
            );
            let names = |list: &serde_json::Value, key: &str| -> BTreeSet<String> {
                list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
            };
            let known = names(&operation["parameters"], "name");
            let params = names(&target["url_options"]["params"], "key");
            assert!(params.is_subset(&known) && params.contains("from"), "{url}: {params:?} of {known:?}");
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let fields = schema["items"]["properties"].as_object().unwrap();
            for column in names(&target["columns"], "selector") {
                assert!(fields.contains_key(&column), "{url} gives no {column}");
            }
            for param in target["url_options"]["params"].as_array().unwrap() {
                let value = param["value"].as_str().unwrap();
                match param["key"].as_str().unwrap() {
                    "by" => assert!(crate::history::series::By::of(value).is_some(), "{value}"),
                    "metric" => assert_eq!(value, "outcomes"),
                    "state" => drop(crate::history::Filter::default().set("state", value).unwrap()),
                    _ => {}
                }
            }
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
