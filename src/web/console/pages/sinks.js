import { html, useEffect, useRef, useState } from "../dom.js";
import { download, get, post, query, useGet } from "../api.js";
import { Badge, Confirm, Empty, Failure, Facts, Loading, Page, Panel, Row, State, Table } from "../ui.js";
import { T, When, count, duration, number } from "../text.js";

function Health({ sink }) {
  if (!sink.configured) return html`<${Badge} tone="warn">not configured<//>`;
  if (sink.error) return html`<span class="state bad"><span class="sign" aria-hidden="true">✕</span>failing</span>`;
  if (sink.behind > 0 && sink.lag_seconds > 60) return html`<span class="state warn"><span class="sign" aria-hidden="true">!</span>behind</span>`;
  return html`<span class="state good"><span class="sign" aria-hidden="true">✓</span>well</span>`;
}

/** Deliveries a second of each sink, from two answers. */
function useRates(data) {
  const before = useRef(null);
  const [rates, set] = useState(new Map());
  useEffect(() => {
    if (!data) return;
    const now = { at: performance.now(), delivered: new Map((data.sinks ?? []).map((sink) => [sink.name, sink.delivered])) };
    const old = before.current;
    before.current = now;
    if (old === null) return;
    const seconds = Math.max(0.5, (now.at - old.at) / 1000);
    set(new Map([...now.delivered].filter(([name]) => old.delivered.has(name)).map(([name, n]) => [name, Math.max(0, n - old.delivered.get(name)) / seconds])));
  }, [data]);
  return (name) => (rates.has(name) ? `${number(rates.get(name))} /s` : "–");
}

/** How long deliveries take: half of them, and nearly all. */
function latency({ latency_seconds: all, delivered }) {
  if (!all || !delivered) return "–";
  const within = (seconds) => (seconds === null ? "over 1 h" : duration(seconds));
  return `half within ${within(all.median)}, 99 % within ${within(all.p99)}`;
}

