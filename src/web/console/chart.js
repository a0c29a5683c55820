// Courses over time, drawn by uPlot in the colours of the page.
import uPlot from "./lib/uplot.js";
import { html, useEffect, useRef } from "./dom.js";
import { number } from "./text.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const two = (n) => String(n).padStart(2, "0");

/** Times of day on an axis; dates where days are apart, and in the place of the first time of a day. */
function clock(_, all, __, ___, step) {
  let day = "";
  return all.map((seconds) => {
    const d = new Date(seconds * 1000);
    const date = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    const changed = date !== day && (day !== "" || step >= 86400);
    day = date;
    return step >= 86400 || changed ? date : `${two(d.getHours())}:${two(d.getMinutes())}`;
  });
}

/** `times` are seconds; each series has a name, values and the name of a colour. `onRange` gets what was marked, in seconds. */
export function Chart({ times, series, label, height = 180, onRange }) {
  const place = useRef(null);
  const plot = useRef(null);
  const range = useRef(onRange);
  range.current = onRange;
  const names = series.map((one) => `${one.name}:${one.colour}`).join();
  useEffect(() => {
    let made = null;
    const make = () => {
      made?.destroy();
      const axis = {
        stroke: colour("--dim"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { stroke: colour("--line"), width: 1 },
        font: "12px system-ui, sans-serif",
      };
      made = new uPlot(
        {
          width: Math.max(200, place.current.clientWidth),
          height,
          legend: { show: false },
          cursor: { drag: { x: onRange !== undefined, y: false, setScale: false }, points: { size: 6 } },
          scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
          axes: [{ ...axis, values: clock, size: 34 }, { ...axis, size: 52, values: (_, all) => all.map((v) => number(v)) }],
          series: [{}, ...series.map((one) => ({
            label: one.name,
            stroke: colour(one.colour),
            fill: `${colour(one.colour)}22`,
            width: 1.5,
            points: { show: times.length < 3 },
          }))],
          hooks: {
            setSelect: [(u) => {
              if (u.select.width < 4) return;
              range.current?.(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
              u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            }],
          },
        },
        [times, ...series.map((one) => one.values)],
        place.current,
      );
      plot.current = made;
    };
    make();
    const size = new ResizeObserver(() => made.setSize({ width: Math.max(200, place.current.clientWidth), height }));
    size.observe(place.current);
    const theme = new MutationObserver(make);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      size.disconnect();
      theme.disconnect();
      dark.removeEventListener("change", make);
      made.destroy();
      plot.current = null;
    };
  }, [names, height]);
  useEffect(() => {
    plot.current?.setData([times, ...series.map((one) => one.values)]);
  }, [times, series]);
  const total = (one) => one.values.reduce((sum, value) => sum + (value ?? 0), 0);
  return html`<figure class="chart">
    <div ref=${place} role="img" aria-label="${label}: ${series.map((one) => `${one.name} ${number(total(one))}`).join(", ")}"></div>
    <figcaption>${series.map((one) => html`<span class="key ${one.colour.slice(2)}"><i aria-hidden="true"></i>${one.name} <b class="num">${number(total(one))}</b></span>`)}</figcaption>
  </figure>`;
}

/** Rows {time, series, value} as columns for a chart, every step filled. */
export function columns(rows, from, to, step) {
  const first = Math.floor(from / step) * step;
  const size = Math.max(1, Math.min(5000, Math.floor((to - first) / step) + 1));
  const times = Array.from({ length: size }, (_, n) => first + n * step);
  const all = new Map();
  for (const row of rows) {
    const at = Math.floor((new Date(row.time).getTime() / 1000 - first) / step);
    if (at < 0 || at >= size) continue;
    if (!all.has(row.series)) all.set(row.series, new Array(size).fill(0));
    all.get(row.series)[at] += row.value;
  }
  return { times, all };
}
