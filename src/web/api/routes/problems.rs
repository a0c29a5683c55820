//! What rules hold: open problems, held and flapping ones, counts.

use crate::intake::state_view::{self, StateFilter};
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::problem::Problem;
use crate::web::api::route::{Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// The most entries of an answer.
const MOST: usize = 10_000;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        local: true,
        query: &[
            Param { name: "host", says: "the host, with the wildcards * and ?" },
            Param { name: "service", says: "the service, with the wildcards * and ?" },
            Param { name: "rule", says: "the id of the rule, with the wildcards * and ?" },
            Param { name: "key", says: "the text of the rule's key" },
        ],
        gives: Gives::Json(|| {
            schema::with(&[
                ("ok", schema::flag()),
                ("total", schema::number()),
                ("open", schema::number()),
                ("worst", schema::any()),
                ("entries", schema::list(schema::object())),
            ])
        }),
        ..Route::get(
            "/api/v1/states",
            "What rules hold: open, held and flapping problems. This machine needs no token for it",
            Does::Blocking(states),
        )
    },
    Route {
        query: &[
            Param { name: "id", says: "the id of an entry, or several with commas between" },
            Param { name: "silent", says: "1 to send nothing" },
        ],
        ..Route::change(
            Method::Delete,
            "/api/v1/states",
            "Clear problems, as `trapline state clear`",
            Does::Blocking(clear),
        )
    },
];

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

fn clear(ask: &Ask) -> Result<Answer, Problem> {
    let Some(ids) = ask.query.get("id").filter(|ids| !ids.is_empty()) else {
        return Err(Problem::wrong("say which: ?id=ID; GET /api/v1/states shows the ids"));
    };
    let filter = StateFilter { ids: ids.split(',').map(str::to_owned).collect(), ..StateFilter::default() };
    let cleared = state_view::clear(&ask.desk.status.shared, &filter, None, ask.flag("silent")?);
    if cleared["ok"] == true {
        return Ok(Answer::json(&cleared));
    }
    Err(Problem::wrong(cleared["error"].as_str().unwrap_or_default()))
}
