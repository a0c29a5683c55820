import { html, useState } from "../dom.js";
import { remove, useGet } from "../api.js";
import { Confirm, Empty, Failure, Facts, Field, Loading, Page, Panel, Row, Spark, Table, Badge } from "../ui.js";
import { T, When, count, number } from "../text.js";

const SENDERS = 2;
const MOST = 200;

/** The address of the rule maker for a group. */
export const maker = (group, extra = "") => `#/maker/${group}${extra}`;

const kindOf = (group) => {
  const kind = group.kind ?? {};
  if ("trap" in kind) return ["trap", "trap"];
  if ("line" in kind) return ["line", "syslog"];
  if ("posted" in kind) return ["posted", "HTTP"];
  if ("malformed" in kind) return ["malformed", "malformed"];
  return ["others", "others"];
};

/** What a group is, without what its kind says already. */
export function what(group) {
  if (group.kind?.line) return `${group.kind.line.program ?? "-"}: ${group.kind.line.text}`;
  return group.what ?? group.title;
}

const idOf = (group) => group.id ?? group.group;

const canBeTaken = (group) => ["trap", "line", "posted"].includes(kindOf(group)[0]);

function Groups({ query: address }) {
  const { data, error, loading, load } = useGet("inbox", 5000);
  const [filter, set] = useState(address.get("q") ?? "");
  const [order, sort] = useState("last");
  const [leaving, leave] = useState(null);
  const [most, more] = useState(MOST);
  const groups = data?.groups ?? [];
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const shown = groups
    .filter((group) => {
      const text = `${group.what ?? group.title}\n${what(group)}\n${Object.keys(group.senders ?? {}).join("\n")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => (order === "count" ? b.count - a.count : order === "first" ? b.first.localeCompare(a.first) : b.last.localeCompare(a.last)));
  const courses = groups.some((group) => group.course !== undefined);
  const total = groups.reduce((sum, group) => sum + group.count, 0);
  return html`<${Page} title="Inbox" note=${data ? `${count(groups.length, "kind")} of messages that no rule takes, ${count(total, "message")}` : ""}
      actions=${groups.length > 0 && html`<button type="button" onClick=${() => leave("all")}>Forget all…</button>`}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${filter} placeholder="OID, program, text, sender" onInput=${(event) => set(event.target.value)} /><//>
      <${Field} label="Order"><select value=${order} onChange=${(event) => sort(event.target.value)}><option value="last">newest first</option><option value="count">most first</option><option value="first">last begun first</option></select><//>
    </form>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="the inbox" />`}
    ${data && groups.length === 0 && html`<${Empty} title="Every message has been taken by a rule." command='trapline send trap 1.3.6.1.4.1.99999.0.1 1.3.6.1.4.1.99999.1.1=hello'>Messages that no rule takes are kept here, one line a kind. This line sends such a trap:<//>`}
    ${data && groups.length > 0 && shown.length === 0 && html`<${Empty} title="No kind of message has these words."><//>`}
    ${shown.length > 0 && html`<${Table} label="Kinds of messages" head=${[["kind", "narrow-off"], "message", ["count", "num"], ...(courses ? [["course", "wide-only"]] : []), ["last", "num"], ["senders", "wide-only"], ["", "actions-col"]]}>
      ${shown.slice(0, most).map((group) => {
        const [, name] = kindOf(group);
        const senders = Object.entries(group.senders ?? {}).sort((a, b) => b[1] - a[1]);
        const more = senders.length - SENDERS + (group.other_senders > 0 ? 1 : 0);
        return html`<${Row} key=${idOf(group)}>
          <td class="narrow-off"><${Badge}>${name}<//></td>
          <td class="what"><a href="#/inbox/${idOf(group)}"><${T} max=${200}>${what(group)}<//></a></td>
          <td class="num">${number(group.count)}</td>
          ${courses && html`<td class="wide-only"><${Spark} values=${group.course} label="messages over the last hour" /></td>`}
          <td class="num"><${When} at=${group.last} ago=${true} /></td>
          <td class="wide-only">${senders.slice(0, SENDERS).map(([address], at) => html`${at > 0 ? ", " : ""}<${T}>${address}<//>`)}${more > 0 ? html` <span class="faint">and ${more} more</span>` : ""}</td>
          <td class="actions-col">${canBeTaken(group) && html`<a class="button small" data-key="m" href=${maker(idOf(group))} title="m">Make a rule</a>
            <a class="button small narrow-off" data-key="x" href=${maker(idOf(group), "?drop=1")} title="x: a rule that drops them">Drop</a>`}</td><//>`;
      })}
    <//>`}
    ${shown.length > most && html`<p class="line"><span class="faint">${number(most)} of ${number(shown.length)}</span> <button type="button" onClick=${() => more(most + MOST)}>More</button></p>`}
    ${leaving && html`<${Confirm} title="Forget all groups?" act="Forget all" onClose=${() => leave(null)} onDone=${async () => { for (const group of groups) await remove(`inbox/${idOf(group)}`); await load(); }}>
      <p>The groups and their samples are removed. Messages that come later begin new groups.</p><//>`}
  <//>`;
}

