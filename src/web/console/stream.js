// One WebSocket for the whole console: browsers allow about six connections to a server over HTTP/1.1, and a stream a tab
// would use them up. At most 50 events a second are handed on; the rest is counted.
import { useState, useEffect, useRef } from "./dom.js";

const ROUND = 200;
const MOST = 10;

const listeners = new Set();
let socket = null;
let opened = "";
let wait = 500;
let retry = 0;
let last = null;
let held = [];
let seen = 0;
let timer = 0;
let state = "off";

function say(next) {
  state = next;
  for (const listener of listeners) listener.onState?.(next);
}

function address() {
  const all = [...listeners].some((listener) => listener.all);
  const url = new URL("api/ws/status", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (all) {
    url.searchParams.set("all", "1");
    // Nobody reads more than 50 a second; how many there were is said.
    url.searchParams.set("some", "1");
  }
  return url;
}

function hand() {
  timer = 0;
  const events = held;
  const total = seen;
  held = [];
  seen = 0;
  for (const listener of listeners) listener.onEvents?.(events, total);
}

function take(message) {
  let event;
  try {
    event = JSON.parse(message.data);
  } catch {
    return;
  }
  if (event.type === "gap") {
    for (const listener of listeners) listener.onGap?.(event.data ?? event);
    return;
  }
  if (event.type === "more") {
    seen += event.data?.count ?? 0;
    return;
  }
  if (event.type !== "status_update") return;
  if (event.data?.id) last = event.data.id;
  seen += 1;
  if (held.length < MOST) held.push(event);
  if (timer === 0) timer = setTimeout(hand, ROUND);
}

function open() {
  clearTimeout(retry);
  if (listeners.size === 0) return;
  const url = address();
  opened = url.search;
  if (last !== null) url.searchParams.set("since", last);
  say("connecting");
  const mine = new WebSocket(url);
  socket = mine;
  mine.onopen = () => {
    wait = 500;
    say("on");
  };
  mine.onmessage = take;
  mine.onclose = () => {
    if (socket !== mine) return;
    socket = null;
    say("off");
    if (listeners.size === 0) return;
    retry = setTimeout(open, wait);
    wait = Math.min(wait * 2, 15_000);
  };
}

function settle() {
  if (listeners.size === 0) {
    clearTimeout(retry);
    const old = socket;
    socket = null;
    old?.close();
    return;
  }
  if (socket !== null && address().search === opened) return;
  const old = socket;
  socket = null;
  old?.close();
  // What was received under other filters is no place to go on from.
  last = null;
  open();
}

/** Listens as long as the component is shown. */
export function useStream({ all = false, onEvents, onGap }) {
  const [now, set] = useState(state);
  const latest = useRef({});
  latest.current = { onEvents, onGap };
  useEffect(() => {
    const listener = {
      all,
      onEvents: (events, total) => latest.current.onEvents?.(events, total),
      onGap: (gap) => latest.current.onGap?.(gap),
      onState: set,
    };
    listeners.add(listener);
    // After all components of a page have said what they want.
    setTimeout(settle, 0);
    return () => {
      listeners.delete(listener);
      setTimeout(settle, 0);
    };
  }, [all]);
  return now;
}

/** Messages as they come, over a WebSocket of its own while somebody looks at them. `onMessages` gets those of a round. */
export function useMessages({ on, unmatched, onMessages, onGap }) {
  const [now, set] = useState("off");
  const latest = useRef({});
  latest.current = { onMessages, onGap };
  useEffect(() => {
    if (!on) return undefined;
    let over = false;
    let mine = null;
    let again = 0;
    let pause = 500;
    let gathered = [];
    let count = 0;
    let round = 0;
    const give = () => {
      round = 0;
      latest.current.onMessages?.(gathered, count);
      gathered = [];
      count = 0;
    };
    const begin = () => {
      const url = new URL("api/v1/ws/messages", document.baseURI);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      if (unmatched) url.searchParams.set("unmatched", "1");
      set("connecting");
      mine = new WebSocket(url);
      mine.onopen = () => {
        pause = 500;
        set("on");
      };
      mine.onmessage = (message) => {
        let event;
        try {
          event = JSON.parse(message.data);
        } catch {
          return;
        }
        if (event.type === "gap") latest.current.onGap?.(event.data ?? {});
        if (event.type !== "message") return;
        count += 1;
        if (gathered.length < MOST) gathered.push(event.data);
        if (round === 0) round = setTimeout(give, ROUND);
      };
      mine.onclose = () => {
        if (over) return;
        set("off");
        again = setTimeout(begin, pause);
        pause = Math.min(pause * 2, 15_000);
      };
    };
    begin();
    return () => {
      over = true;
      clearTimeout(again);
      clearTimeout(round);
      mine?.close();
      set("off");
    };
  }, [on, unmatched]);
  return now;
}

/** Goes on at once, as with a new session. */
export function resume() {
  wait = 500;
  if (socket === null && listeners.size > 0) open();
}

/** Ends the stream, as at signing out. */
export function close() {
  last = null;
  const old = socket;
  socket = null;
  old?.close();
}
