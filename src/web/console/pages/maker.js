// From a message to a rule in force: what is chosen on the left becomes the text on the right, which is tried at once.
import { html, useEffect, useRef, useState } from "../dom.js";
import { get, post, request } from "../api.js";
import { Diagnostics, Dialog, Empty, Failure, Loading, Page, Panel, State } from "../ui.js";
import { T, count, number } from "../text.js";
import { addCondition, captures, diff, nameFor, patternOf, readPattern, setExpect, shape, toggleIn, writePattern } from "../toml.js";
import { Line, Posted, Varbinds } from "./parts.js";
import { what } from "./inbox.js";
import { Replay } from "./replay.js";

const PAUSE = 300;
const AGAIN = 2000;
// No answer, no session, too much at once, a daemon that starts.
const PASSING = [0, 401, 429, 503];

/** A rule as text, with the places of its mistakes. */
export function Editor({ value, onInput, diagnostics, place }) {
  const lines = value.split("\n").length;
  const wrong = new Set(diagnostics.map((one) => one.line));
  const gutter = useRef(null);
  return html`<div class="editor">
    <div class="gutter" ref=${gutter} aria-hidden="true">${Array.from({ length: lines }, (_, at) => html`<span class=${wrong.has(at + 1) ? "wrong" : ""}>${at + 1}</span>`)}</div>
    <textarea ref=${place} aria-label="The rule as TOML" spellcheck=${false} autocapitalize="off" autocomplete="off" wrap="off" rows=${Math.min(40, Math.max(14, lines + 1))}
      value=${value} onInput=${(event) => onInput(event.target.value)} onScroll=${(event) => (gutter.current.scrollTop = event.target.scrollTop)}></textarea>
  </div>`;
}

export function pick(place, text) {
  return ({ line, column }) => {
    const lines = text.split("\n");
    const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + (column ?? 1) - 1;
    place.current.focus();
    place.current.setSelectionRange(at, at + 1);
  };
}

