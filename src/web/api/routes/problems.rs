//! What rules hold: open problems, held and flapping ones, counts.

use crate::intake::state_view::{self, StateFilter};
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Cost, Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// The most entries of an answer.
const MOST: usize = 10_000;

pub(in crate::web::api) const ROUTES: &[Route] = &[Route {
    method: Method::Get,
    path: "/api/v1/states",
    role: Role::Read,
    cost: Cost::Small,
    says: "What rules hold: open, held and flapping problems, as `trapline state list`. This machine needs no token for it",
    query: &[
        Param { name: "host", says: "the host, with the wildcards * and ?" },
        Param { name: "service", says: "the service, with the wildcards * and ?" },
        Param { name: "rule", says: "the id of the rule, with the wildcards * and ?" },
        Param { name: "key", says: "the text of the rule's key" },
    ],
    body: None,
    gives: Gives::Json(|| {
        schema::with(&[
            ("ok", schema::flag()),
            ("total", schema::number()),
            ("entries", schema::list(schema::object())),
        ])
    }),
    does: Does::Blocking(states),
}];

fn states(ask: &Ask) -> Result<Answer, Problem> {
    let of = |name: &str| ask.query.get(name).map(str::to_owned);
    let filter = StateFilter {
        host: of("host"),
        service: of("service"),
        rule: of("rule"),
        key: of("key"),
        ..StateFilter::default()
    };
    let list = state_view::list(&ask.desk.status.shared, &filter, MOST);
    if list["ok"] == true {
        return Ok(Answer::json(&list));
    }
    Err(Problem::unavailable(list["error"].as_str().unwrap_or_default()))
}