const FIRST = 5;
const LAST = 15;

/** A message, decoded. */
export function Message({ message, at = 1 }) {
  if (message.error) return html`<p class="bad-text"><${T}>${message.error}<//></p>`;
  const facts = [
    ["sender", message.source], ["received", html`<${When} at=${message.received} />`],
    ["version", message.version && `SNMP ${message.version}`], ["user", message.user],
    ["notification", message.oid && html`<${T}>${message.name}<//>${message.name !== message.oid && html` <span class="faint mono"><${T}>${message.oid}<//></span>`}`, true],
    ["enterprise", message.enterprise], ["generic", message.generic], ["specific", message.specific], ["agent", message.agent],
    ["host in the line", message.host], ["program", message.program && `${message.program}${message.pid ? `[${message.pid}]` : ""}`], ["message id", message.msgid],
    ["severity", message.severity !== undefined && message.severity !== null ? String(message.severity) : null], ["facility", message.facility !== undefined && message.facility !== null ? String(message.facility) : null],
  ].map(([name, value, whole]) => [name, typeof value === "number" ? String(value) : value, whole]);
  return html`<${Facts} all=${facts} />
    ${message.varbinds && html`<${Table} label="Varbinds of message ${at}" head=${["place", "object", "type", "value"]}>
      ${message.varbinds.map((one, at) => html`<tr><td class="mono">v[${at + 1}]</td><td class="mono"><${T}>${one.name}<//></td><td class="faint"><${T}>${one.type}<//></td><td class="mono value"><${T} max=${2000}>${one.text}<//></td></tr>`)}<//>`}
    ${message.line !== undefined && html`<pre class="raw"><${T}>${message.line}<//></pre>`}
    ${message.json !== undefined && html`<pre class="raw"><${T}>${JSON.stringify(message.json)}<//></pre>`}
    ${(message.packet_hex || message.octets_hex) && html`<details><summary>Packet in hex</summary><pre class="raw hex"><${T}>${message.packet_hex ?? message.octets_hex}<//></pre></details>`}`;
}

function Group({ id }) {
  const { data, error, loading, load } = useGet(`inbox/${encodeURIComponent(id)}`);
  const [leaving, leave] = useState(false);
  const group = data;
  const messages = group?.messages ?? [];
  const gap = messages.length > FIRST + LAST ? messages.length - FIRST - LAST : 0;
  const shown = gap > 0 ? [...messages.slice(0, FIRST), ...messages.slice(-LAST)] : messages;
  return html`<${Page} title=${group ? html`<${T} max=${160}>${what(group)}<//>` : `Group ${id}`}
      note=${group ? html`${count(group.count, "message")} from ${count(Object.keys(group.senders).length + (group.other_senders > 0 ? 1 : 0), "sender")}, first <${When} at=${group.first} />, last <${When} at=${group.last} />` : ""}
      actions=${html`<a class="button" data-key="Escape" href="#/inbox">Back <kbd>Esc</kbd></a>
        ${group && html`<button type="button" onClick=${() => leave(true)}>Forget</button>`}
        ${group && canBeTaken(group) && html`<a class="button" data-key="x" href=${maker(id, "?drop=1")}>Drop <kbd>x</kbd></a><a class="button primary" data-key="m" href=${maker(id)}>Make a rule <kbd>m</kbd></a>`}`}>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="the samples" />`}
    ${group && messages.length === 0 && html`<${Empty} title="Nothing of this group is kept.">Its messages were only counted, as the inbox was full.<//>`}
    ${group && messages.length > 0 && html`<div class="samples">
      ${shown.map((message, at) => html`${gap > 0 && at === FIRST && html`<p class="faint">${count(gap, "message")} between</p>`}
        <${Panel} key=${at} title="Message ${gap > 0 && at >= FIRST ? at + gap + 1 : at + 1} of ${messages.length} kept"><${Message} message=${message} at=${at + 1} /><//>`).reverse()}
    </div>`}
    ${leaving && html`<${Confirm} title="Forget this group?" act="Forget" onClose=${() => leave(false)} onDone=${async () => { await remove(`inbox/${encodeURIComponent(id)}`); location.hash = "#/inbox"; }}>
      <p>Its count and its samples are removed. Its next message begins it again.</p><//>`}
  <//>`;
}

export function Inbox({ rest, query }) {
  return rest[0] ? html`<${Group} key=${rest[0]} id=${rest[0]} />` : html`<${Groups} query=${query} />`;
}
