// Portfolio risk (GET /api/risk), where the application has it.
import {h, table} from "./dom.js";
import {NONE, known, money, percent, side, words} from "./format.js";
import {gauges} from "./panels.js";

const METHODS = ["historical", "normal", "cornishFisher", "bootstrap", "studentT"];
const LIMITS = {maxValueAtRisk: "value at risk", maxExpectedShortfall: "expected shortfall", maxMarginalShortfall: "added to it by one position",
  maxClusterNotional: "largest cluster, net", maxHeat: "heat"};
const fact = (name, ...value) => h("div", {class: "fact"}, h("h3", null, name), ...value);

/** A cell of the heat map: the figure, on a ground as strong as its shade. */
function cell(value, shade) {
  const heat = known(shade) ? Math.max(0, Math.min(1, Number(shade))) : 0;
  return h("span", {class: "shade", css: {"--heat": heat}}, percent(value));
}

function heatMap(map) {
  const names = Object.keys(map?.columns ?? {});
  if (!map?.rows?.length) return null;
  return h("div", {class: "fact wide-fact"}, h("h3", null, "Heat map"),
    table([{name: "symbol", cell: (row) => row.symbol},
      ...names.map((n) => ({name: words(n), right: true, cell: (row) => cell(row.values?.[n], row.shades?.[n])}))],
    map.rows, ""));
}

/** What is used of the limits of the whole portfolio, as the other limits are shown. */
export function limits(answer) {
  if (!answer) return h("p", {class: "down"}, "Limits of the whole portfolio: not known, the risk cannot be read.");
  return gauges(Object.entries(answer.limits).map(([name, l]) => ({name: LIMITS[name] ?? words(name), used: l.value, limit: l.limit, ceiling: l.ceiling,
    unit: "USDT", share: l.used, least: false, alarms: false, holds: Number(l.value) <= Number(l.limit)})));
}

/** The panel of an answer. Parts that it does not have are left out. */
export function risk(answer) {
  const var_ = answer.valueAtRisk ?? {}, decides = var_.decides, heat = answer.heat;
  const methods = METHODS.filter((m) => var_[m]);
  return [
    h("div", {class: "fact totals"},
      decides && fact(`Value at risk, ${percent(answer.confidence, 0)}, ${answer.horizonDays} d`,
        h("b", null, money(decides.valueAtRisk)), h("small", null, `${percent(var_.decidesOfEquity)} of equity`)),
      decides && fact("Expected shortfall",
        h("b", null, money(decides.expectedShortfall)), h("small", null, `${percent(var_.shortfallOfEquity)} of equity`)),
      heat && fact("Heat: lost at the stops",
        h("b", null, money(heat.openRisk)),
        h("small", null, `${percent(heat.ofEquity)} of equity${heat.withoutStop?.length ? `; without a stop: ${heat.withoutStop.join(", ")}` : ""}`))),
    methods.length > 0 && fact("By method", table([
      {name: "method", cell: (m) => words(m)},
      {name: "VaR", right: true, cell: (m) => money(var_[m].valueAtRisk)},
      {name: "shortfall", right: true, cell: (m) => money(var_[m].expectedShortfall)}], methods, "")),
    answer.components?.length > 0 && fact("By symbol", table([
      {name: "symbol", cell: (c) => c.symbol},
      {name: "", cell: (c) => h("span", {class: "side"}, side(Number(c.notional) < 0 ? "SELL" : "BUY"))},
      {name: "notional", right: true, cell: (c) => money(c.notional)},
      {name: "shortfall", right: true, cell: (c) => money(c.expectedShortfall)},
      {name: "share", right: true, cell: (c) => percent(c.shareOfShortfall, 0)}], answer.components, "")),
    answer.clusters?.length > 0 && fact("Clusters that move together", table([
      {name: "symbols", wrap: true, cell: (c) => c.symbols.join(" ")},
      {name: "gross", right: true, cell: (c) => money(c.gross)},
      {name: "net", right: true, cell: (c) => money(c.net)}], answer.clusters, "")),
    heatMap(answer.heatMap),
    answer.notes?.length > 0 && h("p", {class: "quiet wide-fact"}, answer.notes.join("; ") || NONE),
  ].filter(Boolean);
}
