import { html, useRef, useState } from "../dom.js";
import { post, useGet } from "../api.js";
import { Badge, Diagnostics, Empty, Failure, Field, Loading, Page, Panel, Row, State, Table } from "../ui.js";
import { T, When, count, number } from "../text.js";
import { Message } from "./inbox.js";
import { Replay } from "./replay.js";
import { ConsoleRules } from "./editing.js";

const LARGEST = 700 * 1024;
const HEX = /^(0x)?([0-9a-fA-F]{2}[\s:]*){8,}$/;

/** What becomes of a message. */
export function Explained({ answer }) {
  const { matched = [], rejected = [], outcomes = [], sends = [], host, render_errors: failed = [] } = answer;
  if (answer.error) return html`<p class="explained bad-text" role="status"><${T}>${answer.error}<//></p>`;
  return html`<div class="explained" role="status">
    <p>${matched.length === 0 ? html`<strong class="warn-text">No rule takes it.</strong>` : html`Taken by ${matched.map((id, at) => html`${at > 0 ? ", " : ""}<strong class="mono"><${T}>${id}<//></strong>`)}.`}
      ${host && html` It is about <strong><${T}>${host.name}<//></strong>.`}</p>
    ${outcomes.map((one) => html`<dl class="outcome"><div><dt>host</dt><dd><${T}>${one.host ?? one.component}<//></dd></div><div><dt>service</dt><dd><${T}>${one.service ?? one.resource ?? "–"}<//></dd></div>
      <div><dt>state</dt><dd><${State} of=${one.state} /></dd></div><div><dt>output</dt><dd><${T}>${one.output}<//></dd></div></dl>`)}
    ${failed.length > 0 && html`<ul class="diagnostics">${failed.map((one) => html`<li class="bad"><${T}>${one.rule}<//>, <${T}>${one.field}<//>: <${T}>${one.error}<//></li>`)}</ul>`}
    ${sends.length > 0 && html`<h3>What sinks would send</h3><ul class="sends">${sends.map((one) => html`<li><strong><${T}>${one.sink}<//></strong><pre><${T} max=${2000}>${one.sends}<//></pre></li>`)}</ul>`}
    ${rejected.length > 0 && html`<h3>Near misses</h3><ul>${rejected.map((one) => html`<li><span class="mono"><${T}>${one.rule}<//></span>: <${T}>${one.because}<//></li>`)}</ul>`}
    <h3>The message</h3><${Message} message=${answer.message ?? {}} />
  </div>`;
}

/** What becomes of each message of a capture. */
function Captured({ answer }) {
  const { messages, more, others, skipped } = answer;
  return html`<div role="status">
    <p>${count(messages.length, "message")}${more > 0 ? `, and ${number(more)} more that are not shown` : ""}${others > 0 ? `; ${count(others, "packet")} with something else` : ""}${skipped ? html`; skipped: <${T}>${skipped}<//>` : ""}</p>
    ${messages.map((one, at) => html`<details key=${at} open=${messages.length === 1}><summary>${at + 1}: from <${T}>${one.from}<//> to port ${one.port}${one.time && html`, <${When} at=${one.time} />`}:
      ${" "}${one.error ? html`<span class="bad-text"><${T} max=${200}>${one.error}<//></span>` : one.matched?.length > 0 ? html`<span class="mono"><${T}>${one.matched.join(", ")}<//></span>` : html`<span class="warn-text">no rule takes it</span>`}</summary><${Explained} answer=${one} /></details>`)}
  </div>`;
}

function Explain() {
  const [text, set] = useState("");
  const [from, setFrom] = useState("");
  const [answer, say] = useState(null);
  const [error, fail] = useState(null);
  const file = useRef(null);
  const ask = async (body) => {
    try {
      say(await post("explain", body));
      fail(null);
    } catch (problem) {
      say(null);
      fail(problem);
    }
  };
  const goFile = async (event) => {
    event.preventDefault();
    const [chosen] = file.current.files;
    if (!chosen) return;
    if (chosen.size > LARGEST) {
      say(null);
      fail(new Error("the capture has more than 700 KiB; `trapline explain --pcap FILE` takes larger ones"));
      return;
    }
    const octets = new Uint8Array(await chosen.arrayBuffer());
    let text = "";
    for (let at = 0; at < octets.length; at += 8192) text += String.fromCharCode(...octets.subarray(at, at + 8192));
    await ask({ pcap: btoa(text) });
  };
  const go = async (event) => {
    event.preventDefault();
    const given = text.trim();
    const body = HEX.test(given) ? { packet: given.replace(/^0x|[\s:]/g, "") } : { line: given };
    if (from.trim() !== "") body.from = from.trim();
    await ask(body);
  };
  return html`<${Panel} title="What becomes of a message" wide=${true}>
    <form class="explain" onSubmit=${go}>
      <${Field} label="A line of syslog, or an SNMP packet in hex" grow=${true}><textarea class="mono" rows="3" required spellcheck=${false} value=${text} onInput=${(event) => set(event.target.value)} placeholder="<35>Nov 20 12:00:01 h1 sshd[7]: …   or   302a0201…"></textarea><//>
      <${Field} label="Sender"><input value=${from} placeholder="192.0.2.1" spellcheck=${false} onInput=${(event) => setFrom(event.target.value)} /><//>
      <button type="submit" class="primary">Explain</button>
    </form>
    <form class="filters" onSubmit=${goFile}>
      <${Field} label="Or a capture of tcpdump or Wireshark (pcap, pcapng)" grow=${true}><input ref=${file} type="file" required accept=".pcap,.pcapng,.cap" /><//>
      <button type="submit">Read the capture</button>
    </form>
    <${Failure} error=${error} />
    ${answer && (answer.messages ? html`<${Captured} answer=${answer} />` : html`<${Explained} answer=${answer} />`)}
  <//>`;
}

const MOST = 200;

/** The rules, or the file of those that were made here. */
export function Rules({ rest, query, session }) {
  return rest[0] === "console" ? html`<${ConsoleRules} session=${session} />` : html`<${All} query=${query} session=${session} />`;
}

/** The rules, in the order in which they are tried. */
function All({ query: address, session }) {
  const { data, error, loading, load } = useGet("rules", 5000);
  const [filter, set] = useState(address.get("q") ?? "");
  const [which, show] = useState("all");
  const [most, more] = useState(MOST);
  const rules = (data?.rules ?? []).map((rule, at) => ({ ...rule, at: at + 1 }));
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const shown = rules.filter((rule) => {
    const text = `${rule.id}\n${rule.file}`.toLowerCase();
    const wanted = which === "all" || (which === "hit" && rule.matched > 0) || (which === "never" && rule.matched === 0) || (which === "errors" && rule.render_errors + rule.over_budget > 0);
    return wanted && words.every((word) => text.includes(word));
  });
  const hits = rules.filter((rule) => rule.matched > 0).length;
  const last = rules.some((rule) => rule.last !== undefined);
  const tests = rules.some((rule) => rule.tests !== undefined);
  return html`<${Page} title="Rules" note=${data ? `${count(rules.length, "rule")} in the order in which they are tried; ${number(hits)} have matched since they were loaded` : ""}
      actions=${session?.role !== "read" && html`<a class="button" href="#/rules/console">Edit the rules of the console</a>`}>
    <${Explain} />
    ${session?.role !== "read" && html`<${Panel} title="Edited rule files and captured messages" wide=${true}><p>What would be different if the rule files, as they are now, were put in force.</p><${Replay} /><//>`}
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${filter} placeholder="id or file" onInput=${(event) => set(event.target.value)} /><//>
      <${Field} label="Show"><select value=${which} onChange=${(event) => show(event.target.value)}><option value="all">all</option><option value="hit">that have matched</option><option value="never">that never matched</option><option value="errors">with errors</option></select><//>
    </form>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="rules" />`}
    ${data && rules.length === 0 && html`<${Empty} title="There are no rules." command="trapline init">No message makes an outcome. Choose packs, or make a rule of a message in the inbox.<//>`}
    ${rules.length > 0 && shown.length === 0 && html`<${Empty} title="No rule fits."><//>`}
    ${shown.length > 0 && html`<${Table} label="Rules" head=${[["#", "num"], "rule", ["hits", "num"], ...(last ? [["last hit", "num wide-only"]] : []), ...(tests ? [["tests", "num wide-only"]] : []), ["file", "wide-only"]]}>
      ${shown.slice(0, most).map((rule) => html`<${Row} key=${rule.id}>
        <td class="num faint">${rule.at}</td>
        <td class="mono"><${T}>${rule.id}<//>${rule.render_errors > 0 && html` <${Badge} tone="bad">${count(rule.render_errors, "field")} not rendered<//>`}${rule.over_budget > 0 && html` <${Badge} tone="warn">${number(rule.over_budget)} over budget<//>`}</td>
        <td class="num">${rule.matched > 0 ? number(rule.matched) : html`<span class="faint">never</span>`}</td>
        ${last && html`<td class="num wide-only">${rule.last ? html`<${When} at=${rule.last} ago=${true} />` : html`<span class="faint">–</span>`}</td>`}
        ${tests && html`<td class="num wide-only">${number(rule.tests)}</td>`}
        <td class="mono faint wide-only"><${T}>${rule.file}<//>${rule.line ? `:${rule.line}` : ""}</td><//>`)}
    <//>`}
    ${shown.length > most && html`<p class="line"><span class="faint">${number(most)} of ${number(shown.length)}</span> <button type="button" onClick=${() => more(most + 500)}>More</button></p>`}
  <//>`;
}