/** What becomes of rules, tried 300 ms after the last change. A daemon that does not answer, or has no time, is asked again. */
export function useTrial(body) {
  const [tried, set] = useState(null);
  const [busy, work] = useState(false);
  const asked = body === null ? null : JSON.stringify(body);
  useEffect(() => {
    if (asked === null) return undefined;
    let over = false;
    let timer = 0;
    work(true);
    const attempt = async () => {
      try {
        const answer = await post("rules/try", JSON.parse(asked));
        if (over) return;
        set(answer);
      } catch (problem) {
        if (over) return;
        set(problem.errors?.length > 0 ? { diagnostics: problem.errors } : { error: problem });
        if (PASSING.includes(problem.status)) {
          timer = setTimeout(attempt, AGAIN);
          return;
        }
      }
      work(false);
    };
    timer = setTimeout(attempt, PAUSE);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [asked]);
  return { tried, busy };
}

/** What the rule makes, who takes it, and what sinks would send. */
export function Trial({ tried, busy, onExpect, onPick }) {
  if (!tried) return html`<${Loading} what="the trial" />`;
  if (tried.error) return html`<${Failure} error=${tried.error} />`;
  const diagnostics = tried.diagnostics ?? [];
  const { matches, explained, tests } = tried;
  const outcomes = explained?.outcomes ?? [];
  const whole = matches && matches.here === matches.of;
  return html`<div class=${busy ? "trial busy" : "trial"} aria-live="polite">
    ${matches && matches.here !== null && html`<p class="matches ${whole ? "good" : "warn"}"><strong>matches ${number(matches.here)} of ${number(matches.of)} here</strong>, ${number(matches.elsewhere)} elsewhere${matches.partial && " so far"}${tests && html`; <span class=${tests.failed > 0 ? "bad-text" : "good-text"}>${tests.failed > 0 ? `${count(tests.failed, "test")} failed` : `${count(tests.passed, "test")} passed`}</span>`}</p>`}
    ${diagnostics.length > 0 && html`<${Diagnostics} all=${diagnostics} onPick=${onPick} />`}
    ${tests?.failed > 0 && outcomes.length > 0 && html`<button type="button" class="small" onClick=${onExpect}>Let the test expect what it makes now</button>`}
    ${explained && (explained.error
      ? html`<p class="bad-text"><${T}>${explained.error}<//></p>`
      : outcomes.length === 0
        ? html`<p class=${explained.matched?.length > 0 ? "" : "warn-text"}>${explained.matched?.length > 0 ? "The message is dropped: it makes nothing, on purpose." : "No rule takes this message."}</p>
          ${(explained.rejected ?? []).map((one) => html`<p class="faint"><span class="mono"><${T}>${one.rule}<//></span>: <${T}>${one.because}<//></p>`)}`
        : outcomes.map((one) => html`<dl class="outcome"><div><dt>host</dt><dd><${T}>${one.host ?? one.component}<//></dd></div><div><dt>service</dt><dd><${T}>${one.service ?? one.resource ?? "–"}<//></dd></div>
          <div><dt>state</dt><dd><${State} of=${one.state} /></dd></div><div><dt>output</dt><dd><${T}>${one.output}<//></dd></div></dl>`))}
    ${(explained?.sends ?? []).length > 0 && html`<h3>What sinks would send</h3><ul class="sends">${explained.sends.map((one) => html`<li><strong><${T}>${one.sink}<//></strong><pre><${T} max=${1200}>${one.sends}<//></pre></li>`)}</ul>`}
  </div>`;
}

/** The change of the file, the test, and what all tests say, before it is in force. */
export function Review({ before, after, checked, onSave, onClose, busy, error }) {
  const tests = checked?.tests;
  const failed = tests?.failed ?? 0;
  const lines = diff(before, after);
  return html`<${Dialog} title="Put the rule in force?" onClose=${onClose} wide=${true}>
    <h3>The change of console.toml</h3>
    <pre class="diff" tabindex="0" aria-label="The change">${lines.map(([sign, line]) => html`<span class=${sign === "+" ? "add" : sign === "-" ? "cut" : ""}>${sign} <${T}>${line}<//>${"\n"}</span>`)}</pre>
    ${error ? html`<${Failure} error=${error} />` : !checked ? html`<${Loading} what="all tests" />`
      : html`<p class=${failed > 0 ? "bad-text" : "good-text"} role="status"><strong>${failed > 0 ? `${count(failed, "test")} failed` : `All tests passed: ${number(tests?.passed ?? 0)}`}</strong></p>`}
    ${checked && failed === 0 && !error && html`<h3>On captured messages</h3><${Replay} toml=${after} off=${busy} />`}
    <footer><button type="button" onClick=${onClose}>Cancel</button>
      <button type="button" class="primary" data-key="Ctrl+S" data-autofocus disabled=${!checked || error !== null || failed > 0 || busy} onClick=${onSave}>Save <kbd>Ctrl+S</kbd></button></footer>
  <//>`;
}

/** Text, with one more rule. */
const joined = (before, rule) => (before.trim() === "" ? rule : `${before.trimEnd()}\n\n${rule}`);

