"use strict";
// Shows the values of a chart under the pointer, or step by step with the arrow keys.
const units = {
  usdt: v => v.toLocaleString("en", { maximumFractionDigits: Math.abs(v) < 1e4 ? 2 : 0 }) + " USDT",
  percent: v => (100 * v).toLocaleString("en", { maximumFractionDigits: 2 }) + " %",
  price: v => v.toLocaleString("en", { maximumSignificantDigits: 7 }),
  number: v => v.toLocaleString("en", { maximumFractionDigits: 2 }),
};
const nearest = (xs, x) => {
  let a = 0, b = xs.length - 1;
  while (b - a > 1) { const m = (a + b) >> 1; if (xs[m] < x) a = m; else b = m; }
  return Math.abs(xs[a] - x) <= Math.abs(xs[b] - x) ? a : b;
};
const when = (x, span) => {
  const text = new Date(x).toISOString();
  return span < 120 * 864e5 ? text.slice(0, 16).replace("T", " ") : text.slice(0, 10);
};
for (const chart of document.querySelectorAll("figure.chart")) {
  const source = chart.querySelector("script");
  if (!source) continue;
  const data = JSON.parse(source.textContent), plots = chart.querySelector(".plots");
  const draw = chart.querySelector(".draw"), cross = chart.querySelector(".cross"), tip = chart.querySelector(".tip");
  const steps = data.series.reduce((a, b) => (b.x.length > a.x.length ? b : a)).x;
  let place = steps.length - 1;
  const show = () => {
    const x = steps[place], left = (x - data.low) / (data.high - data.low) * draw.clientWidth;
    cross.hidden = tip.hidden = false;
    cross.style.left = left + "px";
    const head = document.createElement("b");
    head.textContent = data.times ? when(x, data.high - data.low) : units.number(x);
    const rows = data.series.map(s => {
      const y = s.y[nearest(s.x, x)];
      if (y === null || x < s.x[0] || x > s.x[s.x.length - 1]) return null;
      const row = document.createElement("div"), name = document.createElement("span");
      row.className = s.look; name.textContent = s.name;
      row.append(name, units[s.unit](y));
      return row;
    });
    tip.replaceChildren(head, ...rows.filter(Boolean));
    const right = left > draw.clientWidth / 2;
    tip.style.left = (right ? Math.max(0, left - tip.offsetWidth - 10) : Math.min(left + 10, plots.clientWidth - tip.offsetWidth)) + "px";
  };
  const hide = () => { cross.hidden = tip.hidden = true; };
  plots.addEventListener("pointermove", event => {
    const box = draw.getBoundingClientRect();
    place = nearest(steps, data.low + (event.clientX - box.left) / box.width * (data.high - data.low));
    show();
  });
  plots.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", event => {
    const leap = event.shiftKey ? Math.max(1, Math.round(steps.length / 20)) : 1;
    const to = { ArrowLeft: place - leap, ArrowRight: place + leap, Home: 0, End: steps.length - 1 }[event.key];
    if (event.key === "Escape") return hide();
    if (to === undefined) return;
    event.preventDefault();
    place = Math.min(steps.length - 1, Math.max(0, to));
    show();
  });
}
