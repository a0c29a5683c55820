// The parts of a message, and what each is for in a rule.
import { html, useRef, useState } from "../dom.js";
import { Table, Row } from "../ui.js";
import { T, pieces } from "../text.js";

const USES = [["output", "to output"], ["service", "to service"], ["condition", "as condition"]];

/** The varbinds of a notification. */
export function Varbinds({ parts, chosen, onUse, off }) {
  if (parts.length === 0) return html`<p class="faint">The notification carries no varbind.</p>`;
  return html`<${Table} label="Varbinds" head=${["varbind", "use it"]}>
    ${parts.map((part) => html`<${Row} key=${part.at}>
      <td class="value"><span class="mono"><${T} max=${400}>${part.value.text}<//></span><br /><span class="faint small"><span class="mono">v[${part.at}]</span> <${T}>${part.value.name}<//>, <${T}>${part.value.type}<//></span></td>
      <td class="uses">${USES.map(([use, name]) => html`<button type="button" class="small" aria-pressed=${(chosen[part.at] ?? []).includes(use)} disabled=${off} aria-label="v[${part.at}] ${name}" onClick=${() => onUse(part, use)}>${name}</button>`)}</td>
    <//>`)}<//>`;
}

const chars = (text) => [...text];

/** Where the selection of a field begins and ends, in characters. */
function selected(field) {
  const [from, to] = [field.selectionStart, field.selectionEnd];
  let [start, end] = [chars(field.value.slice(0, from)).length, chars(field.value.slice(0, to)).length];
  const all = chars(field.value);
  // Spaces at the ends are seldom meant.
  while (start < end && /\s/.test(all[start])) start += 1;
  while (end > start && /\s/.test(all[end - 1])) end -= 1;
  return { start, end };
}

/** A line, of which selected text becomes a named part. */
export function Line({ text, spans, onSpans, onUse, nameFor, off }) {
  const field = useRef(null);
  const [picked, pick] = useState(null);
  const [name, rename] = useState("");
  const all = chars(text);
  const look = () => {
    const found = selected(field.current);
    if (found.end <= found.start) return;
    pick(found);
    rename(nameFor(all.slice(0, found.start).join(""), Infinity, spans.filter((one) => one.end <= found.start || one.start >= found.end)));
  };
  const add = (event) => {
    event.preventDefault();
    const others = spans.filter((one) => one.name !== name && (one.end <= picked.start || one.start >= picked.end));
    onSpans([...others, { ...picked, name, use: [] }].sort((a, b) => a.start - b.start));
    pick(null);
  };
  const shown = [];
  let from = 0;
  for (const span of spans) {
    shown.push(html`<span>${pieces(all.slice(from, span.start).join(""))}</span>`);
    shown.push(html`<mark title=${span.name}>${pieces(all.slice(span.start, span.end).join(""))}</mark>`);
    from = span.end;
  }
  shown.push(html`<span>${pieces(all.slice(from).join(""))}</span>`);
  return html`
    <p class="cut-line" aria-label="The message with its named parts"><bdi>${shown}</bdi></p>
    <label class="field"><span class="label">Select text here to make it a named part</span>
      <textarea ref=${field} class="mono line-field" rows=${Math.min(6, Math.ceil(all.length / 60) + 1)} value=${text} spellcheck=${false} disabled=${off}
        onInput=${(event) => (event.target.value = text)} onSelect=${look} onMouseUp=${look} onKeyUp=${look}></textarea></label>
    ${picked && html`<form class="line part-form" onSubmit=${add}>
      <span>“<${T}>${all.slice(picked.start, picked.end).join("")}<//>” becomes</span>
      <label class="inline"><span class="hidden">Name of the part</span><input value=${name} size="14" required pattern="[A-Za-z][A-Za-z0-9_]{0,63}" spellcheck=${false} onInput=${(event) => rename(event.target.value)} /></label>
      <button type="submit" class="small primary">Make it a part</button>
    </form>`}
    ${spans.length > 0 && html`<${Table} label="Named parts" head=${["part", "text", "use it"]}>
      ${spans.map((span) => html`<${Row} key=${span.name}>
        <td class="mono"><${T}>${span.name}<//></td><td class="mono value"><${T} max=${200}>${all.slice(span.start, span.end).join("")}<//></td>
        <td class="uses">${USES.slice(0, 2).map(([use, label]) => html`<button type="button" class="small" aria-pressed=${(span.use ?? []).includes(use)} disabled=${off} aria-label="${span.name} ${label}" onClick=${() => onUse(span, use)}>${label}</button>`)}
          <button type="button" class="small quiet" disabled=${off} aria-label="remove the part ${span.name}" onClick=${() => onSpans(spans.filter((one) => one !== span))}>remove</button></td><//>`)}<//>`}`;
}

/** An event over HTTP. */
export function Posted({ message }) {
  return html`<pre class="raw"><${T}>${JSON.stringify(message.json, null, 1)}<//></pre>`;
}
