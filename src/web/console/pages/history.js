import { html, useEffect, useMemo, useState } from "../dom.js";
import { get, query, useGet } from "../api.js";
import { Chart, columns } from "../chart.js";
import { Badge, Dialog, Empty, Facts, Failure, Field, Loading, Page, Row, State, Table } from "../ui.js";
import { T, When, count, local, number } from "../text.js";

const AGES = { "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800, "30d": 2592000 };
const FIELDS = ["q", "host", "service", "state", "rule", "source", "why"];
const REASONS = {
  threshold: "too few for the threshold", held: "held", cancelled: "over before its hold", flapping: "flapping", duplicate: "duplicate", throttled: "throttled",
  worse: "a worse problem is open", still_open: "another problem is open", orphan: "clears nothing", reordered: "overtaken by its clear", dropped: "dropped by the rule",
  unmatched: "no rule takes it", muted: "muted",
};
const FACETS = [["state", "State"], ["host", "Host"], ["service", "Service"], ["rule", "Rule"], ["source", "Sender"], ["why", "Came to nothing"]];
const STATES = [["critical", "--bad"], ["down", "--bad"], ["warning", "--warn"], ["unknown", "--dim"], ["unreachable", "--dim"], ["up", "--good"], ["ok", "--good"]];

const stepOf = (seconds) => [60, 300, 900, 3600, 21600, 86400].find((step) => seconds / step <= 200) ?? 86400;
const inField = (seconds) => local(seconds * 1000).replace(" ", "T").slice(0, 16);

/** What is searched for, by the address; a range without ends is fixed now. */
function wantedBy(address) {
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, address.get(name) ?? ""]));
  wanted.changes = address.get("changes") === "1";
  wanted.untold = address.get("untold") !== "0";
  const age = AGES[address.get("age")] ?? null;
  const [from, to] = [Number(address.get("from")), Number(address.get("to"))];
  wanted.to = to > 0 ? to : Math.ceil(Date.now() / 1000);
  wanted.from = from > 0 ? from : wanted.to - (age ?? AGES["24h"]);
  wanted.age = from > 0 || to > 0 ? "range" : address.get("age") ?? "24h";
  return wanted;
}

function Plot({ wanted, onRange }) {
  const step = stepOf(wanted.to - wanted.from);
  const { host, rule, state } = wanted;
  const { data, error } = useGet(`series${query({ metric: "outcomes", by: "state", from: wanted.from, to: wanted.to, step, host, rule, state })}`);
  const drawn = useMemo(() => {
    if (!data) return null;
    const { times, all } = columns(Array.isArray(data) ? data : data.items ?? [], wanted.from, wanted.to, step);
    return { times, series: STATES.filter(([name]) => all.has(name)).map(([name, colour]) => ({ name, colour, values: all.get(name) })) };
  }, [data]);
  const others = ["q", "service", "source", "why"].some((name) => wanted[name] !== "") || wanted.changes;
  if (error) return html`<${Failure} error=${error} />`;
  if (!drawn || drawn.series.length === 0) return null;
  return html`<${Chart} times=${drawn.times} series=${drawn.series} height=${130} label="Outcomes over the range" onRange=${onRange} />
    ${others && html`<p class="faint">The plot counts all outcomes of the range${[host && "host", rule && "rule", state && "state"].some(Boolean) ? ", by host, rule and state" : ""}; the other fields narrow the list alone.</p>`}`;
}

function Whole({ item, onClose }) {
  const facts = [
    ["time", `${local(item.time)} (${item.time})`], ["state", item.state && html`<${State} of=${item.state} />${item.previous && html` after <${State} of=${item.previous} />`}`],
    ["host", item.host], ["service", item.service], ["output", item.output], ["long output", item.long_output], ["performance data", item.perfdata],
    ["rule", item.rule], ["sender", item.source], ["kind", item.kind], ["stands for", item.count > 1 ? `${number(item.count)} ${item.why && item.why !== "muted" ? "messages" : "outcomes"}` : null], ["came to nothing", item.because],
    ["labels", item.labels && Object.keys(item.labels).length > 0 ? Object.entries(item.labels).map(([k, v]) => `${k}=${v}`).join(", ") : null],
    ["id", item.id],
  ];
  return html`<${Dialog} title=${item.why && item.why !== "muted" ? "A message that came to nothing" : "Outcome"} onClose=${onClose} wide=${true}><${Facts} all=${facts} /><//>`;
}

