//! Recipes of docs/sinks/webhook.md for tickets in forms, jobs and sensors, as they are printed, against stand-ins that refuse every
//! path, header and field that they do not know.

use serde_json::{Value, json};

use crate::support::{link_trap, wait_until};
use crate::tickets::{Desk, LINK_DOWN, LINK_UP, Shared, daemon, decoded, delivered, has, server};
use crate::web_server::{Answer, Request};

fn basic(request: &Request) -> Option<()> {
    request.header("authorization")?.starts_with("Basic ").then_some(())
}

fn answered(body: Value) -> Answer {
    (200, "", body.to_string())
}

/// iTop's rest.php: a form with one field, and 200 whatever happens.
fn itop(desk: &mut Desk, request: &Request) -> Option<Answer> {
    basic(request)?;
    let form = request.header("content-type")? == "application/x-www-form-urlencoded";
    (form && request.method == "POST" && request.path == "/webservices/rest.php?version=1.3").then_some(())?;
    let asked: Value = serde_json::from_str(&decoded(request.text().strip_prefix("json_data=")?)).ok()?;
    let operation = asked["operation"].as_str()?;
    (asked["class"] == "Incident" && asked["output_fields"] == "id").then_some(())?;
    let one = |id: u32| {
        json!({ "code": 0, "message": null, "objects": { format!("Incident::{id}"): { "code": 0, "key": id.to_string(),
            "class": "Incident", "message": "", "fields": { "id": id.to_string() } } } })
    };
    if operation == "core/get" {
        has(&asked, &["operation", "class", "output_fields", "key"]).then_some(())?;
        let query = asked["key"].as_str()?.strip_prefix("SELECT Incident WHERE title = '")?;
        let title = query.strip_suffix("' AND operational_status = 'ongoing'")?;
        let mut open = desk.tickets.iter().filter(|(_, (fields, open))| *open && fields["title"] == title);
        let none = json!({ "code": 0, "message": "Found: 0", "objects": null });
        return Some(answered(open.next().map_or(none, |(id, _)| one(*id))));
    }
    if operation == "core/create" {
        let fields = &asked["fields"];
        let known = has(&asked, &["operation", "class", "comment", "output_fields", "fields"])
            && has(fields, &["org_id", "title", "origin", "impact", "urgency", "description"]);
        known.then_some(())?;
        if desk.tickets.is_empty() && desk.notes.is_empty() {
            // As if the organization were not there yet.
            desk.notes.push("refused".to_owned());
            return Some(answered(
                json!({ "code": 100, "message": "Error: org_id: No item found", "objects": null }),
            ));
        }
        let id = desk.tickets.len() as u32 + 1;
        desk.tickets.insert(id, (fields.clone(), true));
        return Some(answered(one(id)));
    }
    let id: u32 = asked["key"].as_str()?.parse().ok()?;
    match operation {
        "core/update" if has(&asked["fields"], &["private_log"]) => {
            has(&asked, &["operation", "class", "comment", "output_fields", "key", "fields"]).then_some(())?;
            desk.notes.push(asked["fields"]["private_log"].as_str()?.to_owned());
        }
        "core/apply_stimulus" if has(&asked["fields"], &["solution"]) => {
            let all = ["operation", "class", "comment", "output_fields", "key", "stimulus", "fields"];
            (has(&asked, &all) && asked["stimulus"] == "ev_autoresolve").then_some(())?;
            desk.tickets.get_mut(&id)?.1 = false;
        }
        _ => return None,
    }
    Some(answered(one(id)))
}

#[test]
fn a_ticket_in_a_form_whose_mistakes_have_status_200() {
    let desk = Shared::default();
    let server = server(&desk, itop);
    let daemon = daemon("itop", &server);
    let target = daemon.snmp_target();
    let send = |trap: &str, port: &str, oper: &str| {
        link_trap(&["-v2c", "-c", "public", &target, "", trap], port, oper);
    };
    // The first try is refused with status 200, and counts for nothing.
    send(LINK_DOWN, "Gi0/3", "2");
    delivered(&daemon, 1);
    send(LINK_DOWN, "Gi0/3", "2");
    send(LINK_DOWN, "x' OR '1'='1&json_data={\"", "2");
    delivered(&daemon, 3);
    send(LINK_UP, "Gi0/3", "1");
    delivered(&daemon, 4);
    send(LINK_DOWN, "Gi0/3", "2");
    delivered(&daemon, 5);
    let desk = desk.lock().unwrap();
    let open: Vec<bool> = desk.tickets.values().map(|(_, open)| *open).collect();
    assert_eq!(open, [false, true, true], "closed, and another one opened: {:?}", desk.tickets);
    assert_eq!(desk.notes.len(), 2, "{:?}", desk.notes);
    assert!(desk.notes[1].starts_with("critical: Link down"), "{:?}", desk.notes);
    assert_eq!(desk.wrong, Vec::<String>::new());
}

