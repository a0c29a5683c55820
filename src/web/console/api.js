// Requests to the daemon. Addresses are relative, so that a proxy may serve the console below a path of its own.
import { useState, useEffect, useRef, useCallback } from "./dom.js";

const BASE = "api/v1/";
const RETRIES = 4;

/** What the daemon said against a request (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the daemon answered ${status}`);
    this.status = status;
    this.errors = Array.isArray(body.errors) ? body.errors : [];
    this.body = body;
  }
}

let onSignedOut = () => {};
/** Called when the daemon no longer knows the session. */
export function whenSignedOut(callback) {
  onSignedOut = callback;
}

/** A request; `body` is sent as JSON unless it is a string with a type of its own. */
export async function request(method, path, { body, type, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, signal, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = type ?? "application/json";
    options.body = type ? body : JSON.stringify(body);
  }
  let response;
  for (let attempt = 0; ; attempt += 1) {
    try {
      response = await fetch(path.startsWith("/") ? path.slice(1) : BASE + path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { detail: "the daemon does not answer; it may be stopped or restarting" });
    }
    // Whoever leafs through pages fast asks more often than a token may. Nothing was done, so it can be asked again.
    if (response.status !== 429 || attempt >= RETRIES) break;
    const seconds = Number(response.headers.get("retry-after")) || 1;
    if (seconds > 5) break;
    await new Promise((done) => setTimeout(done, seconds * 1000));
  }
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  let answer = text;
  if (isJson && text !== "") {
    try {
      answer = JSON.parse(text);
    } catch {
      throw new Problem(response.status, { detail: "the answer of the daemon cannot be read" });
    }
  }
  if (!response.ok) {
    const problem = new Problem(response.status, isJson ? answer : { detail: text.trim().slice(0, 300) });
    const wait = Number(response.headers.get("retry-after"));
    if (response.status === 429 && wait > 0) problem.message += ` (try again in ${wait} s)`;
    if (response.status === 401 && path !== "session") onSignedOut();
    throw problem;
  }
  return { answer, etag: response.headers.get("etag"), status: response.status };
}

export const get = async (path, options) => (await request("GET", path, options)).answer;
export const post = async (path, body = {}, options) => (await request("POST", path, { body, ...options })).answer;
export const remove = async (path, options) => (await request("DELETE", path, options)).answer;

/** A query without what is empty. */
export function query(values) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) out.set(name, value === true ? "1" : value);
  }
  const text = out.toString();
  return text === "" ? "" : `?${text}`;
}

/** The answer to a GET, asked for again each `every` ms while the page can be seen. A path of null asks nothing. */
export function useGet(path, every = 0) {
  const [state, set] = useState({ data: null, error: null, path: null, at: 0 });
  const wanted = useRef(path);
  wanted.current = path;
  const load = useCallback(async () => {
    const asked = wanted.current;
    if (asked === null) return;
    try {
      const data = await get(asked);
      if (wanted.current === asked) set({ data, error: null, path: asked, at: Date.now() });
    } catch (error) {
      if (wanted.current === asked && error.name !== "AbortError") {
        set((before) => ({ data: before.path === asked ? before.data : null, error, path: asked, at: Date.now() }));
      }
    }
  }, []);
  useEffect(() => {
    let timer = 0;
    let over = false;
    const round = async () => {
      if (!document.hidden) await load();
      if (every > 0 && !over) timer = setTimeout(round, every);
    };
    round();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [path, every]);
  const fresh = state.path === path;
  return { data: fresh ? state.data : null, error: fresh ? state.error : null, loading: path !== null && !fresh, at: state.at, load };
}

/** Gives the browser a text as a file. */
export function download(name, text, type) {
  const link = document.createElement("a");
  const address = URL.createObjectURL(new Blob([text], { type }));
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
