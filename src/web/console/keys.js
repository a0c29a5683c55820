// The keyboard: letters alone, which can be switched off (WCAG 2.1.4). An element takes a key by `data-key`; the row that has
// the focus is asked first, then the page.
import { html, useState } from "./dom.js";
import { Dialog } from "./ui.js";

export const PAGES = [
  ["o", "overview", "Overview"],
  ["l", "live", "Live"],
  ["h", "history", "History"],
  ["i", "inbox", "Inbox"],
  ["r", "rules", "Rules"],
  ["s", "sinks", "Sinks"],
  ["c", "state", "Correlation"],
  ["e", "senders", "Senders"],
  ["k", "checkins", "Check-ins"],
  ["m", "mibs", "MIBs"],
  ["a", "admin", "Administration"],
];

const STORE = "trapline.keys";
export function enabled() {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true;
  }
}

export function enable(on) {
  try {
    localStorage.setItem(STORE, on ? "on" : "off");
  } catch {
    // Without storage it holds until the page is left.
  }
}

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;
const rows = () => [...document.querySelectorAll("main [data-row]")].filter((row) => row.offsetParent !== null);

function move(by) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.indexOf(document.activeElement?.closest?.("[data-row]"));
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

function press(key, among) {
  const found = among.querySelector(`[data-key="${CSS.escape(key)}"]:not([disabled])`);
  if (found === null) return false;
  if (found.matches("input, textarea, select")) {
    found.focus();
    found.select?.();
  } else {
    found.click();
  }
  return true;
}

let goes = 0;

/** Handles a key; `help` opens the list of keys. */
export function onKey(event, help) {
  const main = document.querySelector("#main");
  if (main === null || main.closest(".login, [hidden]") !== null || event.defaultPrevented || event.isComposing) return;
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
    const scope = document.querySelector("dialog[open]") ?? main;
    if (scope.querySelector('[data-key="Ctrl+S"]') !== null) {
      event.preventDefault();
      press("Ctrl+S", scope);
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") !== null) return;
  if (event.key === "Escape") {
    if (typing(event.target)) event.target.blur();
    else press("Escape", main);
    return;
  }
  if (typing(event.target) || !enabled()) return;
  const row = document.activeElement?.closest?.("[data-row]") ?? null;
  const { key } = event;
  const goesTo = Date.now() - goes < 1500 ? PAGES.find(([letter]) => letter === key) : undefined;
  goes = 0;
  if (goesTo !== undefined) {
    location.hash = `#/${goesTo[1]}`;
  } else if (key === "g") {
    goes = Date.now();
  } else if (key === "j" || key === "k") {
    move(key === "j" ? 1 : -1);
  } else if (key === "?") {
    help();
  } else if (key === "Enter") {
    // On a link or a button the browser does it.
    if (row === null || document.activeElement !== row) return;
    row.querySelector("a, button")?.click();
  } else if (key === " " && document.activeElement?.matches("button, summary, a, [role=region]")) {
    return;
  } else if (!(row !== null && press(key, row)) && !press(key, main)) {
    return;
  }
  event.preventDefault();
}

const KEYS = [
  ["/", "to the search field"],
  ["j, k", "to the next or the previous row"],
  ["Enter", "open the row"],
  ["m", "make a rule of the group"],
  ["x", "make a rule that drops the group"],
  ["Space", "hold the live list, or let it go on"],
  ["Ctrl+S", "save the rule"],
  ["Esc", "leave a field, close, or go back"],
  ["?", "this list"],
];

export function Help({ onClose }) {
  const [on, set] = useState(enabled());
  const toggle = (event) => {
    enable(event.target.checked);
    set(event.target.checked);
  };
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <div class="keys">
      <table><caption>Everywhere</caption><tbody>${KEYS.map(([key, what]) => html`<tr><th scope="row"><kbd>${key}</kbd></th><td>${what}</td></tr>`)}</tbody></table>
      <table><caption>Pages</caption><tbody>${PAGES.map(([letter, , name]) => html`<tr><th scope="row"><kbd>g</kbd> <kbd>${letter}</kbd></th><td>${name}</td></tr>`)}</tbody></table>
    </div>
    <label class="check"><input type="checkbox" checked=${on} onChange=${toggle} /> Keys of one letter are on</label>
  <//>`;
}
