"use strict";
// Charts tell their values under the pointer or, focused, under the arrow keys; those over time
// zoom by dragging across them or with plus and minus. Without scripts the drawings remain.
const units = {
  usdt: v => v.toLocaleString("en", { maximumFractionDigits: Math.abs(v) < 1e4 ? 2 : 0 }) + " USDT",
  percent: v => (100 * v).toLocaleString("en", { maximumFractionDigits: 2 }) + " %",
  price: v => v.toLocaleString("en", { maximumSignificantDigits: 7 }),
  number: v => v.toLocaleString("en", { maximumFractionDigits: 2 }),
};
const HOUR = 36e5, DAY = 864e5;
const nearest = (xs, x) => {
  let a = 0, b = xs.length - 1;
  while (b - a > 1) { const m = (a + b) >> 1; if (xs[m] < x) a = m; else b = m; }
  return Math.abs(xs[a] - x) <= Math.abs(xs[b] - x) ? a : b;
};
const when = (x, span) => {
  const text = new Date(x).toISOString();
  return span < 120 * DAY ? text.slice(0, 16).replace("T", " ") : text.slice(0, 10);
};
const element = (tag, look, text = "") => {
  const made = document.createElement(tag);
  made.className = look; made.textContent = text;
  return made;
};
// Round steps between two values, about so many.
const ticks = (low, high, count) => {
  const raw = (high - low) / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(m => m * size).find(s => s >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i <= high / step; i++) found.push(i * step);
  return found;
};
const moments = (low, high) => {
  const step = [1, 3, 6, 12, 24, 72, 168, 720, 2184, 8760].map(h => h * HOUR).find(s => (high - low) / s <= 7) || high - low;
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) found.push(t);
  const text = t => { const s = new Date(t).toISOString(); return step < DAY ? s.slice(8, 10) + ". " + s.slice(11, 16) : s.slice(0, 10); };
  return found.map(t => [t, text(t)]);
};

