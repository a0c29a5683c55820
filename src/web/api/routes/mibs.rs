//! MIB modules: which there are, and those that were added here.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::files::Folder;
use crate::mib::Kind;
use crate::mib::load::own_folder;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::desk::Job;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Answering, Cost, Does, Gives, Method, Param, Route};
use crate::web::api::schema;

/// The longest name of a file.
const LONGEST: usize = 200;

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        gives: Gives::Json(|| {
            schema::with(&[
                ("modules", schema::list(schema::text())),
                ("objects", schema::number()),
                ("notifications", schema::number()),
                ("folder", schema::text()),
                ("files", schema::list(schema::text())),
            ])
        }),
        ..Route::get(
            "/api/v1/mibs",
            "The MIB modules in force, and the files that were added through the API",
            Does::Blocking(mibs),
        )
    },
    Route {
        role: Role::Admin,
        cost: Cost::Upload,
        takes: "application/octet-stream",
        body: Some(schema::text),
        query: &[Param { name: "name", says: "the name of the file, which answers use" }],
        gives: Gives::Json(added),
        ..Route::change(
            Method::Post,
            "/api/v1/mibs",
            "Add MIB modules, a text or a ZIP archive of at most 32 MiB, as `trapline mib add`, and reload",
            Does::Later(add),
        )
    },
    Route {
        role: Role::Admin,
        gives: Gives::Json(|| schema::with(&[("removed", schema::text()), ("reload", schema::object())])),
        ..Route::change(
            Method::Delete,
            "/api/v1/mibs/{file}",
            "Remove a file that was added through the API, and reload",
            Does::Later(remove),
        )
    },
];

fn added() -> Value {
    schema::with(&[
        ("folder", schema::text()),
        ("added", schema::list(schema::object())),
        ("not_added", schema::list(schema::object())),
        ("left_out", schema::list(schema::object())),
        ("missing", schema::list(schema::text())),
        ("warnings", schema::list(schema::object())),
        ("modules", schema::number()),
        ("objects", schema::number()),
        ("notifications", schema::number()),
        ("groups_named", schema::number()),
        ("changed", schema::flag()),
    ])
}

fn mibs(ask: &Ask) -> Result<Answer, Problem> {
    let status = &ask.desk.status;
    let active = status.shared.active();
    let mib = active.rules.mib();
    let count = |kind| mib.objects().iter().filter(|object| object.kind == kind).count();
    let folder = own_folder(status.shared.journal.directory());
    let mut files = match Folder::existing(&folder) {
        Ok(there) => there
            .list()
            .map_err(|error| Problem::unavailable(format!("{} cannot be read: {error}", folder.display())))?,
        Err(_) => Vec::new(),
    };
    files.sort();
    Ok(Answer::json(&json!({
        "modules": mib.modules().iter().map(|name| &**name).collect::<Vec<&str>>(),
        "objects": count(Kind::Object),
        "notifications": count(Kind::Notification),
        "folder": folder,
        "files": files,
    })))
}

fn add(ask: Ask) -> Answering {
    Box::pin(async move {
        let name = ask.query.get("name").filter(|name| !name.is_empty()).unwrap_or("the file");
        if name.chars().count() > LONGEST {
            return Err(Problem::wrong(format!("name has at most {LONGEST} characters")));
        }
        if ask.body.is_empty() {
            return Err(Problem::wrong("the body is the file: a MIB module or a ZIP archive of some"));
        }
        let job = Job::AddMibs { name: name.to_owned(), content: ask.body.clone() };
        Ok(done(ask.desk.help(job).await?))
    })
}

fn remove(ask: Ask) -> Answering {
    Box::pin(async move {
        let file = ask.path.first().cloned().unwrap_or_default();
        let removed = ask.desk.help(Job::RemoveMib { file }).await;
        let removed = removed.map_err(|problem| match problem.status {
            StatusCode::UNPROCESSABLE_ENTITY => Problem { status: StatusCode::NOT_FOUND, ..problem },
            _ => problem,
        });
        Ok(done(removed?))
    })
}

/// What a helper has done.
pub(super) fn done(mut answer: Value) -> Answer {
    Answer::json(&answer["done"].take())
}