export function Maker({ rest, query, session }) {
  const id = rest[0];
  const [group, setGroup] = useState(null);
  const [error, fail] = useState(null);
  const [sample, choose] = useState(null);
  const [choices, setChoices] = useState({ drop: query.get("drop") === "1", varbinds: {}, spans: null, state: null });
  const [suggested, setSuggested] = useState(null);
  const [toml, setToml] = useState("");
  const [review, setReview] = useState(null);
  const [skip, setSkip] = useState(0);
  const [saved, setSaved] = useState(null);
  const asked = useRef(0);
  const place = useRef(null);
  const edited = suggested !== null && toml !== suggested.toml;

  useEffect(() => {
    (async () => {
      try {
        const whole = await get(`inbox/${encodeURIComponent(id)}`);
        setGroup(whole);
        choose(Math.max(0, whole.messages.length - 1));
      } catch (problem) {
        fail(problem);
      }
    })();
  }, [id]);

  const suggest = async (wanted, of = sample) => {
    const mine = (asked.current += 1);
    try {
      const answer = await post("rules/suggest", {
        group: Number(id), sample: of, drop: wanted.drop,
        varbinds: Object.entries(wanted.varbinds).filter(([, uses]) => uses.length > 0).map(([at, uses]) => ({ at: Number(at), use: uses })),
        ...(wanted.spans === null ? {} : { spans: wanted.spans.map(({ start, end, name, use }) => ({ start, end, name, use: use ?? [] })) }),
        ...(wanted.state ? { state: wanted.state } : {}),
      });
      if (mine !== asked.current) return;
      setSuggested(answer);
      setToml(answer.toml);
      fail(null);
    } catch (problem) {
      if (mine === asked.current) fail(problem);
    }
  };
  useEffect(() => {
    if (sample !== null && group !== null) suggest(choices, sample);
  }, [sample, group]);

  const { tried, busy } = useTrial(toml === "" || sample === null ? null : { toml, group: Number(id), sample });

  const change = (next, byHand) => {
    setChoices(next);
    if (edited) setToml(byHand(toml));
    else suggest(next);
  };
  const parts = suggested?.parts ?? suggested ?? {};
  const onVarbind = (part, use) => {
    const before = choices.varbinds[part.at] ?? [];
    const uses = before.includes(use) ? before.filter((one) => one !== use) : [...before, use];
    change({ ...choices, varbinds: { ...choices.varbinds, [part.at]: uses } }, (text) =>
      use === "condition" ? addCondition(text, `${part.expression} == ${part.literal ?? `'${part.value.text}'`}`) : toggleIn(text, use, use === "output" ? part.label : "", part.expression));
  };
  const message = group?.messages[sample];
  const text = message?.message ?? "";
  const spans = choices.spans ?? parts.spans ?? parts.suggested ?? [];
  const setSpans = (next) => change({ ...choices, spans: next }, (toml) => {
    const pattern = readPattern(toml)?.pattern;
    if (pattern === undefined) return toml;
    // Places of parts count characters, those of the browser units of UTF-16.
    const units = (at) => [...text].slice(0, at).join("").length;
    const before = captures(pattern, text) ?? [];
    const all = next.map((one) => {
      const [from, to] = [units(one.start), units(one.end)];
      const known = before.find((other) => other.name === one.name && other.from === from && other.to === to);
      return { name: one.name, from, to, shape: known?.shape ?? shape(text.slice(from, to)) };
    });
    return writePattern(toml, patternOf(text, all));
  });
  const onUse = (span, use) => {
    const uses = span.use ?? [];
    const next = spans.map((one) => (one.name === span.name ? { ...one, use: uses.includes(use) ? uses.filter((u) => u !== use) : [...uses, use] } : one));
    change({ ...choices, spans: next }, (toml) => toggleIn(toml, use, use === "output" ? span.name : "", span.name));
  };
  const onDrop = (event) => change({ ...choices, drop: event.target.checked }, (text) => text);
  const onState = (event) => change({ ...choices, state: event.target.value }, (text) => text);

  const blocked = !tried || busy || Boolean(tried.error) || tried.ok === false || session?.role === "read";
  const open = async () => {
    setReview({ before: null, after: null, etag: null, checked: null, error: null, busy: false });
    try {
      const { answer, etag } = await request("GET", "rules/console");
      const before = typeof answer === "string" ? answer : answer.toml ?? "";
      const after = joined(before, toml);
      setReview({ before, after, etag, checked: null, error: null, busy: false });
      const { answer: checked } = await request("PUT", "rules/console?dry_run=1", { body: after, type: "application/toml", headers: etag ? { "If-Match": etag } : {} });
      setReview({ before, after, etag, checked, error: null, busy: false });
    } catch (problem) {
      setReview((old) => ({ ...old, before: old?.before ?? "", after: old?.after ?? toml, error: problem }));
    }
  };
  const save = async () => {
    setReview((old) => ({ ...old, busy: true }));
    try {
      const { answer, etag } = await request("PUT", "rules/console", { body: review.after, type: "application/toml", headers: review.etag ? { "If-Match": review.etag } : {} });
      setSaved({ ...answer, etag });
      setReview(null);
    } catch (problem) {
      setReview((old) => ({ ...old, busy: false, error: problem }));
    }
  };
  const undo = async () => {
    try {
      await request("POST", `rules/console/undo${skip > 0 ? `?skip=${skip}` : ""}`, { body: {}, headers: { "If-Match": saved.etag ?? "*" } });
      location.hash = `#/inbox/${id}`;
    } catch (problem) {
      if (problem.status === 422) setSkip(skip + 1);
      fail(problem);
    }
  };

  if (group === null) return html`<${Page} title="Make a rule"><${Failure} error=${error} />${!error && html`<${Loading} what="the message" />`}<//>`;
  if (group.messages.length === 0) return html`<${Page} title="Make a rule"><${Empty} title="Nothing of this group is kept.">Wait for its next message.<//><//>`;
  if (saved !== null) {
    return html`<${Page} title="In force" actions=${html`<a class="button" data-key="Escape" href="#/inbox">Inbox <kbd>Esc</kbd></a>`}>
      <div class="done" role="status"><p class="good-text"><span aria-hidden="true">✓</span> <strong>In force.</strong> Messages of this kind are taken from now on.</p>
        <${Failure} error=${error} />
        <p><button type="button" onClick=${undo}>${skip > 0 ? "Undo, one version further back" : "Undo"}</button> <a class="button" href="#/rules">All rules</a> <a class="button primary" href="#/live">Watch what it makes</a></p></div>
      <pre class="raw"><${T}>${toml}<//></pre><//>`;
  }
  return html`<${Page} title="Make a rule" note=${html`for <${T} max=${120}>${what(group)}<//>`}
      actions=${html`<a class="button" data-key="Escape" href="#/inbox/${id}">Back <kbd>Esc</kbd></a>
        <button type="button" class="primary" data-key="Ctrl+S" disabled=${blocked} title=${session?.role === "read" ? "your token may only read" : ""} onClick=${open}>Save… <kbd>Ctrl+S</kbd></button>`}>
    <${Failure} error=${error} />
    <div class="maker">
      <${Panel} title="The message" actions=${group.messages.length > 1 && html`<label class="inline">Sample <select value=${sample} onChange=${(event) => choose(Number(event.target.value))}>${group.messages.map((_, at) => html`<option value=${at}>${at + 1}</option>`)}</select> of ${group.messages.length}</label>`}>
        <div class="line">
          <label class="inline">State <select value=${choices.state ?? ""} onChange=${onState} disabled=${choices.drop || edited}><option value="">as proposed</option>${["ok", "warning", "critical", "unknown"].map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
          <label class="check"><input type="checkbox" checked=${choices.drop} disabled=${edited} onChange=${onDrop} /> drop these messages</label>
        </div>
        ${message.varbinds && html`<${Varbinds} parts=${parts.varbinds ?? []} chosen=${choices.varbinds} onUse=${onVarbind} off=${choices.drop} />`}
        ${message.kind === "syslog" && html`<${Line} text=${text} spans=${spans} onSpans=${setSpans} onUse=${onUse} nameFor=${nameFor} off=${choices.drop} />`}
        ${message.json !== undefined && html`<${Posted} message=${message} />`}
      <//>
      <${Panel} title="The rule" actions=${edited && html`<button type="button" class="small" onClick=${() => setToml(suggested.toml)}>Take back what was typed</button>`}>
        <${Editor} value=${toml} onInput=${setToml} diagnostics=${tried?.diagnostics ?? []} place=${place} />
      <//>
      <${Panel} title="What it does">
        <${Trial} tried=${tried} busy=${busy} onPick=${pick(place, toml)} onExpect=${() => setToml(setExpect(toml, tried.explained?.outcomes?.[0] ?? {}))} />
      <//>
    </div>
    ${review && review.before !== null && html`<${Review} ...${review} onSave=${save} onClose=${() => setReview(null)} />`}
  <//>`;
}