class Chart {
  constructor(figure, data) {
    this.figure = figure; this.data = data;
    this.plots = figure.querySelector(".plots"); this.draw = figure.querySelector(".draw");
    this.cross = figure.querySelector(".cross"); this.tip = figure.querySelector(".tip");
    this.axis = figure.querySelector(".axis"); this.scales = [...figure.querySelectorAll(".scale")];
    this.drawn = [...figure.querySelectorAll("svg")].map(svg => [svg, svg.getAttribute("viewBox")]);
    this.written = [this.axis, ...this.scales].map(part => [part, [...part.childNodes]]);
    this.low = data.low; this.high = data.high;
    this.steps = data.series.reduce((a, b) => (b.x.length > a.x.length ? b : a)).x;
    this.place = this.steps.length - 1;
    this.plots.addEventListener("pointermove", event => this.move(event));
    this.plots.addEventListener("pointerleave", () => this.hide());
    figure.addEventListener("blur", () => this.hide());
    figure.addEventListener("keydown", event => this.key(event));
    if ("zoom" in figure.dataset) {
      this.plots.addEventListener("pointerdown", event => this.press(event));
      this.plots.addEventListener("pointerup", event => this.release(event));
      this.plots.addEventListener("dblclick", () => this.reset());
    }
  }
  at(event) {
    const box = this.draw.getBoundingClientRect(), part = (event.clientX - box.left) / box.width;
    return this.low + Math.min(1, Math.max(0, part)) * (this.high - this.low);
  }
  left(x) { return (x - this.low) / (this.high - this.low) * this.draw.clientWidth; }
  show() {
    const x = this.steps[this.place], left = this.left(x);
    if (left < -1 || left > this.draw.clientWidth + 1) return this.hide();
    this.cross.hidden = this.tip.hidden = false;
    this.cross.style.left = left + "px";
    const rows = this.data.series.map(s => {
      const y = s.y[nearest(s.x, x)];
      if (y === null || x < s.x[0] || x > s.x[s.x.length - 1]) return null;
      const row = element("div", s.look);
      row.append(element("span", "", s.name), units[s.unit](y));
      return row;
    });
    const head = this.data.times ? when(x, this.high - this.low) : units.number(x);
    this.tip.replaceChildren(element("b", "", head), ...rows.filter(Boolean));
    const wide = this.tip.offsetWidth, right = left > this.draw.clientWidth / 2;
    this.tip.style.left = (right ? Math.max(0, left - wide - 10) : Math.min(left + 10, this.plots.clientWidth - wide)) + "px";
  }
  hide() { this.cross.hidden = this.tip.hidden = true; }
  move(event) {
    const x = this.at(event);
    if (this.brush) {
      const edges = [this.left(this.from), this.left(x)].sort((a, b) => a - b);
      this.brush.style.left = edges[0] + "px"; this.brush.style.width = edges[1] - edges[0] + "px";
    }
    this.place = nearest(this.steps, x);
    this.show();
  }
  press(event) {
    if (event.pointerType === "touch" || event.button || event.target.closest("button")) return;
    event.preventDefault();
    this.figure.focus({ preventScroll: true });
    this.from = this.at(event);
    this.brush = element("i", "brush");
    this.plots.append(this.brush);
    this.plots.setPointerCapture(event.pointerId);
  }
  release(event) {
    if (!this.brush) return;
    this.brush.remove(); this.brush = null;
    const to = this.at(event);
    if (Math.abs(this.left(to) - this.left(this.from)) > 8) this.zoom(Math.min(this.from, to), Math.max(this.from, to));
  }
  key(event) {
    const leap = event.shiftKey ? Math.max(1, Math.round(this.steps.length / 20)) : 1;
    const to = { ArrowLeft: this.place - leap, ArrowRight: this.place + leap, Home: 0, End: this.steps.length - 1 }[event.key];
    if (event.key === "Escape") { this.hide(); return this.reset(); }
    if ("zoom" in this.figure.dataset && (event.key === "+" || event.key === "-")) {
      const half = (this.high - this.low) * (event.key === "+" ? 0.25 : 1), x = this.steps[this.place];
      event.preventDefault();
      return this.zoom(x - half, x + half);
    }
    if (to === undefined) return;
    event.preventDefault();
    this.place = Math.min(this.steps.length - 1, Math.max(0, to));
    const x = this.steps[this.place], span = this.high - this.low;
    if (x < this.low || x > this.high) this.zoom(x - span / 2, x + span / 2);
    this.show();
  }
  zoom(low, high) {
    const { data } = this, least = (data.high - data.low) / this.steps.length * 20;
    if (high - low < least) { const middle = (low + high) / 2; low = middle - least / 2; high = middle + least / 2; }
    if (low < data.low) { high += data.low - low; low = data.low; }
    if (high > data.high) { low = Math.max(data.low, low - (high - data.high)); high = data.high; }
    if (high - low > 0.98 * (data.high - data.low)) return this.reset();
    this.low = low; this.high = high;
    const x0 = 1000 * (low - data.low) / (data.high - data.low), width = 1000 * (high - low) / (data.high - data.low);
    this.drawn.forEach(([svg], i) => {
      const p = data.panels[i], mine = data.series.filter(s => s.panel === i);
      let bottom = Infinity, top = -Infinity;
      for (const s of mine) s.x.forEach((x, k) => {
        if (x < low || x > high || s.y[k] === null) return;
        bottom = Math.min(bottom, s.y[k]); top = Math.max(top, s.y[k]);
      });
      if (!(top > bottom)) { bottom = p.bottom; top = p.top; }
      const room = 0.08 * (top - bottom);
      bottom = bottom === 0 ? 0 : bottom - room; top = top === 0 ? 0 : top + room;
      const part = p.height / (p.top - p.bottom);
      svg.setAttribute("viewBox", `${x0} ${(p.top - top) * part} ${width} ${(top - bottom) * part}`);
      const percent = mine.length && mine[0].unit === "percent";
      this.scales[i].replaceChildren(...ticks(bottom, top, Math.max(2, p.height / 55)).map(v => {
        const label = element("span", "", percent ? units.percent(v) : units.price(v));
        label.style.top = 100 * (top - v) / (top - bottom) + "%";
        return label;
      }));
    });
    this.axis.replaceChildren(...moments(low, high).map(([t, text], i) => {
      const label = element("span", i % 2 ? "minor" : "", text);
      label.style.left = 100 * (t - low) / (high - low) + "%";
      return label;
    }));
    this.figure.classList.add("zoomed");
    if (!this.back) {
      this.back = element("button", "back", "whole period");
      this.back.type = "button";
      this.back.addEventListener("click", () => this.reset());
      this.plots.append(this.back);
    }
    this.hide();
  }
  reset() {
    if (!this.back) return;
    this.low = this.data.low; this.high = this.data.high;
    for (const [svg, box] of this.drawn) svg.setAttribute("viewBox", box);
    for (const [part, nodes] of this.written) part.replaceChildren(...nodes);
    this.figure.classList.remove("zoomed");
    this.back.remove(); this.back = null;
    this.hide();
  }
}

const charts = new Map();
for (const figure of document.querySelectorAll("figure.chart")) {
  const source = figure.querySelector("script");
  if (source) charts.set(figure, new Chart(figure, JSON.parse(source.textContent)));
}
// A trade of the list leads to its place on the price.
for (const link of document.querySelectorAll("a[data-from]")) {
  link.addEventListener("click", () => {
    const section = document.getElementById("trades"), symbol = link.dataset.symbol;
    const label = [...section.querySelectorAll("label")].find(l => l.textContent === symbol);
    if (label) document.getElementById(label.htmlFor).checked = true;
    for (const [figure, chart] of charts) {
      if (!section.contains(figure) || chart.data.series[0].name !== symbol) continue;
      const from = Number(link.dataset.from), to = Number(link.dataset.to), room = 3 * Math.max(to - from, HOUR);
      chart.zoom(from - room, to + room);
    }
  });
}
