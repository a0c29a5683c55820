// The file of the rules of the console: edited, tried, saved, and taken back to earlier versions.
import { html, useEffect, useRef, useState } from "../dom.js";
import { request } from "../api.js";
import { Empty, Failure, Loading, Page, Panel } from "../ui.js";
import { T, count, number } from "../text.js";
import { Editor, Review, Trial, pick, useTrial } from "./maker.js";

const NOTHING = "# Rules of the console. A rule that is made of a message in the inbox stands here.\n";

export function ConsoleRules({ session }) {
  const [base, setBase] = useState(null);
  const [toml, setToml] = useState("");
  const [review, setReview] = useState(null);
  const [error, fail] = useState(null);
  const [stale, setStale] = useState(false);
  const [said, say] = useState("");
  const [skip, setSkip] = useState(0);
  const place = useRef(null);
  const mayOperate = session?.role !== "read";
  const edited = base !== null && toml !== base.toml;
  const { tried, busy } = useTrial(base === null ? null : { toml, whole: true });

  const load = async () => {
    try {
      const { answer, etag } = await request("GET", "rules/console");
      const text = typeof answer === "string" ? answer : "";
      setBase({ toml: text === "" ? NOTHING : text, saved: text, etag });
      setToml(text === "" ? NOTHING : text);
      setStale(false);
      fail(null);
    } catch (problem) {
      fail(problem);
    }
  };
  useEffect(() => {
    if (mayOperate) load();
  }, []);

  // Whoever leaves the page by its address or closes it is asked first.
  useEffect(() => {
    const leaving = (event) => edited && event.preventDefault();
    addEventListener("beforeunload", leaving);
    return () => removeEventListener("beforeunload", leaving);
  }, [edited]);

  const refused = (problem) => {
    setStale(problem.status === 412);
    setReview((old) => (old === null ? null : { ...old, busy: false, error: problem }));
  };
  const put = (query) => request("PUT", `rules/console${query}`, { body: toml, type: "application/toml", headers: { "If-Match": base.etag } });
  const open = async () => {
    const start = { before: base.saved, after: toml, checked: null, error: null, busy: false };
    setReview(start);
    try {
      setReview({ ...start, checked: (await put("?dry_run=1")).answer });
    } catch (problem) {
      refused(problem);
    }
  };
  const save = async () => {
    setReview((old) => ({ ...old, busy: true }));
    try {
      const { etag } = await put("");
      setBase({ toml, saved: toml, etag });
      setReview(null);
      setSkip(0);
      say("Saved: the rules are in force.");
    } catch (problem) {
      refused(problem);
    }
  };
  const undo = async () => {
    try {
      await request("POST", `rules/console/undo${skip > 0 ? `?skip=${skip}` : ""}`, { body: {}, headers: { "If-Match": base.etag } });
      setSkip(0);
      await load();
      say("The version before is in force.");
    } catch (problem) {
      if (problem.status === 422) setSkip(skip + 1);
      setStale(problem.status === 412);
      say("");
      fail(problem);
    }
  };
  const back = html`<a class="button" data-key="Escape" href="#/rules">Back <kbd>Esc</kbd></a>`;
  if (!mayOperate) {
    return html`<${Page} title="Rules of the console" actions=${back}><${Empty} title="Your token may not change rules." command="trapline token add NAME --role operate">That needs the role operate. This line makes such a token:<//><//>`;
  }
  const blocked = base === null || !edited || !tried || busy || Boolean(tried.error) || tried.ok === false;
  return html`<${Page} title="Rules of the console" note="Made in the inbox or here; tried after the files of the configuration and before the packs"
      actions=${html`${back}
        <button type="button" disabled=${base === null || edited} title=${edited ? "save or take back what was typed first" : ""} onClick=${undo}>${skip > 0 ? "Undo, one version further back" : "Undo the last change"}</button>
        <button type="button" class="primary" data-key="Ctrl+S" disabled=${blocked} onClick=${open}>Save… <kbd>Ctrl+S</kbd></button>`}>
    <${Failure} error=${error} retry=${base === null ? load : undefined} />
    ${stale && html`<div class="failure" role="alert"><p>Somebody else has changed the rules since this page was opened. Copy what you have typed, if you need it, and load them again.</p><button type="button" onClick=${load}>Load the rules in force</button></div>`}
    ${said && html`<p class="good-text" role="status">${said}</p>`}
    ${base === null && !error && html`<${Loading} what="the rules" />`}
    ${base !== null && html`<div class="grid">
      <${Panel} title=${html`<${T}>console.toml<//>`} wide=${true} actions=${edited && html`<button type="button" class="small" onClick=${() => setToml(base.toml)}>Take back what was typed</button>`}>
        <${Editor} value=${toml} onInput=${(text) => { setToml(text); say(""); }} diagnostics=${tried?.diagnostics ?? []} place=${place} />
      <//>
      <${Panel} title="What it does" wide=${true}>
        ${tried?.rules && html`<p>${count(tried.rules.length, "rule")}; of the messages in the inbox they take ${number(tried.matches?.elsewhere ?? 0)} of ${number(tried.matches?.of_elsewhere ?? 0)} that are kept</p>`}
        <${Trial} tried=${tried} busy=${busy} onPick=${pick(place, toml)} />
        ${tried?.tests && tried.tests.failed + tried.tests.passed > 0 && html`<p class=${tried.tests.failed > 0 ? "bad-text" : "good-text"}>${tried.tests.failed > 0 ? `${count(tried.tests.failed, "test")} failed` : `${count(tried.tests.passed, "test")} passed`}</p>`}
      <//>
    </div>`}
    ${review && html`<${Review} ...${review} onSave=${save} onClose=${() => setReview(null)} />`}
  <//>`;
}
