// Changes to the text of a rule. Only the line of one key is changed, so that what else was typed stays. Pure.

const BASIC = /^"((?:[^"\\]|\\.)*)"/;
const escaped = (text) => text.replace(/[\\"]/g, "\\$&").replace(/[\u0000-\u001f\u007f]/g, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);

/** A text as TOML. */
export const quoted = (text) => (/[\\"]/.test(text) && !/['\u0000-\u001f\u007f]/.test(text) ? `'${text}'` : `"${escaped(text)}"`);

const unescaped = (text) =>
  text.replace(/\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)/g, (_, e) => {
    if (e.length > 1) return String.fromCodePoint(parseInt(e.slice(1), 16));
    return { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", e: "\u001b" }[e] ?? e;
  });

/** The lines of the rule that is worked on: the first one, up to its tests. */
function bounds(lines) {
  const from = lines.findIndex((line) => /^\s*\[\[rule\]\]/.test(line));
  if (from < 0) return null;
  let to = lines.findIndex((line, at) => at > from && /^\s*\[\[(rule|rule\.test)\]\]/.test(line));
  if (to < 0) to = lines.length;
  return { from, to };
}

/** The value of a text key in the first rule; null if it is not there, or is not one text. */
export function read(toml, key) {
  const lines = toml.split("\n");
  const place = bounds(lines);
  if (place === null) return null;
  for (let at = place.from; at < place.to; at += 1) {
    const found = lines[at].match(new RegExp(`^\\s*${key}\\s*=\\s*(.*)$`));
    if (found === null) continue;
    const basic = found[1].match(BASIC);
    if (basic !== null) return unescaped(basic[1]);
    const literal = found[1].match(/^'([^']*)'/);
    return literal === null ? null : literal[1];
  }
  return null;
}

/** Sets a text key of the first rule; `table` is the table that it stands in, or null for the rule itself. */
export function write(toml, table, key, value) {
  const lines = toml.split("\n");
  const place = bounds(lines);
  if (place === null) return toml;
  const line = `${key} = ${quoted(value)}`;
  for (let at = place.from; at < place.to; at += 1) {
    if (new RegExp(`^\\s*${key}\\s*=`).test(lines[at])) {
      lines[at] = line;
      return lines.join("\n");
    }
  }
  let after = place.from;
  if (table === null) {
    // The keys of the rule come before its tables.
    while (after + 1 < place.to && !/^\s*\[/.test(lines[after + 1])) after += 1;
    while (after > place.from && lines[after].trim() === "") after -= 1;
  } else {
    after = lines.findIndex((text, at) => at > place.from && at < place.to && text.trim() === `[${table}]`);
    if (after < 0) return toml;
  }
  lines.splice(after + 1, 0, line);
  return lines.join("\n");
}

/** Adds a condition to the first rule. */
export function addCondition(toml, condition) {
  const before = read(toml, "where");
  if (before !== null && before.includes(condition)) return toml;
  return write(toml, null, "where", before ? `${before} and ${condition}` : condition);
}

/** Adds a value to a template of the first rule, or takes it away again. */
export function toggleIn(toml, key, words, expression) {
  const before = read(toml, key) ?? "";
  const part = `{{ ${expression} }}`;
  if (before.includes(part)) {
    const label = words === "" ? "" : `${words} `;
    const cut = [`, ${label}${part}`, `${label}${part}, `, ` ${label}${part}`, `${label}${part}`, part].find((text) => before.includes(text));
    return write(toml, "rule.check", key, before.replace(cut, "").trim());
  }
  const text = words === "" ? part : `${words} ${part}`;
  const glue = before === "" ? "" : key === "output" ? ", " : " ";
  return write(toml, "rule.check", key, `${before}${glue}${text}`);
}

/** Sets what the first test of the text expects. */
export function setExpect(toml, outcome) {
  const lines = toml.split("\n");
  const from = lines.findIndex((line) => /^\s*\[\[rule\.test\]\]/.test(line));
  if (from < 0) return toml;
  const service = outcome.service ?? outcome.resource;
  const expected = outcome.state === undefined ? "expect = { drop = true }" : `expect = { ${service ? `service = ${quoted(service)}, ` : ""}state = ${quoted(outcome.state)} }`;
  for (let at = from + 1; at < lines.length && !/^\s*\[\[/.test(lines[at]); at += 1) {
    if (/^\s*expect\s*=/.test(lines[at])) {
      lines[at] = expected;
      return lines.join("\n");
    }
  }
  lines.splice(from + 1, 0, expected);
  return lines.join("\n");
}

/** The pattern of a line in the first rule: `syslog = { ..., message = '…' }`. */
export function readPattern(toml) {
  const lines = toml.split("\n");
  const place = bounds(lines);
  if (place === null) return null;
  for (let at = place.from; at < place.to; at += 1) {
    const found = lines[at].match(/\bmessage\s*=\s*('([^']*)'|"((?:[^"\\]|\\.)*)")/);
    if (found !== null && /^\s*(syslog\s*=|message\s*=)/.test(lines[at])) {
      return { at, whole: found[0], pattern: found[2] ?? unescaped(found[3]) };
    }
  }
  return null;
}

export function writePattern(toml, pattern) {
  const place = readPattern(toml);
  if (place === null) return toml;
  const lines = toml.split("\n");
  const value = pattern.includes("'") ? `"${escaped(pattern)}"` : `'${pattern}'`;
  lines[place.at] = lines[place.at].replace(place.whole, () => `message = ${value}`);
  return lines.join("\n");
}

const literal = (text) => text.replace(/[\\^$.*+?()[\]{}|#&~-]/g, (c) => (c === "-" || c === "#" || c === "&" || c === "~" ? c : `\\${c}`));

/** What a captured text looks like, as narrow as is safe. */
export function shape(text) {
  if (/^\d+$/.test(text)) return "[0-9]+";
  if (/^-?\d+(\.\d+)?$/.test(text)) return "-?[0-9.]+";
  if (/^(\d{1,3}\.){3}\d{1,3}$/.test(text) || (/^[0-9A-Fa-f:]+$/.test(text) && text.includes(":"))) return "[0-9A-Fa-f:.]+";
  if (/^\S+$/.test(text)) return "\\S+?";
  return ".+?";
}

/** The captures of a pattern in a text, with their places; null if this browser cannot read the pattern. */
export function captures(pattern, text) {
  try {
    const found = new RegExp(pattern, "du").exec(text);
    if (found === null) return null;
    const groups = found.indices.groups ?? {};
    const out = Object.entries(groups)
      .filter(([, span]) => span !== undefined)
      .map(([name, [from, to]]) => ({ name, from, to, shape: bodyOf(pattern, name) ?? shape(text.slice(from, to)) }));
    return out.sort((a, b) => a.from - b.from);
  } catch {
    return null;
  }
}

/** What stands in a named group of a pattern. */
function bodyOf(pattern, name) {
  const start = pattern.indexOf(`(?<${name}>`);
  if (start < 0) return null;
  let depth = 0;
  let inClass = false;
  const from = start + name.length + 4;
  for (let at = start; at < pattern.length; at += 1) {
    const c = pattern[at];
    if (c === "\\") at += 1;
    else if (inClass) inClass = c !== "]";
    else if (c === "[") inClass = true;
    else if (c === "(") depth += 1;
    else if (c === ")") {
      depth -= 1;
      if (depth === 0) return pattern.slice(from, at);
    }
  }
  return null;
}

/** The pattern of a text with these captures; what is between them is literal. */
export function patternOf(text, all) {
  let out = "^";
  let from = 0;
  for (const { name, from: start, to, shape: body } of all) {
    out += `${literal(text.slice(from, start))}(?<${name}>${body})`;
    from = to;
  }
  return `${out}${literal(text.slice(from))}$`;
}

/** A name for a capture: the word before it, if that may be a name. */
export function nameFor(text, from, all) {
  const taken = new Set(all.map((one) => one.name));
  const before = text.slice(0, from).match(/([A-Za-z][A-Za-z0-9_]{1,20})[\s=:"'([]*$/);
  let name = before === null ? "value" : before[1].toLowerCase();
  if (["message", "host", "program", "facility", "severity", "pid", "v", "index", "source", "not", "and", "or", "in", "is", "if", "else", "true", "false", "none"].includes(name)) name = "value";
  let out = name;
  for (let n = 2; taken.has(out); n += 1) out = `${name}${n}`;
  return out;
}

/** What changed from one text to another, by lines: [sign, line]. */
export function diff(before, after) {
  const split = (text) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));
  const [a, b] = [split(before), split(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const out = a.slice(Math.max(0, start - 2), start).map((line) => [" ", line]);
  const left = a.slice(start, a.length - end);
  const right = b.slice(start, b.length - end);
  // The rest is small as a rule: the longest common lines of both.
  if (left.length * right.length <= 250_000) {
    const table = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
    for (let i = left.length - 1; i >= 0; i -= 1) {
      for (let j = right.length - 1; j >= 0; j -= 1) {
        table[i][j] = left[i] === right[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
      }
    }
    let [i, j] = [0, 0];
    while (i < left.length || j < right.length) {
      if (i < left.length && j < right.length && left[i] === right[j]) out.push([" ", left[i++]]), (j += 1);
      else if (i < left.length && (j >= right.length || table[i + 1][j] >= table[i][j + 1])) out.push(["-", left[i++]]);
      else out.push(["+", right[j++]]);
    }
  } else {
    out.push(...left.map((line) => ["-", line]), ...right.map((line) => ["+", line]));
  }
  out.push(...a.slice(a.length - end, a.length - end + 2).map((line) => [" ", line]));
  return out;
}
