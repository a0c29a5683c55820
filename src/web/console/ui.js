// What several pages are made of.
import { html, useEffect, useRef, useState } from "./dom.js";
import { T, plain } from "./text.js";

const STATES = {
  ok: ["✓", "good"], up: ["✓", "good"],
  warning: ["!", "warn"],
  critical: ["✕", "bad"], down: ["✕", "bad"],
  unknown: ["?", "dim"], unreachable: ["?", "dim"],
};

/** A state as a word with a sign: colour alone says nothing to many. */
export function State({ of }) {
  const [sign, tone] = STATES[of] ?? ["·", "dim"];
  return html`<span class="state ${tone}"><span class="sign" aria-hidden="true">${sign}</span><${T}>${of ?? "–"}<//></span>`;
}

/** A short word with a tone. */
export function Badge({ tone = "dim", children }) {
  return html`<span class="badge ${tone}">${children}</span>`;
}

/** A page: its heading, what can be done, and its content. */
export function Page({ title, actions, children, note }) {
  useEffect(() => {
    document.title = `${plain(title)} – Trapline`;
  }, [title]);
  return html`
    <header class="page-head">
      <div><h1 tabindex="-1" id="page-title">${title}</h1>${note && html`<p class="note">${note}</p>`}</div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}`;
}

export function Panel({ title, actions, children, wide = false, id }) {
  return html`<section class="panel ${wide ? "wide" : ""}" id=${id}>
    ${title && html`<header><h2>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    <div class="panel-body">${children}</div>
  </section>`;
}

/** A mistake, with what to do where the daemon says so. */
export function Failure({ error, retry }) {
  if (!error) return null;
  return html`<div class="failure" role="alert">
    <p><strong>${error.status === 403 ? "Not allowed" : error.status === 404 ? "Not there" : "Failed"}:</strong> <${T}>${error.message}<//></p>
    ${error.errors?.length > 0 && html`<${Diagnostics} all=${error.errors} />`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** Mistakes by line and column. */
export function Diagnostics({ all, onPick }) {
  return html`<ul class="diagnostics">${all.map((one) => {
    const where = one.line ? `${one.line}:${one.column ?? 1}` : "";
    return html`<li class=${one.severity === "warning" ? "warn" : "bad"}>
      ${where && (onPick
        ? html`<button type="button" class="where" onClick=${() => onPick(one)}>${where}</button>`
        : html`<span class="where">${one.file && html`<${T}>${one.file}<//>:`}${where}</span>`)}
      <span class="kind">${one.severity === "warning" ? "warning" : "error"}</span>
      <${T}>${one.message}<//>${one.hint && html`<span class="hint">; <${T}>${one.hint}<//></span>`}
    </li>`;
  })}</ul>`;
}

/** Why a page is empty, and how to fill it. */
export function Empty({ title, children, command }) {
  return html`<div class="empty"><p><strong>${title}</strong></p>${children && html`<p>${children}</p>`}
    ${command && html`<${Command} text=${command} />`}</div>`;
}

/** A line for a shell, to be copied. */
export function Command({ text }) {
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("copied");
    } catch {
      say("select it and copy");
    }
    setTimeout(() => say(""), 2000);
  };
  return html`<div class="command"><code><${T}>${text}<//></code><button type="button" onClick=${copy} aria-label="Copy the line">${said || "Copy"}</button></div>`;
}

/** A table that can be wider than the page, and is scrolled by itself then. */
export function Table({ label, head, children, foot }) {
  return html`<div class="table" role="region" aria-label=${label} tabindex="0">
    <table>
      <thead><tr>${head.map((one) => {
        const [name, kind = ""] = Array.isArray(one) ? one : [one];
        return html`<th scope="col" class=${kind}>${name === "" ? html`<span class="hidden">what can be done</span>` : name}</th>`;
      })}</tr></thead>
      <tbody>${children}</tbody>
    </table>${foot}
  </div>`;
}

/** A row that j and k reach; Enter follows its first link or button. */
export function Row({ children, tone = "", ...rest }) {
  return html`<tr data-row tabindex="-1" class=${tone} ...${rest}>${children}</tr>`;
}

export function Loading({ what = "" }) {
  return html`<p class="loading" role="status">Loading ${what}…</p>`;
}

/** A dialog of the browser: it keeps the focus, and Esc closes it. */
export function Dialog({ title, onClose, children, wide = false }) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog ref=${dialog} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${onClose}
    onClick=${(event) => event.target === dialog.current && onClose()}>
    <div class="dialog-body">
      <header><h2 id="dialog-title">${title}</h2><button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button></header>
      ${children}
    </div>
  </dialog>`;
}

/** Asks before something is done that cannot be taken back. */
export function Confirm({ title, children, act, onDone, onClose, danger = true }) {
  const [error, fail] = useState(null);
  const [busy, set] = useState(false);
  const go = async () => {
    set(true);
    try {
      await onDone();
      onClose();
    } catch (problem) {
      fail(problem);
      set(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    ${children}
    <${Failure} error=${error} />
    <footer><button type="button" onClick=${onClose}>Cancel</button>
    <button type="button" class=${danger ? "danger" : "primary"} disabled=${busy} onClick=${go}>${act}</button></footer>
  <//>`;
}

/** A small line of values, oldest first. */
export function Spark({ values, label }) {
  if (!values || values.length < 2) return html`<svg class="spark" viewBox="0 0 100 24" aria-hidden="true"></svg>`;
  const most = Math.max(...values, 1e-9);
  const step = 100 / (values.length - 1);
  const at = values.map((v, i) => `${(i * step).toFixed(1)},${(22 - (v / most) * 20).toFixed(1)}`);
  return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label=${label ?? "course of the last values"}>
    <polygon points="0,23 ${at.join(" ")} 100,23" /><polyline points=${at.join(" ")} /></svg>`;
}

/** A number with its name. */
export function Tile({ name, value, unit, values, tone = "", note, href }) {
  const body = html`<span class="tile-name">${name}</span>
    <span class="tile-value">${value}${unit && html`<small> ${unit}</small>`}</span>
    ${values && html`<${Spark} values=${values} label="${name}, the last 60 minutes" />`}
    ${note && html`<span class="tile-note">${note}</span>`}`;
  return href ? html`<a class="tile ${tone}" href=${href}>${body}</a>` : html`<div class="tile ${tone}">${body}</div>`;
}

/** A field of a form with its label. */
export function Field({ label, hint, children, grow = false }) {
  return html`<label class="field ${grow ? "grow" : ""}"><span class="label">${label}</span>${children}${hint && html`<span class="hint">${hint}</span>`}</label>`;
}

/** Pairs of a name and a value. */
export function Facts({ all }) {
  const shown = all.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`<dl class="facts">${shown.map(([name, value, whole]) => html`<div class=${whole ? "whole" : ""}><dt>${name}</dt><dd>${typeof value === "string" ? html`<${T}>${value}<//>` : value}</dd></div>`)}</dl>`;
}
