// The equity curve: realised equity as steps, equity as this page has seen it as a line.
import {h, s} from "./dom.js";
import {clock, money, moment} from "./format.js";

const W = 1000, H = 260, TOP = 12, BOTTOM = 22;

/** Round values between two bounds, at most five of them. */
export function ticks(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((m) => raw <= m * power) ?? 10);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) found.push(v);
  return found;
}

/** The part of the time shown from which on what was seen of it makes a line; a point before. */
const LINE_FROM = 0.04;

/**
 * @param realised pairs of UTC ms and USDT, ascending, a step at each trade
 * @param seen pairs of UTC ms and USDT, unrealised result included
 * @returns the picture, and what in it is what
 */
export function curve(realised, seen) {
  const all = [...realised, ...seen];
  if (all.length < 2) return {picture: h("p", {class: "quiet"}, "The curve begins with the next figures."), says: ""};
  const first = Math.min(...all.map((p) => p[0])), last = Math.max(...all.map((p) => p[0]));
  let low = Math.min(...all.map((p) => p[1])), high = Math.max(...all.map((p) => p[1]));
  const pad = (high - low) * 0.08 || Math.max(1, high * 0.001);
  low -= pad;
  high += pad;
  const x = (t) => ((t - first) / (last - first || 1)) * W;
  const y = (v) => TOP + (1 - (v - low) / (high - low)) * (H - TOP - BOTTOM);
  const steps = realised.map(([t, v], i) => (i ? `H${x(t).toFixed(1)}V${y(v).toFixed(1)}` : `M${x(t).toFixed(1)},${y(v).toFixed(1)}`)).join("");
  const end = realised.length ? `${steps}H${W}` : "";
  const line = seen.map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)},${y(v).toFixed(1)}`).join("");
  const levels = ticks(low, high);
  const times = [0, 0.25, 0.5, 0.75, 1].map((p) => first + p * (last - first));
  const long = last - first > 86_400_000;
  const drawn = seen.length > 1 && seen.at(-1)[0] - seen[0][0] >= LINE_FROM * (last - first);
  const point = !drawn && seen.at(-1);
  const still = {"vector-effect": "non-scaling-stroke"};
  const picture = s("svg", {viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true"},
    levels.map((v) => s("line", {class: "grid", x1: 0, x2: W, y1: y(v), y2: y(v), ...still})),
    realised.length > 1 && s("path", {class: "area", d: `${end}V${H - BOTTOM}H0Z`}),
    realised.length > 1 && s("path", {class: "realised", d: end, ...still}),
    drawn && s("path", {class: "seen", d: line, ...still}));
  const reading = h("output", {class: "reading"}, "");
  const now = all.reduce((a, b) => (b[0] >= a[0] ? b : a));
  const box = h("div", {class: "plot", role: "img", tabindex: "0",
    "aria-label": `Equity from ${money(all[0][1])} at ${moment(all[0][0])} to ${money(now[1])} at ${moment(now[0])} UTC`},
  picture,
  levels.map((v) => h("span", {class: "level", css: {top: `${(y(v) / H) * 100}%`}}, v.toLocaleString("en-US", {maximumFractionDigits: 2}))),
  times.map((t, i) => h("span", {class: `at at${i}`, css: {left: `${i * 25}%`}}, long ? moment(t).slice(5, 16) : clock(t, null, last - first < 3_600_000))),
  point && h("span", {class: "point", css: {left: `${(x(point[0]) / W) * 100}%`, top: `${(y(point[1]) / H) * 100}%`}}),
  reading);
  box.addEventListener("pointermove", (event) => {
    const area = box.getBoundingClientRect();
    const t = first + ((event.clientX - area.left) / area.width) * (last - first);
    const before = (points) => points.filter((p) => p[0] <= t).at(-1);
    const a = before(realised), b = before(seen);
    reading.textContent = [moment(t), a && `realised ${money(a[1])}`, b && `equity ${money(b[1])}`].filter(Boolean).join("   ");
  });
  box.addEventListener("pointerleave", () => { reading.textContent = ""; });
  return {picture: box, says: `steps: realised${drawn ? " · line: with what is open" : point ? " · point: with what is open now" : ""}`};
}