#[test]
fn requests_jobs_and_sensors_get_what_they_know() {
    type Known = fn(&mut Desk, &Request) -> Option<Answer>;
    const SERVICE: &str = "Interface <x> $(reboot) \"&a=b";
    let easyvista: Known = |_, request| {
        basic(request)?;
        let (body, known) =
            (request.json(), ["Catalog_Code", "External_reference", "Urgency_ID", "Description"]);
        let one = &body["requests"][0];
        (request.path == "/api/v1/50004/requests" && has(&body, &["requests"]) && has(one, &known)).then(
            || {
                (
                    201,
                    "",
                    json!({ "HREF": "https://example.easyvista.com/api/v1/50004/requests/I1" }).to_string(),
                )
            },
        )
    };
    let awx: Known = |_, request| {
        basic(request)?;
        let body = request.json();
        let vars = ["trapline_id", "trapline_host", "trapline_service", "trapline_state"];
        let known = has(&body, &["extra_vars"]) && has(&body["extra_vars"], &vars);
        (known && body["extra_vars"]["trapline_service"] == SERVICE).then_some(())?;
        (request.path == "/api/v2/job_templates/42/launch/")
            .then(|| (201, "", json!({ "job": 7, "ignored_fields": {} }).to_string()))
    };
    let rundeck: Known = |_, request| {
        (request.header("x-rundeck-auth-token")? == "XXXX").then_some(())?;
        let body = request.json();
        let known = has(&body, &["options"]) && has(&body["options"], &["id", "host", "service", "state"]);
        (known && body["options"]["service"] == SERVICE).then_some(())?;
        (request.path == "/api/41/job/a9e8e00e-9f3b-4b8e-9c2a-f1234567890a/run")
            .then(|| (200, "", json!({ "id": 1, "status": "running" }).to_string()))
    };
    let jenkins: Known = |_, request| {
        basic(request)?;
        let text = request.text();
        let fields: Vec<(&str, String)> =
            text.split('&').filter_map(|part| part.split_once('=')).map(|(n, v)| (n, decoded(v))).collect();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let known = names == ["TRAPLINE_ID", "TRAPLINE_HOST", "TRAPLINE_SERVICE", "TRAPLINE_STATE"];
        let form = request.header("content-type")? == "application/x-www-form-urlencoded";
        (known && form && fields[2].1 == SERVICE).then_some(())?;
        (request.path == "/job/trapline/buildWithParameters").then(|| (201, "", String::new()))
    };
    let prtg: Known = |desk, request| {
        let body = request.json();
        let (prtg, result) = (&body["prtg"], &body["prtg"]["result"][0]);
        let known = has(&body, &["prtg"])
            && has(prtg, &["text", "result"])
            && has(result, &["channel", "limitmode", "limitmaxwarning", "limitmaxerror", "value"]);
        (known && result["value"] == 2 && request.path == "/trapline-sw%201").then_some(())?;
        // The sensor is not there at first.
        let sensors = if desk.notes.is_empty() { "0" } else { "1" };
        desk.notes.push(prtg["text"].as_str()?.to_owned());
        Some(answered(json!({ "status": "Ok", "Matching Sensors": sensors })))
    };
    let other: Known = |desk, request| {
        let body = request.json();
        let known = has(&body, &["identifier", "source", "object", "severity", "text", "time"])
            && request.header("authorization")? == "Bearer XXXX"
            && request.path == "/api/events";
        (known && body["object"] == SERVICE && body["severity"] == "critical").then_some(())?;
        // Its first answer has the same status, and refuses.
        let status = if desk.notes.is_empty() { "refused" } else { "accepted" };
        desk.notes.push(body["identifier"].as_str()?.to_owned());
        Some(answered(json!({ "status": status })))
    };
    for (name, known) in [
        ("easyvista", easyvista),
        ("awx", awx),
        ("rundeck", rundeck),
        ("jenkins", jenkins),
        ("prtg", prtg),
        ("other", other),
    ] {
        let desk = Shared::default();
        let server = server(&desk, known);
        let daemon = daemon(name, &server);
        // What `only` leaves out starts nothing.
        let port = SERVICE.strip_prefix("Interface ").unwrap();
        link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
        wait_until(&format!("{name} has it"), || {
            let sink = &daemon.status()["sinks"][0];
            assert_eq!(sink["dead"], 0, "{sink}");
            sink["delivered"] == 1 && sink["behind"] == 0
        });
        let desk = desk.lock().unwrap();
        assert_eq!(desk.wrong, Vec::<String>::new(), "{name}");
        assert_eq!(server.requests().len(), if name == "prtg" || name == "other" { 2 } else { 1 }, "{name}");
    }
}
