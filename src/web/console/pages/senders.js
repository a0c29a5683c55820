import { html, useState } from "../dom.js";
import { query, useGet } from "../api.js";
import { Badge, Command, Dialog, Empty, Facts, Failure, Field, Loading, Page, Row, Table } from "../ui.js";
import { T, When, count, duration, number } from "../text.js";

const MOST = 500;
const names = (value) => (Array.isArray(value) ? value.join(", ") : value);

function One({ sender, onClose }) {
  const { refusal } = sender;
  return html`<${Dialog} title=${html`Sender <${T}>${sender.address}<//>`} onClose=${onClose} wide=${true}>
    <${Facts} all=${[["known as", names(sender.known_as)], ["last host", sender.host], ["speaks", sender.speaks?.join(", ")], ["SNMPv3 user", sender.user], ["engine", sender.engine], ["first", html`<${When} at=${sender.first} />`], ["last", html`<${When} at=${sender.last} />`],
      ["matched", number(sender.matched)], ["dropped", number(sender.dropped)], ["unmatched", number(sender.unmatched)], ["refused", number(sender.refused)]]} />
    ${refusal && html`<h3>Why its last message was refused</h3><p><strong><${T}>${refusal.reason}<//></strong>: <${T}>${refusal.advice}<//></p>
      ${refusal.toml && html`<p>These lines let it in, after <code>trapline reload</code>. Check first that the sender is yours: addresses of UDP packets can be forged.</p>
        <pre class="raw"><${T}>${[refusal.toml.table && `[${refusal.toml.table}]`, ...(refusal.toml.lines ?? [])].filter(Boolean).join("\n")}<//></pre>`}`}
  <//>`;
}

/** Who sends. */
export function Senders() {
  const [which, show] = useState("all");
  const [filter, set] = useState("");
  const [one, open] = useState(null);
  const silent = which === "silent";
  const { data, error, loading, load } = useGet(`senders${query({ silent: silent ? 604800 : undefined })}`, 5000);
  const words = filter.toLowerCase();
  const rows = silent
    ? (data?.silent ?? []).filter((host) => host.host.toLowerCase().includes(words))
    : (data?.senders ?? [])
        .map((sender) => ({ ...sender, all: sender.matched + sender.dropped + sender.unmatched + sender.refused }))
        .filter((sender) => (which === "all" || (which === "unknown" && !sender.known_as) || (which === "refused" && sender.refused > 0)) && [sender.address, names(sender.known_as), sender.host].join("\n").toLowerCase().includes(words))
        .sort((a, b) => b.all - a.all);
  return html`<${Page} title="Senders" note=${data ? html`counted since <${When} at=${data.since} />${!silent && data.others > 0 ? `; ${count(data.others, "message")} of further addresses` : ""}` : ""}>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${filter} placeholder="address or host" onInput=${(event) => set(event.target.value)} /><//>
      <${Field} label="Show"><select value=${which} onChange=${(event) => show(event.target.value)}><option value="all">all</option><option value="unknown">not in [hosts]</option><option value="refused">refused</option><option value="silent">silent for 7 days</option></select><//>
    </form>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="senders" />`}
    ${data && rows.length === 0 && (silent
      ? html`<${Empty} title=${data.known_hosts > 0 ? "Every known host was heard of." : "No host is known."}>${data.known_hosts > 0 ? "" : "With [hosts], hosts that the monitoring core knows and that send nothing stand here."}<//>`
      : html`<${Empty} title=${which === "refused" ? "Nothing was refused." : "Nobody has sent anything yet."} command="trapline send trap linkDown">Point the traps or the syslog of a device to this machine.<//>`)}
    ${rows.length > 0 && (silent
      ? html`<${Table} label="Silent hosts" head=${["host", "addresses", ["last", "num"]]}>${rows.slice(0, MOST).map((host) => html`<${Row} key=${host.host}><td><${T}>${host.host}<//></td><td><${T}>${(host.addresses ?? []).join(", ")}<//></td><td class="num">${host.last ? html`<${When} at=${host.last} ago=${true} />` : html`<span class="faint">never</span>`}</td><//>`)}<//>`
      : html`<${Table} label="Senders" head=${["address", ["known as", "narrow-off"], ["speaks", "wide-only"], ["matched", "num"], ["dropped", "num wide-only"], ["unmatched", "num"], ["refused", "num"], ["last", "num"]]}>
        ${rows.slice(0, MOST).map((sender) => html`<${Row} key=${sender.address}><td><button type="button" class="link" onClick=${() => open(sender)}><${T}>${sender.address}<//></button></td>
          <td class="narrow-off">${sender.known_as ? html`<${T}>${names(sender.known_as)}<//>` : html`<${Badge}>unknown<//>`}</td><td class="wide-only">${(sender.speaks ?? []).join(", ")}</td>
          <td class="num">${number(sender.matched)}</td><td class="num wide-only">${number(sender.dropped)}</td><td class="num">${number(sender.unmatched)}</td><td class="num ${sender.refused > 0 ? "bad-text" : ""}">${number(sender.refused)}</td><td class="num" title=${duration(sender.silent_seconds)}><${When} at=${sender.last} ago=${true} /></td><//>`)}<//>`)}
    ${rows.length > MOST && html`<p class="faint">The first ${number(MOST)} of ${number(rows.length)}.</p>`}
    ${one && html`<${One} sender=${one} onClose=${() => open(null)} />`}
  <//>`;
}
