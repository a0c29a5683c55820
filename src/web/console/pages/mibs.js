import { html, useRef, useState } from "../dom.js";
import { remove, request, useGet } from "../api.js";
import { Confirm, Empty, Failure, Field, Loading, Page, Panel, Row, Table } from "../ui.js";
import { T, count, number } from "../text.js";

const MOST = 32 * 1024 * 1024;
const SHOWN = 300;

/** What an upload has brought. */
function Report({ answer }) {
  const { added = [], not_added: kept = [], left_out: left = [], missing = [], reload } = answer;
  return html`<div class="upload-report" role="status">
    <p class=${added.length > 0 ? "good-text" : "warn-text"}><strong>${added.length > 0 ? `${count(added.length, "file")} of modules added` : "Nothing was added"}</strong>${added.length > 0 && `: ${count(answer.modules, "module")}, ${count(answer.objects, "object")} and ${count(answer.notifications, "notification")} more`}</p>
    ${answer.groups_named > 0 && html`<p><a href="#/inbox">${count(answer.groups_named, "kind")} of messages in the inbox ${answer.groups_named === 1 ? "has a name" : "have names"} now</a></p>`}
    ${reload && (reload.ok === false ? html`<div class="failure"><p><strong>The reload was refused:</strong> <${T}>${reload.error}<//></p></div>` : html`<p>They are in force.</p>`)}
    ${added.length > 0 && html`<ul>${added.map((one) => html`<li><${T}>${one.modules}<//> as <span class="mono"><${T}>${one.file}<//></span></li>`)}</ul>`}
    ${missing.length > 0 && html`<h3>Imports that no folder has</h3><p>Upload these modules, too: without them some definitions are not known.</p><ul class="diagnostics">${missing.map((one) => html`<li class="warn"><${T}>${one}<//></li>`)}</ul>`}
    ${kept.length > 0 && html`<h3>There already</h3><ul>${kept.map((one) => html`<li><${T}>${one.module}<//>: <${T}>${one.because}<//></li>`)}</ul>`}
    ${left.length > 0 && html`<h3>Left out</h3><ul>${left.slice(0, 50).map((one) => html`<li><${T}>${one.file}<//>: <${T}>${one.because}<//></li>`)}${left.length > 50 && html`<li>and ${number(left.length - 50)} more</li>`}</ul>`}
  </div>`;
}

function Upload({ onDone }) {
  const field = useRef(null);
  const [busy, work] = useState(false);
  const [error, fail] = useState(null);
  const [answer, say] = useState(null);
  const go = async (event) => {
    event.preventDefault();
    const file = field.current.files[0];
    if (!file) return;
    say(null);
    fail(null);
    if (file.size > MOST) {
      fail(new Error("the file has more than 32 MiB; use `trapline mib add` on the machine"));
      return;
    }
    work(true);
    try {
      say((await request("POST", `mibs?${new URLSearchParams({ name: file.name })}`, { body: file, type: "application/octet-stream" })).answer);
      field.current.value = "";
      await onDone();
    } catch (problem) {
      fail(problem);
    }
    work(false);
  };
  return html`<${Panel} title="Add modules" wide=${true}>
    <form class="filters" onSubmit=${go}>
      <${Field} label="A module, or a ZIP archive as the vendor ships it" grow=${true}><input ref=${field} type="file" required /><//>
      <button type="submit" class="primary" disabled=${busy}>${busy ? "Reading…" : "Add"}</button>
    </form>
    <${Failure} error=${error} />
    ${answer && html`<${Report} answer=${answer} />`}
  <//>`;
}

/** The modules in force, and those that were added here. */
export function Mibs({ session }) {
  const { data, error, loading, load } = useGet("mibs");
  const [filter, set] = useState("");
  const [taking, take] = useState(null);
  const isAdmin = session?.role === "admin";
  const files = data?.files ?? [];
  const words = filter.toLowerCase();
  const modules = (data?.modules ?? []).filter((name) => name.toLowerCase().includes(words)).sort();
  return html`<${Page} title="MIBs" note=${data ? `${count(data.modules.length, "module")} in force, with ${number(data.objects)} objects and ${number(data.notifications)} notifications` : ""}>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="modules" />`}
    <div class="grid">
      ${isAdmin ? html`<${Upload} onDone=${load} />` : html`<${Panel} title="Add modules" wide=${true}><${Empty} title="Your token may not add modules." command="trapline mib add vendor.zip && trapline reload">That needs the role admin. On the machine this does the same:<//><//>`}
      ${data && html`<${Panel} title="Added here" wide=${true}>
        ${files.length === 0
          ? html`<${Empty} title="No module was added here yet.">Traps of devices whose modules are not there have numbers in the place of names. What is added is kept in <span class="mono"><${T}>${data.folder}<//></span>.<//>`
          : html`<${Table} label="Added files" head=${["file", ["", "actions-col"]]}>${files.map((name) => html`<${Row} key=${name}><td class="mono"><${T}>${name}<//></td>
            <td class="actions-col">${isAdmin && html`<button type="button" class="small" onClick=${() => take(name)}>Remove…</button>`}</td><//>`)}<//>`}
      <//>`}
      ${data && html`<${Panel} title="In force" wide=${true}>
        <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}><${Field} label="Name" grow=${true}><input type="search" data-key="/" value=${filter} placeholder="IF-MIB" spellcheck=${false} onInput=${(event) => set(event.target.value)} /><//></form>
        ${modules.length === 0 ? html`<p>No module has this in its name.</p>` : html`<ul class="columns mono">${modules.slice(0, SHOWN).map((name) => html`<li key=${name}><${T}>${name}<//></li>`)}</ul>`}
        ${modules.length > SHOWN && html`<p class="faint">${number(SHOWN)} of ${number(modules.length)}; a part of the name finds the others</p>`}
      <//>`}
    </div>
    ${taking && html`<${Confirm} title="Remove the file?" act="Remove" danger=${true} onClose=${() => take(null)} onDone=${async () => { await remove(`mibs/${encodeURIComponent(taking)}`); await load(); }}>
      <p>Names of <strong class="mono"><${T}>${taking}<//></strong> are not known any more. Rules that use them are refused at the next reload.</p><//>`}
  <//>`;
}
