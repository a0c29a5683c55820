import { html, useEffect, useRef, useState } from "../dom.js";
import { useStream } from "../stream.js";
import { Empty, Field, Page, Row, State, Table } from "../ui.js";
import { T, When, count, number } from "../text.js";

const KEPT = 500;

const words = (event) => [event.data.host, event.data.service, event.data.status, event.data.rule, event.data.output].join("\n").toLowerCase();

/** Outcomes as they are made. */
export function Live() {
  const [all, setAll] = useState(true);
  const [filter, setFilter] = useState("");
  const [events, setEvents] = useState([]);
  const [paused, pause] = useState(false);
  const [waiting, wait] = useState({ events: [], seen: 0 });
  const [round, setRound] = useState(null);
  const [gap, setGap] = useState(null);
  const held = useRef(false);
  const list = useRef(null);
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
  const stream = useStream({
    all,
    onEvents: (fresh, total) => {
      const newest = [...fresh].reverse();
      setRound(total > fresh.length ? { shown: fresh.length, total } : null);
      if (held.current) wait((old) => ({ events: [...newest, ...old.events].slice(0, KEPT), seen: old.seen + total }));
      else setEvents((old) => [...newest, ...old].slice(0, KEPT));
    },
    onGap: (one) => setGap(one),
  });
  useEffect(() => {
    addEventListener("scroll", scrolled, { passive: true });
    return () => removeEventListener("scroll", scrolled);
  }, []);
  const wanted = filter.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
  const shown = events.filter((event) => {
    const text = wanted.length > 0 ? words(event) : "";
    return wanted.every((word) => text.includes(word));
  });
  const go = () => {
    window.scrollTo(0, 0);
    hold(false);
  };
  const actions = html`<button type="button" data-key=" " aria-pressed=${paused} onClick=${() => (paused ? go() : hold(true))}>${paused ? "Go on" : "Hold"} <kbd>Space</kbd></button>`;
  return html`<${Page} title="Live" actions=${actions} note=${stream === "on" ? "Outcomes as they are made, the newest first" : "Waiting for the stream of the daemon"}>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="Words" grow=${true}><input type="search" data-key="/" value=${filter} placeholder="host, service, state, rule, output" onInput=${(event) => setFilter(event.target.value)} /><//>
      <${Field} label="Show"><select value=${all ? "all" : "changes"} onChange=${(event) => { setAll(event.target.value === "all"); setEvents([]); }}>
        <option value="all">every outcome</option><option value="changes">changes of state</option></select><//>
    </form>
    <p class="line" aria-live="off">
      ${paused ? html`<button type="button" class="primary" onClick=${go}>${count(waiting.seen, "new outcome")}: show</button>` : html`<span class="faint">${wanted.length > 0 ? `${number(shown.length)} of the last ${number(events.length)}` : `the last ${number(events.length)}`}</span>`}
      ${round && !paused && html` <span class="faint">shown: ${round.shown} of ${number(round.total)}</span>`}
      ${gap && html` <span class="warn-text">${count(gap.dropped ?? 0, "outcome")} left out: they came too fast</span>`}
    </p>
    <div ref=${list}>
    ${shown.length === 0
      ? html`<${Empty} title=${events.length === 0 ? "Nothing has come since you opened this page." : "Nothing of the last outcomes has these words."} command="trapline send trap linkDown">${events.length === 0 ? "This line sends a trap to this machine:" : "Other words may find more. This line sends a trap:"}<//>`
      : html`<${Table} label="Outcomes" head=${["time", "state", "host", "service", ["output", "wide-only"], ["rule", "wide-only"]]}>
        ${shown.map((event) => html`<${Row} key=${event.data.id}>
          <td><${When} at=${event.timestamp} /></td><td class="nowrap"><${State} of=${event.data.status} /></td>
          <td><a href="#/history?${new URLSearchParams({ host: event.data.host ?? "", service: event.data.service ?? "" })}"><${T}>${event.data.host}<//></a></td>
          <td><${T}>${event.data.service ?? "–"}<//></td>
          <td class="wide-only output"><${T} max=${300}>${event.data.output}<//></td><td class="wide-only mono"><${T}>${event.data.rule}<//></td><//>`)}
      <//>`}
    </div>
  <//>`;
}
