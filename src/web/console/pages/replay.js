// Edited rules and the messages that were captured: which outcomes would be others.
import { html, useState } from "../dom.js";
import { post } from "../api.js";
import { Empty, Failure, Loading, State } from "../ui.js";
import { T, When, count, number } from "../text.js";

const TIMES = ["1h", "6h", "24h", "7d"];
const KINDS = { new: "more", gone: "less", state: "with another state", text: "with another text" };

function Side({ sign, of }) {
  if (!of) return null;
  return html`<div class="side"><span class="mono" aria-hidden="true">${sign}</span> <${State} of=${of.state} /> <${T} max=${80}>${of.host}<//>${of.service && html` / <${T} max=${80}>${of.service}<//>`}: <${T} max=${300}>${of.output}<//></div>`;
}

/** What would be different, by rule. */
function Differences({ answer }) {
  const rules = answer.rules ?? [];
  return html`<div class="replayed" role="status">
    <p><strong class=${answer.differences > 0 ? "warn-text" : "good-text"}>${answer.differences > 0 ? `${count(answer.differences, "outcome")} of ${count(rules.length, "rule")} would differ` : "Nothing would differ"}</strong>, of ${count(answer.messages, "captured message")}${answer.from && html` from <${When} at=${answer.from} /> to <${When} at=${answer.to} />`}${answer.left_out > 0 && `; ${number(answer.left_out)} could not be read`}</p>
    ${rules.map((rule) => html`<section key=${rule.rule}><h3 class="mono"><${T}>${rule.rule}<//></h3>
      ${Object.entries(KINDS).map(([kind, says]) => [says, rule[kind]]).filter(([, one]) => one).map(([says, one]) => html`<div class="difference"><p>${number(one.count)} ${says}${one.states && html`: <${T}>${Object.entries(one.states).map(([state, n]) => `${n} ${state}`).join(", ")}<//>`}</p>
        ${one.first && html`<p class="faint">the first: <${T} max=${300}>${one.first.message}<//></p><${Side} sign="-" of=${one.first.before} /><${Side} sign="+" of=${one.first.after} />`}</div>`)}</section>`)}
  </div>`;
}

/** A button that replays, and what it finds. `toml` gives the rules of the console as they would be; without it the files as they are. */
export function Replay({ toml, off }) {
  const [since, set] = useState("24h");
  const [busy, work] = useState(false);
  const [answer, say] = useState(null);
  const [error, fail] = useState(null);
  const go = async () => {
    work(true);
    say(null);
    fail(null);
    try {
      say(await post("rules/replay", { since, ...(toml === undefined ? {} : { toml }) }));
    } catch (problem) {
      fail(problem);
    }
    work(false);
  };
  const isOff = error?.message?.includes("nothing is captured");
  return html`<div class="replay">
    <p class="line"><label class="inline">Messages of the last <select value=${since} onChange=${(event) => set(event.target.value)}>${TIMES.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
      <button type="button" disabled=${busy || off} onClick=${go}>${busy ? "Replaying…" : "Replay"}</button></p>
    ${busy && html`<${Loading} what="the messages" />`}
    ${isOff ? html`<${Empty} title="No message is captured." command=${'printf "\\n[capture]\\nsize = \\"1GiB\\"\\n" >> /etc/trapline/trapline.toml && trapline reload'}>Where messages are kept, changed rules can be tried on them. This begins it:<//>` : html`<${Failure} error=${error} />`}
    ${answer && html`<${Differences} answer=${answer} />`}
  </div>`;
}
