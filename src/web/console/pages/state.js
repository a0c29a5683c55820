import { html, useState } from "../dom.js";
import { post, query, remove, useGet } from "../api.js";
import { Badge, Confirm, Dialog, Empty, Failure, Field, Loading, Page, Panel, Row, State, Table } from "../ui.js";
import { T, When, count, number } from "../text.js";

const MOST = 500;

function Mutes({ mayOperate }) {
  const { data, error, load } = useGet("mutes", 10_000);
  const [adding, add] = useState(false);
  const [ending, end] = useState(null);
  const mutes = data?.mutes ?? [];
  const covers = (mute) => {
    const parts = ["host", "service", "rule"].filter((name) => mute[name]).map((name) => `${name} ${mute[name]}`);
    if (mute.sinks?.length > 0) parts.push(`sinks ${mute.sinks.join(", ")}`);
    return parts.length > 0 ? parts.join(", ") : "everything";
  };
  return html`<${Panel} title="Mutes" wide=${true} actions=${mayOperate && html`<button type="button" onClick=${() => add(true)}>Mute…</button>`}>
    <${Failure} error=${error} />
    ${data && mutes.length === 0 && html`<${Empty} title="Nothing is muted." command="trapline mute --host 'core-*' --for 2h --reason 'new line cards'">A mute keeps outcomes from sinks with honour_mutes = true, for planned work and known trouble.<//>`}
    ${mutes.length > 0 && html`<p class="faint">${count(data.withheld, "service")} with a last outcome that is told when the mute ends</p>
      <${Table} label="Mutes" head=${["covers", "until", "active", ["muted", "num"], ["reason", "wide-only"], ["", "actions-col"]]}>
      ${mutes.map((mute, at) => html`<${Row} key=${mute.id ?? `c${at}`}><td><${T}>${covers(mute)}<//></td><td>${mute.until ? html`<${When} at=${mute.until} />` : html`<span class="faint">by the configuration</span>`}</td>
        <td>${mute.active ? "yes" : "no"}</td><td class="num">${number(mute.muted)}</td><td class="wide-only"><${T}>${mute.reason ?? ""}<//></td>
        <td class="actions-col">${mayOperate && mute.id && html`<button type="button" class="small" onClick=${() => end(mute)}>End</button>`}</td><//>`)}<//>`}
    ${adding && html`<${NewMute} onClose=${() => add(false)} onDone=${load} />`}
    ${ending && html`<${Confirm} title="End the mute?" act="End it" danger=${false} onClose=${() => end(null)} onDone=${async () => { await remove(`mutes/${ending.id}`); await load(); }}>
      <p>Each service that it has muted gets its last outcome now.</p><//>`}
  <//>`;
}

function NewMute({ onClose, onDone }) {
  const [form, fill] = useState({ host: "", service: "", rule: "", seconds: "7200", reason: "" });
  const [error, fail] = useState(null);
  const set = (name) => (event) => fill({ ...form, [name]: event.target.value });
  const go = async (event) => {
    event.preventDefault();
    const covers = Object.fromEntries(["host", "service", "rule", "reason"].filter((name) => form[name].trim() !== "").map((name) => [name, form[name].trim()]));
    try {
      await post("mutes", { covers, seconds: Number(form.seconds), everything: nothing });
      await onDone();
      onClose();
    } catch (problem) {
      fail(problem);
    }
  };
  const nothing = form.host.trim() === "" && form.service.trim() === "" && form.rule.trim() === "";
  return html`<${Dialog} title="Mute" onClose=${onClose}><form onSubmit=${go} class="stack">
    <${Field} label="Host" hint="names with * and ?"><input value=${form.host} placeholder="core-*" spellcheck=${false} autofocus onInput=${set("host")} /><//>
    <${Field} label="Service"><input value=${form.service} spellcheck=${false} onInput=${set("service")} /><//>
    <${Field} label="Rule"><input value=${form.rule} spellcheck=${false} onInput=${set("rule")} /><//>
    <${Field} label="For"><select value=${form.seconds} onChange=${set("seconds")}>${[[1800, "30 minutes"], [7200, "2 hours"], [28800, "8 hours"], [86400, "1 day"], [604800, "7 days"]].map(([seconds, name]) => html`<option value=${seconds}>${name}</option>`)}</select><//>
    <${Field} label="Reason"><input value=${form.reason} placeholder="new line cards" onInput=${set("reason")} /><//>
    ${nothing && html`<p class="warn-text">Without a name it mutes everything.</p>`}
    <${Failure} error=${error} />
    <footer><button type="button" onClick=${onClose}>Cancel</button><button type="submit" class="primary">Mute</button></footer></form><//>`;
}

/** What rules keep over time. */
export function Correlation({ session }) {
  const [filter, set] = useState({ host: "", service: "", rule: "" });
  const [wanted, want] = useState({});
  const [clearing, clear] = useState(null);
  const [silent, quiet] = useState(false);
  const { data, error, loading, load } = useGet(`states${query(wanted)}`, 5000);
  const entries = data?.entries ?? [];
  const mayOperate = session?.role !== "read";
  const input = (name) => (event) => set({ ...filter, [name]: event.target.value });
  return html`<${Page} title="Correlation" note=${data ? `${count(data.total, "entry", "entries")}: what rules hold open, hold back or count` : ""}>
    <form class="filters" role="search" onSubmit=${(event) => { event.preventDefault(); want(filter); }}>
      <${Field} label="Host"><input data-key="/" value=${filter.host} placeholder="core-*" spellcheck=${false} onInput=${input("host")} /><//>
      <${Field} label="Service"><input value=${filter.service} spellcheck=${false} onInput=${input("service")} /><//>
      <${Field} label="Rule"><input value=${filter.rule} spellcheck=${false} onInput=${input("rule")} /><//>
      <button type="submit" class="primary">Search</button>
    </form>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="entries" />`}
    ${data && entries.length === 0 && html`<${Empty} title="Nothing is open, held back or flapping." command="trapline send trap linkDown">Rules with clears, hold, dedup or expect keep entries here until the trouble ends.<//>`}
    ${entries.length > 0 && html`<${Table} label="Entries" head=${["what", "state", "host", "service", ["rule", "wide-only"], ["since", "num"], ["messages", "num"], ["next", "wide-only"], ["output", "wide-only"], ["", "actions-col"]]}>
      ${entries.slice(0, MOST).map((one) => html`<${Row} key=${one.id}><td><${Badge}><${T}>${one.what}<//><//></td><td class="nowrap"><${State} of=${one.state} /></td>
        <td><${T}>${one.host ?? "–"}<//></td><td><${T}>${one.service ?? "–"}<//></td><td class="mono wide-only"><${T}>${one.rule}<//></td><td class="num"><${When} at=${one.since} /></td><td class="num">${number(one.count)}</td>
        <td class="wide-only">${one.next ? html`<${T}>${one.next}<//> <${When} at=${one.due} />` : ""}</td><td class="wide-only output"><${T} max=${160}>${one.output ?? ""}<//></td>
        <td class="actions-col">${mayOperate && html`<button type="button" class="small" onClick=${() => clear(one)}>Clear…</button>`}</td><//>`)}
    <//>`}
    ${entries.length > MOST && html`<p class="faint">The first ${number(MOST)} of ${number(data.total)}; filter for others.</p>`}
    <${Mutes} mayOperate=${mayOperate} />
    ${clearing && html`<${Confirm} title="Clear it?" act="Clear" onClose=${() => clear(null)} onDone=${async () => { await remove(`states${query({ id: clearing.id, silent })}`); await load(); }}>
      <p><${T}>${clearing.host ?? ""}<//> ${clearing.service && html`/ <${T}>${clearing.service}<//>`} of the rule <span class="mono"><${T}>${clearing.rule}<//></span> ends, as if its trouble had ended.</p>
      <label class="check"><input type="checkbox" checked=${silent} onChange=${(event) => quiet(event.target.checked)} /> send nothing to sinks</label><//>`}
  <//>`;
}
