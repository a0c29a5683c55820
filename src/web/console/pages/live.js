import { html, useEffect, useRef, useState } from "../dom.js";
import { useMessages, useStream } from "../stream.js";
import { Badge, Empty, Field, Page, Row, State, Table } from "../ui.js";
import { T, When, count, number } from "../text.js";

const KEPT = 500;
const SHOWN = { all: "every outcome", changes: "changes of state", messages: "messages", unmatched: "messages that no rule takes" };
const TONES = { matched: "good", dropped: "dim", unmatched: "warn", refused: "bad" };
let numbered = 0;

/** What a message says, in a line. */
function textOf(message) {
  if (!message) return "";
  if (message.kind === "syslog") return `${message.program ?? "-"}: ${message.message ?? ""}`;
  if (message.varbinds) return `${message.name ?? message.oid}${message.varbinds.map((one) => ` ${one.name}=${one.text ?? one.value}`).join("")}`;
  return message.checkin ?? (message.json ? JSON.stringify(message.json) : message.kind ?? "");
}

const wordsOf = (one) =>
  one.data
    ? [one.data.host, one.data.service, one.data.status, one.data.rule, one.data.output].join("\n").toLowerCase()
    : [one.from, one.text, one.result, ...one.outcomes.map((made) => [made.host, made.service, made.state, made.rule].join(" "))].join("\n").toLowerCase();

function asRow(described) {
  numbered += 1;
  const { message, result, refused, outcomes = [] } = described;
  return { key: numbered, time: message?.received, from: message?.source ?? "", text: textOf(message), kind: message?.kind ?? "", result: refused ? "refused" : result, refused, outcomes };
}

function Outcomes({ all }) {
  return html`<${Table} label="Outcomes" head=${["time", "state", "host", "service", ["output", "wide-only"], ["rule", "wide-only"]]}>
    ${all.map((event) => html`<${Row} key=${event.data.id}>
      <td><${When} at=${event.timestamp} /></td><td class="nowrap"><${State} of=${event.data.status} /></td>
      <td><a href="#/history?${new URLSearchParams({ host: event.data.host ?? "", service: event.data.service ?? "" })}"><${T}>${event.data.host}<//></a></td>
      <td><${T}>${event.data.service ?? "–"}<//></td>
      <td class="wide-only output"><${T} max=${300}>${event.data.output}<//></td><td class="wide-only mono"><${T}>${event.data.rule}<//></td><//>`)}
  <//>`;
}

