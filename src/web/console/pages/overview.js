import { html, useEffect, useMemo, useRef, useState } from "../dom.js";
import { useGet, query } from "../api.js";
import { useStream } from "../stream.js";
import { Chart, columns } from "../chart.js";
import { Empty, Failure, Loading, Page, Panel, Row, State, Table, Tile } from "../ui.js";
import { T, When, bytes, duration, number } from "../text.js";

const KEPT = 120;

/** Rates from two looks at the counters of the daemon. */
function useRates(status) {
  const before = useRef(null);
  const [rates, set] = useState([]);
  useEffect(() => {
    if (!status) return;
    const intake = status.intake ?? {};
    const sum = (...names) => names.reduce((total, name) => total + (Number(intake[name]) || 0), 0);
    const now = {
      at: performance.now(),
      received: sum("snmp_received", "syslog_received", "posts_received"),
      matched: sum("matched"),
      unmatched: sum("unmatched"),
      lost: sum("kernel_drops", "outcomes_lost", "waiting_lost", ...REFUSED) + Object.values(intake.malformed ?? {}).reduce((all, n) => all + n, 0),
    };
    const old = before.current;
    before.current = now;
    if (old === null || now.received < old.received) return;
    const seconds = Math.max(0.5, (now.at - old.at) / 1000);
    const rate = (name) => Math.max(0, now[name] - old[name]) / seconds;
    set((all) => [...all, { received: rate("received"), matched: rate("matched"), unmatched: rate("unmatched"), lost: rate("lost") }].slice(-KEPT));
  }, [status]);
  return rates;
}

/** What came in each of the last 60 minutes, whether somebody looked or not. */
function useMinutes() {
  const { data } = useGet("series?metric=messages", 15_000);
  return useMemo(() => {
    const all = new Map();
    for (const { time, series, value } of data ?? []) {
      if (!all.has(time)) all.set(time, {});
      all.get(time)[series] = value;
    }
    return [...all.values()];
  }, [data]);
}

const STATES = [["critical", "--bad"], ["down", "--bad"], ["warning", "--warn"], ["unknown", "--dim"], ["unreachable", "--dim"], ["up", "--good"], ["ok", "--good"]];

