// The frame around the pages: who is signed in, which page is shown, keys, theme.
import { html, render, useState, useEffect, useRef } from "./dom.js";
import { get, post, remove, request, whenSignedOut, useGet } from "./api.js";
import { PAGES, Help, onKey } from "./keys.js";
import { useStream, close, resume } from "./stream.js";
import { State, Failure } from "./ui.js";
import { T, number } from "./text.js";
import { Login } from "./pages/login.js";
import { Overview } from "./pages/overview.js";
import { Live } from "./pages/live.js";
import { History } from "./pages/history.js";
import { Inbox } from "./pages/inbox.js";
import { Maker } from "./pages/maker.js";
import { Rules } from "./pages/rules.js";
import { Sinks } from "./pages/sinks.js";
import { Correlation } from "./pages/state.js";
import { Senders } from "./pages/senders.js";
import { CheckIns } from "./pages/checkins.js";
import { Mibs } from "./pages/mibs.js";
import { Admin } from "./pages/admin.js";

const VIEWS = {
  overview: Overview, live: Live, history: History, inbox: Inbox, maker: Maker, rules: Rules, sinks: Sinks, state: Correlation,
  senders: Senders, checkins: CheckIns, mibs: Mibs, admin: Admin,
};

/** `#/inbox/7?drop=1`: the page, what follows, and its query. */
function place() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { page: page in VIEWS ? page : "overview", rest, query: new URLSearchParams(search) };
}

function Theme() {
  const [theme, set] = useState(document.documentElement.dataset.theme ?? "auto");
  const change = (event) => {
    const next = event.target.value;
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("trapline.theme", next);
    } catch {
      // It holds until the page is left.
    }
    set(next);
  };
  return html`<label class="theme"><span class="hidden">Theme</span><select value=${theme} onChange=${change}>
    <option value="auto">System</option><option value="light">Light</option><option value="dark">Dark</option></select></label>`;
}

function Navigation({ page, inbox }) {
  return html`<ul>${PAGES.map(([letter, path, name]) => html`<li><a href="#/${path}" aria-current=${page === path ? "page" : undefined} title="g ${letter}">
    <span>${name}</span>${path === "inbox" && inbox > 0 ? html`<span class="count" title="kinds of messages that no rule takes">${number(inbox)}</span>` : ""}</a></li>`)}</ul>`;
}

/** What came of the stream, said every ten seconds to those who listen to the page. */
function Said() {
  const [text, set] = useState("");
  const counts = useRef({ events: 0, bad: 0 }).current;
  useStream({
    onEvents: (events, total) => {
      counts.events += total;
      counts.bad += events.filter((event) => ["critical", "down"].includes(event.data.status)).length;
    },
  });
  useEffect(() => {
    const timer = setInterval(() => {
      if (counts.events > 0) set(`${counts.events} changes of state, ${counts.bad} of them critical`);
      counts.events = 0;
      counts.bad = 0;
    }, 10_000);
    return () => clearInterval(timer);
  }, []);
  return html`<p class="hidden" role="status" aria-live="polite">${text}</p>`;
}

function Frame({ session, onOut }) {
  const [at, go] = useState(place());
  const [help, showHelp] = useState(false);
  const [menu, showMenu] = useState(false);
  const status = useGet("status", 5000);
  const stream = useStream({});
  useEffect(() => {
    const moved = () => {
      go(place());
      showMenu(false);
      window.scrollTo(0, 0);
    };
    const pressed = (event) => onKey(event, () => showHelp(true));
    addEventListener("hashchange", moved);
    addEventListener("keydown", pressed);
    return () => {
      removeEventListener("hashchange", moved);
      removeEventListener("keydown", pressed);
    };
  }, []);
  useEffect(() => {
    document.getElementById("page-title")?.focus({ preventScroll: true });
  }, [at.page, at.rest.join("/")]);
  const out = async () => {
    close();
    try {
      await remove("session");
    } finally {
      onOut();
    }
  };
  const View = VIEWS[at.page];
  const problems = status.data?.problems ?? [];
  const health = status.error ? ["bad", "no answer"] : !status.data ? ["dim", "…"] : problems.length > 0 ? ["bad", "not ready"] : ["good", "ready"];
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header class="top">
      <a class="brand" href="#/overview"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M5 11h22M16 11v15" /><circle cx="25" cy="21" r="3" /></svg>Trapline</a>
      <span class="health ${health[0]}" title=${problems.join("; ")}><i aria-hidden="true"></i>${health[1]}</span>
      <span class="stream ${stream}" title="the stream of changes"><i aria-hidden="true"></i>${stream === "on" ? "live" : stream === "connecting" ? "connecting" : "not live"}</span>
      <span class="spring"></span>
      <button type="button" class="quiet keys-button" onClick=${() => showHelp(true)} aria-label="Keys">?</button>
      <${Theme} />
      <button type="button" class="quiet sign-out" onClick=${out}>Sign out</button>
      <button type="button" class="menu-button" aria-expanded=${menu} aria-controls="nav" onClick=${() => showMenu(!menu)}>Menu</button>
    </header>
    <nav id="nav" class=${menu ? "open" : ""} aria-label="Pages"><${Navigation} page=${at.page === "maker" ? "inbox" : at.page} inbox=${status.data?.inbox?.groups ?? 0} />
      <div class="who"><span class="narrow-theme"><${Theme} /> <button type="button" class="quiet" onClick=${out}>Sign out</button></span>${session?.token && html`Token <${T}>${session.token}<//>, `}role ${session?.role ?? ""}${status.data?.version && html`<br />Trapline ${status.data.version}`}</div></nav>
    <main id="main" tabindex="-1">
      ${status.error && status.error.status === 0 && html`<${Failure} error=${status.error} />`}
      <${View} key=${at.page + (at.page === "maker" ? at.rest.join("/") : "")} rest=${at.rest} query=${at.query} status=${status.data} session=${session} />
    </main>
    <${Said} />
    ${help && html`<${Help} onClose=${() => showHelp(false)} />`}`;
}

function App({ token }) {
  const [session, set] = useState(undefined);
  const [ended, end] = useState(false);
  const [error, fail] = useState(null);
  const [given, forget] = useState(token);
  const enter = async (text) => {
    const answer = await post("session", { token: text });
    end(false);
    set(answer || {});
    resume();
  };
  useEffect(() => {
    whenSignedOut(() => {
      // A dialog that is open would keep the keyboard from the form.
      for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
      end(true);
    });
    (async () => {
      if (given) {
        forget(null);
        try {
          await enter(given);
          return;
        } catch (problem) {
          fail(problem);
        }
      }
      try {
        set(await get("session"));
      } catch (problem) {
        set(null);
        if (problem.status !== 401) fail(problem);
      }
    })();
  }, []);
  if (session === undefined) return html`<p class="boot">Signing in…</p>`;
  if (session === null) return html`<${Login} onEnter=${enter} error=${error} />`;
  // What somebody was typing stays while the session begins anew.
  return html`${ended && html`<${Login} onEnter=${enter} ended=${true} />`}
    <div class="frame" hidden=${ended} inert=${ended}><${Frame} session=${session} onOut=${() => { end(false); set(null); }} /></div>`;
}

// A token in the address is used once and taken out of it, so that it is in no history and no bookmark.
let token = null;
const found = location.hash.match(/^#token=([^&]+)/);
if (found !== null) {
  token = decodeURIComponent(found[1]);
  history.replaceState(null, "", location.pathname + location.search);
}
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} token=${token} />`, root);
