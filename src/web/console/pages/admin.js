import { html, useState } from "../dom.js";
import { post, remove, useGet } from "../api.js";
import { enable, enabled } from "../keys.js";
import { Badge, Command, Confirm, Dialog, Empty, Failure, Field, Loading, Page, Panel, Row, Table } from "../ui.js";
import { T, When, duration, number } from "../text.js";

function Reload({ status, mayOperate }) {
  const [said, say] = useState(null);
  const [error, fail] = useState(null);
  const [busy, work] = useState(false);
  const go = async () => {
    work(true);
    try {
      await post("reload");
      say("The configuration was read again and is in force.");
      fail(null);
    } catch (problem) {
      say(null);
      fail(problem);
    }
    work(false);
  };
  const reloads = status?.reloads;
  return html`<${Panel} title="Configuration" actions=${mayOperate && html`<button type="button" disabled=${busy} onClick=${go}>${busy ? "Reading…" : "Reload"}</button>`}>
    <p>${reloads ? `${number(reloads.done)} reloads took effect, ${number(reloads.refused)} were refused since the start.` : ""} A reload with mistakes changes nothing.</p>
    ${reloads?.error && !error && html`<div class="failure"><p><strong>The last one was refused:</strong> <${T}>${reloads.error}<//></p></div>`}
    ${said && html`<p class="good-text" role="status">${said}</p>`}
    <${Failure} error=${error} />
  <//>`;
}

function NewToken({ onClose, onDone }) {
  const [form, fill] = useState({ name: "", role: "read", days: "90" });
  const [made, make] = useState(null);
  const [error, fail] = useState(null);
  const set = (name) => (event) => fill({ ...form, [name]: event.target.value });
  const go = async (event) => {
    event.preventDefault();
    try {
      make(await post("tokens", { name: form.name.trim(), role: form.role, ...(form.days === "0" ? {} : { expires_seconds: Number(form.days) * 86400 }) }));
      await onDone();
    } catch (problem) {
      fail(problem);
    }
  };
  if (made) {
    return html`<${Dialog} title="The token" onClose=${onClose}><p>This is the only time that it is shown. Keep it like a password.</p><${Command} text=${made.token} /><footer><button type="button" class="primary" onClick=${onClose}>Done</button></footer><//>`;
  }
  return html`<${Dialog} title="New token" onClose=${onClose}><form class="stack" onSubmit=${go}>
    <${Field} label="Name" hint="whose it is, or what for"><input required autofocus value=${form.name} placeholder="grafana" spellcheck=${false} onInput=${set("name")} /><//>
    <${Field} label="Role"><select value=${form.role} onChange=${set("role")}><option value="read">read: looks at everything</option><option value="operate">operate: also rules, dead letters, mutes, reload</option><option value="admin">admin: also tokens and the audit</option></select><//>
    <${Field} label="Valid for"><select value=${form.days} onChange=${set("days")}><option value="1">1 day</option><option value="30">30 days</option><option value="90">90 days</option><option value="365">1 year</option><option value="0">ever</option></select><//>
    <${Failure} error=${error} />
    <footer><button type="button" onClick=${onClose}>Cancel</button><button type="submit" class="primary">Make the token</button></footer></form><//>`;
}

function Tokens() {
  const { data, error, loading, load } = useGet("tokens", 15_000);
  const [adding, add] = useState(false);
  const [removing, take] = useState(null);
  const tokens = data?.tokens ?? [];
  return html`<${Panel} title="Tokens" wide=${true} actions=${html`<button type="button" onClick=${() => add(true)}>New token…</button>`}>
    <${Failure} error=${error} retry=${load} />${loading && html`<${Loading} what="tokens" />`}
    ${tokens.length > 0 && html`<${Table} label="Tokens" head=${["name", "role", ["made", "num wide-only"], ["used", "num"], ["ends", "num"], ["", "actions-col"]]}>
      ${tokens.map((one) => html`<${Row} key=${one.name}><td><${T}>${one.name}<//></td><td><${Badge}>${one.role}<//></td><td class="num wide-only"><${When} at=${one.created} /></td><td class="num">${one.used_seconds_ago === null || one.used_seconds_ago === undefined ? html`<span class="faint">not since the start</span>` : `${duration(one.used_seconds_ago)} ago`}</td>
        <td class="num">${one.expires ? html`<${When} at=${one.expires} />` : html`<span class="faint">never</span>`}</td><td class="actions-col"><button type="button" class="small" onClick=${() => take(one)}>Remove…</button></td><//>`)}<//>`}
    ${adding && html`<${NewToken} onClose=${() => add(false)} onDone=${load} />`}
    ${removing && html`<${Confirm} title="Remove the token?" act="Remove" onClose=${() => take(null)} onDone=${async () => { await remove(`tokens/${encodeURIComponent(removing.name)}`); await load(); }}>
      <p>Whoever uses <strong><${T}>${removing.name}<//></strong> is refused from now on. Sessions made with it end.</p><//>`}
  <//>`;
}

function Audit() {
  const { data, error, loading } = useGet("audit?limit=100", 10_000);
  const items = data?.items ?? [];
  return html`<${Panel} title="Audit" wide=${true}>
    <${Failure} error=${error} />${loading && html`<${Loading} what="the audit" />`}
    ${data && items.length === 0 && html`<${Empty} title="Nothing was changed yet.">Each request that changes something stands here, with who made it.<//>`}
    ${items.length > 0 && html`<${Table} label="Audit" head=${["time", "token", ["role", "wide-only"], ["address", "narrow-off"], "request", ["status", "num"]]}>
      ${items.map((one, at) => html`<${Row} key=${at}><td><${When} at=${one.time} /></td><td><${T}>${one.token ?? "–"}<//></td><td class="wide-only"><${T}>${one.role ?? "–"}<//></td><td class="narrow-off"><${T}>${one.address ?? "–"}<//></td>
        <td class="mono"><${T}>${one.method}<//> <${T} max=${120}>${one.path}<//></td><td class="num ${one.status >= 400 ? "bad-text" : ""}">${one.status ?? html`<span class="faint" title="it was announced; how it ended is not known">–</span>`}</td><//>`)}<//>`}
  <//>`;
}

function Keys() {
  const [on, set] = useState(enabled());
  return html`<${Panel} title="This browser"><label class="check"><input type="checkbox" checked=${on} onChange=${(event) => { enable(event.target.checked); set(event.target.checked); }} /> <span>Keys of one letter are on (<kbd>?</kbd> lists them)</span></label><//>`;
}

/** Tokens, who did what, reload. */
export function Admin({ session, status }) {
  const isAdmin = session?.role === "admin";
  return html`<${Page} title="Administration" note=${status ? `Trapline ${status.version}, process ${status.pid}, running for ${duration(status.uptime_seconds)}` : ""}>
    <div class="grid">
      <${Reload} status=${status} mayOperate=${session?.role !== "read"} />
      <${Keys} />
      ${isAdmin ? html`<${Tokens} /><${Audit} />` : html`<${Panel} title="Tokens and audit" wide=${true}><${Empty} title="Your token may not see these." command="trapline token add NAME --role admin">They need the role admin. This line makes such a token:<//><//>`}
    </div>
  <//>`;
}