function Messages({ all }) {
  return html`<${Table} label="Messages" head=${["time", "sender", "message", "became"]}>
    ${all.map((one) => html`<${Row} key=${one.key}>
      <td>${one.time ? html`<${When} at=${one.time} />` : "–"}</td><td class="mono"><${T}>${one.from}<//></td>
      <td class="output">${one.kind && html`<${Badge}>${one.kind}<//> `}<span class="mono"><${T} max=${400}>${one.text}<//></span></td>
      <td><${Badge} tone=${TONES[one.result] ?? "dim"}><${T}>${one.refused ? `refused: ${one.refused}` : one.result}<//><//>
        ${one.outcomes.slice(0, 5).map((made) => html`<br /><${State} of=${made.state} /> <${T} max=${80}>${made.host ?? made.component}<//>${(made.service ?? made.resource) && html` / <${T} max=${80}>${made.service ?? made.resource}<//>`} <span class="mono faint"><${T}>${made.rule}<//></span>`)}</td><//>`)}
  <//>`;
}

/** Outcomes and messages as they come. */
export function Live() {
  const [show, setShow] = useState("all");
  const [filter, setFilter] = useState("");
  const [events, setEvents] = useState([]);
  const [paused, pause] = useState(false);
  const [waiting, wait] = useState({ events: [], seen: 0 });
  const [round, setRound] = useState(null);
  const [gap, setGap] = useState(null);
  const held = useRef(false);
  const ofMessages = show === "messages" || show === "unmatched";
  const scrolled = () => {
    if (window.scrollY > 160 && !held.current) hold(true);
  };
  const hold = (on) => {
    held.current = on;
    pause(on);
    if (!on) {
      setEvents((old) => [...waitingRef.current.events, ...old].slice(0, KEPT));
      wait({ events: [], seen: 0 });
    }
  };
  const waitingRef = useRef(waiting);
  waitingRef.current = waiting;
  const take = (fresh, total) => {
    const newest = [...fresh].reverse();
    setRound(total > fresh.length ? { shown: fresh.length, total } : null);
    if (held.current) wait((old) => ({ events: [...newest, ...old.events].slice(0, KEPT), seen: old.seen + total }));
    else setEvents((old) => [...newest, ...old].slice(0, KEPT));
  };
  const stream = useStream({
    all: show === "all",
    onEvents: (fresh, total) => {
      if (!ofMessages) take(fresh, total);
    },
    onGap: (one) => {
      if (!ofMessages) setGap(one);
    },
  });
  const messages = useMessages({ on: ofMessages, unmatched: show === "unmatched", onMessages: (fresh, total) => take(fresh.map(asRow), total), onGap: (one) => setGap((old) => ({ dropped: (old?.dropped ?? 0) + (one.dropped ?? 0) })) });
  useEffect(() => {
    addEventListener("scroll", scrolled, { passive: true });
    return () => removeEventListener("scroll", scrolled);
  }, []);
  const wanted = filter.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
  const shown = events.filter((event) => {
    const text = wanted.length > 0 ? wordsOf(event) : "";
    return wanted.every((word) => text.includes(word));
  });
  const go = () => {
    window.scrollTo(0, 0);
    hold(false);
  };
  const choose = (event) => {
    setShow(event.target.value);
    setEvents([]);
    wait({ events: [], seen: 0 });
    setGap(null);
    setRound(null);
  };
  const noun = ofMessages ? "message" : "outcome";
  const isOn = (ofMessages ? messages : stream) === "on";
  const actions = html`<button type="button" data-key=" " aria-pressed=${paused} onClick=${() => (paused ? go() : hold(true))}>${paused ? "Go on" : "Hold"} <kbd>Space</kbd></button>`;
  return html`<${Page} title="Live" actions=${actions} note=${isOn ? `${ofMessages ? "Messages as they come, and what becomes of them" : "Outcomes as they are made"}, the newest first` : "Waiting for the stream of the daemon"}>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${filter} placeholder=${ofMessages ? "sender, message, result, rule" : "host, service, state, rule, output"} onInput=${(event) => setFilter(event.target.value)} /><//>
      <${Field} label="Show"><select value=${show} onChange=${choose}>${Object.entries(SHOWN).map(([value, says]) => html`<option value=${value}>${says}</option>`)}</select><//>
    </form>
    <p class="line" aria-live="off">
      ${paused ? html`<button type="button" class="primary" onClick=${go}>${count(waiting.seen, `new ${noun}`)}: show</button>` : html`<span class="faint">${wanted.length > 0 ? `${number(shown.length)} of the last ${number(events.length)}` : `the last ${number(events.length)}`}</span>`}
      ${round && !paused && html` <span class="faint">shown: ${round.shown} of ${number(round.total)}</span>`}
      ${gap && html` <span class="warn-text">${count(gap.dropped ?? 0, noun)} left out: they came too fast</span>`}
    </p>
    <div>
    ${shown.length === 0
      ? html`<${Empty} title=${events.length === 0 ? "Nothing has come since you opened this page." : `Nothing of the last ${noun}s has these words.`} command="trapline send trap linkDown">${events.length === 0 ? "This line sends a trap to this machine:" : "Other words may find more. This line sends a trap:"}<//>`
      : ofMessages ? html`<${Messages} all=${shown} />` : html`<${Outcomes} all=${shown} />`}
    </div>
  <//>`;
}