function Course() {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => tick(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  const to = Math.floor(now / 1000);
  const from = to - 3600;
  const { data, error, loading } = useGet(`series${query({ metric: "outcomes", by: "state", from, to, step: 60 })}`);
  const drawn = useMemo(() => {
    if (!data) return null;
    const rows = Array.isArray(data) ? data : data.items ?? [];
    const { times, all } = columns(rows, from, to, 60);
    const series = STATES.filter(([name]) => all.has(name)).map(([name, colour]) => ({ name, colour, values: all.get(name) }));
    return { times, series };
  }, [data]);
  if (error) {
    return error.status === 404 || error.status === 503
      ? html`<${Empty} title="No history is kept." command=${'printf "\\n[history]\\n" >> /etc/trapline/trapline.toml && trapline reload'}>With the section [history] Trapline keeps outcomes, and draws them here.<//>`
      : html`<${Failure} error=${error} />`;
  }
  if (loading || !drawn) return html`<${Loading} what="the last hour" />`;
  if (drawn.series.length === 0) {
    return html`<${Empty} title="No outcome in the last hour." command="trapline send trap linkDown">A message that a rule takes makes one.<//>`;
  }
  return html`<${Chart} times=${drawn.times} series=${drawn.series} height=${150} label="Outcomes in each of the last 60 minutes" />`;
}

function Changes() {
  const changes = useGet(`outcomes${query({ changes: true, limit: 12 })}`);
  // Where nothing has changed yet, the newest outcomes are what is new.
  const newest = useGet(`outcomes${query({ limit: 12 })}`);
  const first = changes.data?.items?.length ? changes : newest;
  const [newer, add] = useState([]);
  useStream({
    onEvents: (events) => add((all) => [...events.map((event) => ({ time: event.timestamp, state: event.data.status, previous: event.data.previousStatus, ...event.data })).reverse(), ...all].slice(0, 12)),
  });
  const items = [...newer, ...(first.data?.items ?? [])].filter((item, at, all) => all.findIndex((other) => other.id === item.id) === at).slice(0, 12);
  if (first.loading && items.length === 0) return html`<${Loading} what="changes" />`;
  if (items.length === 0) return html`<${Empty} title="No state has changed." command="trapline send trap linkDown">The newest changes of state stand here as they come.<//>`;
  return html`<${Table} label="Newest changes of state" head=${["time", "state", ["host"], ["service"], ["output", "wide-only"]]}>
    ${items.map((item) => html`<${Row} key=${item.id}><td><${When} at=${item.time} /></td>
      <td class="nowrap"><${State} of=${item.state} /></td>
      <td><a href="#/history?${new URLSearchParams({ host: item.host ?? "" })}"><${T}>${item.host}<//></a></td><td><${T}>${item.service ?? "–"}<//></td>
      <td class="wide-only output"><${T} max=${160}>${item.output}<//></td><//>`)}
  <//>`;
}

function Sinks({ sinks }) {
  if (sinks.length === 0) return html`<${Empty} title="There are no sinks.">Outcomes go nowhere: add [[sinks]] to the configuration.<//>`;
  return html`<${Table} label="Sinks" head=${["sink", ["behind", "num"], ["oldest", "num"], ["delivered", "num wide-only"], "state"]}>
    ${sinks.map((sink) => html`<${Row} key=${sink.name}><td><a href="#/sinks/${encodeURIComponent(sink.name)}"><${T}>${sink.name}<//></a></td>
      <td class="num">${number(sink.behind)}</td><td class="num">${duration(sink.lag_seconds)}</td><td class="num wide-only">${number(sink.delivered)}</td>
      <td>${sink.error ? html`<span class="state bad"><span class="sign" aria-hidden="true">✕</span>failing</span>` : html`<span class="state good"><span class="sign" aria-hidden="true">✓</span>well</span>`}</td><//>`)}
  <//>`;
}

function Loudest() {
  const { data } = useGet("senders", 10_000);
  const senders = [...(data?.senders ?? [])].map((one) => ({ ...one, all: one.matched + one.dropped + one.unmatched + one.refused })).sort((a, b) => b.all - a.all).slice(0, 8);
  if (senders.length === 0) return html`<${Empty} title="Nobody has sent anything yet." command="trapline send trap linkDown">Point a device's traps or its syslog to this machine.<//>`;
  return html`<${Table} label="Loudest senders" head=${["sender", ["messages", "num"], ["unmatched", "num"], ["refused", "num"]]}>
    ${senders.map((one) => html`<${Row} key=${one.address}><td><a href="#/senders"><${T}>${one.known_as?.[0] ?? one.known_as ?? one.host ?? one.address}<//></a></td>
      <td class="num">${number(one.all)}</td><td class="num">${number(one.unmatched)}</td><td class="num">${number(one.refused)}</td><//>`)}
  <//>`;
}

/** How the daemon does. */
export function Overview() {
  const { data: status, error } = useGet("status", 2000);
  const rates = useRates(status);
  const last = rates[rates.length - 1];
  const minutes = useMinutes();
  const values = (...names) => minutes.map((minute) => names.reduce((sum, name) => sum + (minute[name] ?? 0), 0));
  const hour = (...names) => `${number(values(...names).reduce((sum, n) => sum + n, 0))} in the last 60 minutes`;
  const problems = [...(status?.problems ?? []), ...(status?.reloads?.error ? [`the last reload was refused: ${status.reloads.error}`] : [])];
  return html`<${Page} title="Overview" note=${status ? html`${status.rules} rules, running for ${duration(status.uptime_seconds)}, journal ${bytes(status.journal?.bytes)}` : ""}>
    <${Failure} error=${error} />
    ${problems.length > 0 && html`<div class="failure" role="alert"><p><strong>Trouble</strong></p><ul>${problems.map((one) => html`<li><${T}>${one}<//></li>`)}</ul></div>`}
    <div class="tiles">
      <${Tile} name="received" value=${last ? number(last.received) : "–"} unit="/s" values=${values("received")} note=${hour("received")} href="#/live" />
      <${Tile} name="matched" value=${last ? number(last.matched) : "–"} unit="/s" values=${values("matched")} note=${hour("matched")} href="#/rules" />
      <${Tile} name="unmatched" value=${last ? number(last.unmatched) : "–"} unit="/s" values=${values("unmatched")} note=${hour("unmatched")} href="#/inbox" />
      <${Tile} name="lost or refused" value=${last ? number(last.lost) : "–"} unit="/s" values=${values(...LOST.map(([name]) => name))} tone=${last?.lost > 0 ? "bad" : ""} note=${lost(values)} href="#/senders" />
    </div>
    <div class="grid">
      <${Panel} title="Outcomes, last 60 minutes" wide=${true}><${Course} /><//>
      <${Panel} title="Sinks">${status ? html`<${Sinks} sinks=${status.sinks ?? []} />` : html`<${Loading} />`}<//>
      <${Panel} title="Loudest senders"><${Loudest} /><//>
      <${Panel} title="Newest changes of state" wide=${true}><${Changes} /><//>
    </div>
  <//>`;
}

const LOST = [["kernel", "by the kernel"], ["malformed", "malformed"], ["refused", "refused"], ["lost", "lost"]];

function lost(values) {
  const all = LOST.map(([name, says]) => [says, values(name).reduce((sum, n) => sum + n, 0)]);
  const some = all.filter(([, n]) => n > 0).map(([name, n]) => `${number(n)} ${name}`);
  return some.length > 0 ? `${some.join(", ")} in the last 60 minutes` : "none in the last 60 minutes";
}

const REFUSED = ["wrong_community", "wrong_source", "version_off", "no_access", "claim_refused", "posts_refused"];
