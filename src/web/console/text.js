// Text from the network is shown as it is: what cannot be seen, or changes the order of other characters, is written as an
// escape. Nothing here makes markup: all text becomes text nodes.
import { html } from "./dom.js";

// Control characters, format characters (direction, joiners, byte order mark), line and paragraph separators, halves of
// surrogates, private use, and blanks that cannot be told from a space or from nothing.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u00a0\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f\u205f\u2800\u3000\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu;

function escape(c) {
  if (c === "\n") return "\\n";
  if (c === "\r") return "\\r";
  if (c === "\t") return "\\t";
  return `\\u{${c.codePointAt(0).toString(16)}}`;
}

/** The text with escapes, for attributes. */
export function plain(text) {
  return String(text ?? "").replace(UNSEEN, escape);
}

/** The pieces of a text: strings, and escapes as elements of their own. */
export function pieces(text, keep = "") {
  const whole = String(text ?? "");
  const out = [];
  let from = 0;
  for (const found of whole.matchAll(UNSEEN)) {
    if (keep.includes(found[0])) continue;
    if (found.index > from) out.push(whole.slice(from, found.index));
    out.push(html`<span class="esc">${escape(found[0])}</span>`);
    from = found.index + found[0].length;
  }
  if (from < whole.length) out.push(whole.slice(from));
  return out;
}

/** Text from the network, apart from the direction of what is around it. */
export function T({ children, max = 0 }) {
  let text = Array.isArray(children) ? children.join("") : String(children ?? "");
  let cut = false;
  if (max > 0 && text.length > max) {
    text = text.slice(0, max);
    cut = true;
  }
  return html`<bdi class="t">${pieces(text)}${cut ? "…" : ""}</bdi>`;
}

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function number(value) {
  return value === null || value === undefined || Number.isNaN(Number(value)) ? "–" : NUMBER.format(value);
}

/** `1 message`, `2 messages`. */
export function count(value, word, words = `${word}s`) {
  return `${number(value)} ${Number(value) === 1 ? word : words}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${NUMBER.format(value)} ${units[at]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, seconds);
  if (s < 10) return `${NUMBER.format(s)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

const two = (n) => String(n).padStart(2, "0");

/** Local date and time, in the order that sorts. */
export function local(date) {
  const d = new Date(date);
  if (Number.isNaN(d.getTime())) return "–";
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** A moment: the time of day, with the date if it is not today; all of it, and in UTC, when pointed at. */
export function When({ at, ago = false }) {
  if (at === null || at === undefined || at === "") return html`<span class="faint">never</span>`;
  const d = new Date(at);
  if (Number.isNaN(d.getTime())) return html`<${T}>${at}<//>`;
  const whole = local(d);
  const today = local(new Date()).slice(0, 10);
  const shown = ago
    ? `${duration((Date.now() - d.getTime()) / 1000)} ago`
    : whole.startsWith(today) ? whole.slice(11) : whole.slice(0, 16);
  return html`<time class="num" dateTime=${d.toISOString()} title="${whole} (${d.toISOString()})">${shown}</time>`;
}