function Letters({ sink, mayOperate }) {
  const path = `sinks/${encodeURIComponent(sink)}/dead`;
  const [found, find] = useState({ items: [], next: null, total: 0, loading: true, error: null });
  const [chosen, choose] = useState(new Set());
  const [asked, ask] = useState(null);
  const [said, say] = useState("");
  const load = async (cursor) => {
    try {
      const answer = await get(`${path}${query({ limit: 100, cursor })}`);
      find((old) => ({ items: cursor ? [...old.items, ...answer.items] : answer.items, next: answer.next, total: answer.total, loading: false, error: null }));
      if (!cursor) choose(new Set());
    } catch (error) {
      find((old) => ({ ...old, loading: false, error }));
    }
  };
  useEffect(() => {
    if (mayOperate) load(null);
  }, [sink]);
  if (!mayOperate) return html`<${Empty} title="Your token may only read.">Dead letters can be seen with the role operate.<//>`;
  if (found.loading) return html`<${Loading} what="dead letters" />`;
  if (found.error) return html`<${Failure} error=${found.error} retry=${() => load(null)} />`;
  if (found.items.length === 0) return html`<p class="faint" role="status">${said && `${said} `}No dead letter: everything that this sink took was accepted by its server.</p>`;
  const body = () => (chosen.size > 0 ? { ids: [...chosen] } : { all: true });
  const these = chosen.size > 0 ? count(chosen.size, "letter") : `all ${count(found.total ?? found.items.length, "letter")}`;
  const act = async (what) => {
    const answer = await post(`${path}/${what}`, body());
    say(`${count(answer.count, "letter")} ${what === "retry" ? "will be sent again." : "dropped."}`);
    await load(null);
  };
  const toggle = (id) => (event) => {
    const next = new Set(chosen);
    if (event.target.checked) next.add(id);
    else next.delete(id);
    choose(next);
  };
  const save = () => download(`dead-${sink}.jsonl`, found.items.map((one) => `${JSON.stringify(one)}\n`).join(""), "application/x-ndjson");
  const reasons = [...found.items.reduce((sum, one) => sum.set(one.reason, (sum.get(one.reason) ?? 0) + 1), new Map())].sort((a, b) => b[1] - a[1]);
  return html`
    <div class="line"><span>${said && html`<span role="status">${said} </span>`}${count(found.total ?? found.items.length, "dead letter")}</span><span class="spring"></span>
      <button type="button" onClick=${() => ask("retry")}>Send ${these} again…</button><button type="button" class="danger" onClick=${() => ask("drop")}>Drop ${these}…</button><button type="button" onClick=${save}>Download</button></div>
    ${reasons.length > 1 && html`<ul class="reasons">${reasons.slice(0, 6).map(([reason, n]) => html`<li><span class="num">${number(n)}</span> <${T} max=${160}>${reason}<//></li>`)}</ul>`}
    <${Table} label="Dead letters" head=${[html`<span class="hidden">chosen</span>`, "time", "state", "host", "service", "reason", ["output", "wide-only"]]}>
      ${found.items.map((one) => html`<${Row} key=${one.id}>
        <td><input type="checkbox" checked=${chosen.has(one.id)} aria-label="choose the letter ${one.id}" onChange=${toggle(one.id)} /></td>
        <td><${When} at=${one.time} /></td><td class="nowrap"><${State} of=${one.state} /></td><td><${T}>${one.host}<//></td><td><${T}>${one.service ?? "–"}<//></td>
        <td class="output bad-text"><${T} max=${200}>${one.reason}<//></td><td class="wide-only output"><${T} max=${200}>${one.output}<//></td><//>`)}
    <//>
    ${found.next && html`<button type="button" onClick=${() => load(found.next)}>More</button>`}
    ${asked && html`<${Confirm} title=${asked === "retry" ? "Send again?" : "Drop?"} act=${asked === "retry" ? "Send again" : "Drop"} danger=${asked === "drop"} onClose=${() => ask(null)} onDone=${() => act(asked)}>
      <p>${asked === "retry" ? `The sink sends ${these} once more. What its server refuses again becomes a dead letter again.` : `${these} of ${sink} are removed for good.`}</p><//>`}`;
}

/** Where outcomes go. */
export function Sinks({ rest, session }) {
  const { data, error, loading, load } = useGet("sinks", 3000);
  const sinks = data?.sinks ?? [];
  const rate = useRates(data);
  const one = rest[0] === undefined ? undefined : sinks.find((sink) => sink.name === rest[0]);
  if (rest[0] !== undefined && data) {
    return html`<${Page} title=${html`Sink <${T}>${rest[0]}<//>`} actions=${html`<a class="button" data-key="Escape" href="#/sinks">Back <kbd>Esc</kbd></a>`}>
      ${!one && html`<${Failure} error=${{ status: 404, message: "there is no sink of this name" }} />`}
      ${one && html`<div class="grid">
        <${Panel} title="Delivery" wide=${true}>
          <${Facts} all=${[["health", html`<${Health} sink=${one} />`], ["behind", `${count(one.behind, "outcome")}, the oldest for ${duration(one.lag_seconds ?? 0)}`], ["delivered", number(one.delivered)], ["rate", rate(one.name)], ["latency", latency(one)], ["sent again", number(one.retried)], ["failures", number(one.failures)], ["skipped", number(one.skipped)], ["stale", number(one.stale)], ["dead letters", number(one.dead)], ["lost, journal full", number(one.expired)]]} />
          ${one.error && html`<div class="failure"><p><strong>Last error:</strong> <${T}>${one.error}<//></p></div>`}
        <//>
        <${Panel} title="Dead letters" wide=${true}><${Letters} sink=${one.name} mayOperate=${session?.role !== "read"} /><//>
      </div>`}<//>`;
  }
  return html`<${Page} title="Sinks" note=${data ? `${count(sinks.filter((sink) => sink.configured).length, "sink")}; each goes on by itself when its server does` : ""}>
    <${Failure} error=${error} retry=${load} />
    ${loading && html`<${Loading} what="sinks" />`}
    ${data && sinks.length === 0 && html`<${Empty} title="There are no sinks." command=${'printf "\\n[[sinks]]\\ntype = \\"file\\"\\npath = \\"/tmp/outcomes.jsonl\\"\\n" >> /etc/trapline/trapline.toml && trapline reload'}>Outcomes stay in the journal and go nowhere. This adds a file:<//>`}
    ${sinks.length > 0 && html`<${Table} label="Sinks" head=${["sink", "health", ["behind", "num"], ["oldest", "num"], ["delivered", "num"], ["rate", "num wide-only"], ["99 % within", "num wide-only"], ["again", "num wide-only"], ["dead", "num"], ["last error", "wide-only"]]}>
      ${sinks.map((sink) => html`<${Row} key=${sink.name}><td><a href="#/sinks/${encodeURIComponent(sink.name)}"><${T}>${sink.name}<//></a></td><td class="nowrap"><${Health} sink=${sink} /></td>
        <td class="num">${number(sink.behind)}</td><td class="num">${sink.configured ? duration(sink.lag_seconds) : "–"}</td><td class="num">${number(sink.delivered)}</td><td class="num wide-only">${rate(sink.name)}</td><td class="num wide-only">${sink.delivered > 0 && sink.latency_seconds ? (sink.latency_seconds.p99 === null ? "over 1 h" : duration(sink.latency_seconds.p99)) : "–"}</td><td class="num wide-only">${number(sink.retried)}</td>
        <td class="num">${sink.dead > 0 ? html`<a href="#/sinks/${encodeURIComponent(sink.name)}">${number(sink.dead)}</a>` : number(sink.dead)}</td><td class="wide-only output bad-text"><${T} max=${160}>${sink.error ?? ""}<//></td><//>`)}
    <//>`}
  <//>`;
}