/** How what was found is spread; a name narrows the search to it. */
function Facets({ filters, onPick }) {
  const [open, show] = useState(false);
  const { data, error, loading } = useGet(open ? `facets${query(filters)}` : null);
  const all = data ? FACETS.map(([name, title]) => [name, title, data.facets[name]]).filter(([, , facet]) => facet && facet.names > 0) : [];
  return html`<details class="facets" onToggle=${(event) => show(event.target.open)}>
    <summary>Facets: what is found, by state, host, service, rule, sender and reason</summary>
    <${Failure} error=${error} />${open && loading && html`<${Loading} what="facets" />`}
    ${data && html`<p class="faint">${count(data.rows, "row")} for ${number(data.outcomes)} outcomes and messages${data.partial ? "; counting ended after two seconds, at the newest ones" : ""}</p>`}
    ${data && all.length === 0 && html`<p>Nothing was found.</p>`}
    <div class="facet-lists">${all.map(([name, title, facet]) => html`<section key=${name}><h3>${title} <span class="faint">${number(facet.names)}</span></h3>
      <ul>${facet.top.map((one) => html`<li>${one.value === "" ? html`<span class="faint">(none)</span>` : html`<button type="button" class="link" onClick=${() => onPick(name, one.value)}><${T} max=${60}>${name === "why" ? REASONS[one.value] ?? one.value : one.value}<//></button>`} <span class="num">${number(one.count)}</span></li>`)}
      ${facet.others > 0 && html`<li class="faint">others <span class="num">${number(facet.others)}</span></li>`}</ul></section>`)}</div>
  </details>`;
}

/** What was told, searched. */
export function History({ query: address }) {
  const key = address.toString();
  const [wanted, want] = useState(() => wantedBy(address));
  const [form, fill] = useState(wanted);
  const [found, find] = useState({ items: [], next: null, partial: false, loading: true, error: null });
  const [whole, show] = useState(null);
  useEffect(() => {
    const next = wantedBy(address);
    want(next);
    fill(next);
  }, [key]);
  const filters = { ...Object.fromEntries(FIELDS.map((name) => [name, wanted[name]])), changes: wanted.changes, untold: wanted.untold && !wanted.changes, from: wanted.from, to: wanted.to };
  const load = async (cursor) => {
    if (!cursor) find({ items: [], next: null, partial: false, loading: true, error: null });
    try {
      const answer = await get(`outcomes${query({ ...filters, limit: 100, cursor })}`);
      find((old) => ({ items: cursor ? [...old.items, ...answer.items] : answer.items, next: answer.next, partial: answer.partial, unreadable: answer.unreadable ?? [], loading: false, error: null }));
    } catch (error) {
      find((old) => ({ ...old, loading: false, error }));
    }
  };
  useEffect(() => {
    load(null);
  }, [wanted]);
  const go = (changed) => {
    const next = { ...form, ...changed };
    const range = next.age === "range" ? { from: next.from, to: next.to } : { age: next.age };
    const at = query({ ...Object.fromEntries(FIELDS.map((name) => [name, next[name].trim()])), changes: next.changes, untold: next.untold ? "" : "0", ...range });
    if (`#/history${at}` === location.hash) want(wantedBy(new URLSearchParams(at)));
    else location.hash = `#/history${at}`;
  };
  const set = (name) => (event) => fill({ ...form, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const { from, to, ...words } = filters;
  const csv = `api/export/history${query({ format: "csv", startTime: from, endTime: to, ...words })}`;
  const ended = `${local(wanted.from * 1000).slice(0, 16)} to ${local(wanted.to * 1000).slice(0, 16)}`;
  const off = found.error && [404, 503].includes(found.error.status);
  return html`<${Page} title="History" note=${off ? "" : `${ended}: the range stays as it is until you search again`}
      actions=${!off && html`<a class="button" href=${csv} download="outcomes.csv">CSV of this range</a>`}>
    <form class="filters" role="search" onSubmit=${(event) => { event.preventDefault(); go({}); }}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${form.q} placeholder="link gi0/3" onInput=${set("q")} /><//>
      <${Field} label="Host"><input value=${form.host} placeholder="core-*" onInput=${set("host")} spellcheck=${false} /><//>
      <${Field} label="Service"><input value=${form.service} onInput=${set("service")} spellcheck=${false} /><//>
      <${Field} label="Rule"><input value=${form.rule} onInput=${set("rule")} spellcheck=${false} /><//>
      <${Field} label="State"><select value=${form.state} onChange=${set("state")}><option value="">any</option>
        ${["critical", "warning", "unknown", "ok", "down", "unreachable", "up"].map((one) => html`<option value=${one}>${one}</option>`)}</select><//>
      <${Field} label="Range"><select value=${form.age} onChange=${set("age")}>${Object.keys(AGES).map((one) => html`<option value=${one}>last ${one}</option>`)}<option value="range">from … to</option></select><//>
      ${form.age === "range" && html`
        <${Field} label="From"><input type="datetime-local" value=${inField(form.from)} onChange=${(event) => fill({ ...form, from: new Date(event.target.value).getTime() / 1000 || form.from })} /><//>
        <${Field} label="To"><input type="datetime-local" value=${inField(form.to)} onChange=${(event) => fill({ ...form, to: new Date(event.target.value).getTime() / 1000 || form.to })} /><//>`}
      ${form.source !== "" && html`<${Field} label="Sender"><input value=${form.source} onInput=${set("source")} spellcheck=${false} /><//>`}
      <${Field} label="Came to nothing"><select value=${form.why} onChange=${set("why")}><option value="">any</option>${Object.entries(REASONS).map(([name, says]) => html`<option value=${name}>${says}</option>`)}</select><//>
      <label class="check"><input type="checkbox" checked=${form.changes} onChange=${set("changes")} /> changes only</label>
      <label class="check"><input type="checkbox" checked=${form.untold} disabled=${form.changes} onChange=${set("untold")} /> also what came to nothing</label>
      <button type="submit" class="primary">Search</button>
    </form>
    ${!off && html`<${Plot} wanted=${wanted} onRange=${(from, to) => go({ age: "range", from: Math.floor(from), to: Math.ceil(to) })} />`}
    ${!off && html`<${Facets} key=${JSON.stringify(filters)} filters=${filters} onPick=${(name, value) => go({ [name]: value })} />`}
    ${off
      ? html`<${Empty} title="No history is kept." command=${'printf "\\n[history]\\n" >> /etc/trapline/trapline.toml && trapline reload'}><${T}>${found.error.message}<//><//>`
      : html`<${Failure} error=${found.error} retry=${() => load(null)} />`}
    ${found.unreadable?.length > 0 && html`<div class="failure" role="alert"><p><strong>Not all of the history can be read.</strong> Rows of these files are missing here; remove such a file, or copy it back from a backup:</p><ul>${found.unreadable.map((one) => html`<li><${T}>${one}<//></li>`)}</ul></div>`}
    ${found.loading && html`<${Loading} what="outcomes" />`}
    ${!found.loading && !found.error && found.items.length === 0 && html`<${Empty} title="Nothing was found in this range." command="trapline send trap linkDown">Take a longer range or fewer words. This line sends a trap, which stands here a second later, whatever becomes of it:<//>`}
    ${found.items.length > 0 && html`<${Table} label="Outcomes" head=${["time", "state", "host", "service", ["output", "wide-only"], ["rule", "wide-only"], ["count", "num wide-only"]]}>
      ${found.items.map((item) => html`<${Row} key=${item.id}>
        <td><button type="button" class="link" onClick=${() => show(item)}><${When} at=${item.time} /></button></td>
        <td class="nowrap">${item.state ? html`<${State} of=${item.state} />` : html`<span class="faint">–</span>`}${item.why && html` <${Badge}>${REASONS[item.why] ?? item.why}<//>`}</td><td><${T}>${item.host}<//></td><td><${T}>${item.service ?? "–"}<//></td>
        <td class="wide-only output"><${T} max=${300}>${item.output}<//></td><td class="wide-only mono"><${T}>${item.rule}<//></td><td class="num wide-only">${item.count > 1 ? number(item.count) : ""}</td><//>`)}
    <//>`}
    ${found.items.length > 0 && html`<p class="line"><span class="faint">${count(found.items.length, "row")}${found.partial ? "; the search ended after two seconds, and there may be more" : ""}</span>
      ${found.next && html` <button type="button" onClick=${() => load(found.next)}>More</button>`}</p>`}
    ${whole && html`<${Whole} item=${whole} onClose=${() => show(null)} />`}
  <//>`;
}
