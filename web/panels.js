// Panels of the snapshot (GET /api/dashboard): data in, elements out.
import {bar, h, table, toned} from "./dom.js";
import {NONE, clock, grouped, known, like, moment, money, percent, ratio, side, span, tone, words} from "./format.js";

const coloured = (value, shown = money(value, true)) => toned(tone(value), shown);
const sided = (value) => h("span", {class: `side ${value === "BUY" ? "up" : value === "SELL" ? "down" : "flat"}`}, side(value));
const KINDS = {STOP_MARKET: "stop", TAKE_PROFIT_MARKET: "target", TRAILING_STOP_MARKET: "trailing stop", LIMIT: "limit", MARKET: "market"};

export function figures(data) {
  const m = data.money ?? {};
  const loss = (data.gauges ?? []).find((g) => g.name === "loss today");
  const open = (data.gauges ?? []).find((g) => g.name === "exposure, all symbols");
  const tile = (name, value, note, extra) => h("div", {class: "tile"}, h("small", null, name), h("b", null, value), note && h("small", null, note), extra);
  const day = known(m.dayResult) ? m.dayResult : m.dayRealizedPnl;
  return [
    tile("Equity", money(m.equity), `wallet ${money(m.walletBalance)}`),
    tile("Result today", coloured(day),
      loss ? `loss limit ${money(loss.limit)}` : null, loss && bar(loss.share ?? 1, "part of the day's loss limit in use")),
    tile("Unrealised", coloured(m.unrealizedPnl), data.positions ? `${data.positions.length} open` : null),
    tile("Realised today", coloured(m.dayRealizedPnl), known(m.tradesToday) ? `${m.tradesToday} trades` : null),
    tile("Drawdown", percent(m.drawdown), `peak ${money(m.equityPeak)}`),
    tile("Exposure", open ? money(open.used) : NONE, open ? `of ${money(open.limit)}` : null),
    tile("Available", money(m.availableBalance), "margin"),
  ];
}

function amount(value, unit) {
  if (!known(value)) return "unknown";
  if (unit === "USDT") return money(value);
  if (unit === "fraction") return percent(value);
  return unit === "times" ? `${Number(value).toFixed(Number.isInteger(Number(value)) ? 0 : 2)}×` : String(Number(value));
}

export function gauges(list) {
  if (!list) return h("p", {class: "quiet"}, "Not known: the account cannot be read.");
  return list.map((g) => h("div", {class: `gauge${g.holds ? "" : " broken"}`, title: g.ceiling ? `in code, never looser than ${amount(g.ceiling, g.unit)}` : null},
    h("span", null, g.name),
    h("span", {class: "r"}, g.least ? `${amount(g.used, g.unit)} (at least ${amount(g.limit, g.unit)})` : `${amount(g.used, g.unit)} of ${amount(g.limit, g.unit)}`),
    g.least ? null : bar(g.share ?? 2, g.name, g.alarms)));
}

/** Where mark and entry lie between stop and target. */
function track(p) {
  if (!p.stopPrice) return h("span", {class: "down"}, "not ours: no stop of ours");
  const stop = Number(p.stopPrice), target = Number(p.takeProfitPrice);
  const at = (n) => Math.max(0, Math.min(100, ((Number(n) - stop) / (target - stop || 1)) * 100));
  const entry = at(p.entryPrice), mark = at(p.markPrice);
  return h("span", {class: "track", role: "img", "aria-label": `mark at ${mark.toFixed(0)} % of the way from stop to target, entry at ${entry.toFixed(0)} %`},
    h("i", {class: mark >= entry ? "won" : "lost", css: {left: `${Math.min(entry, mark)}%`, width: `${Math.abs(mark - entry)}%`}}),
    h("u", {css: {left: `${entry}%`}}), h("em", {css: {left: `${mark}%`}}));
}

export function positions({rows, time}) {
  if (!rows) return h("p", {class: "quiet"}, "Not known: the account cannot be read.");
  const stops = (p) => (p.ordersOnExchange ? String(p.ordersOnExchange) : toned("down", "0"));
  return table([
    {name: "symbol", cell: (p) => h("b", null, p.symbol)},
    {name: "side", cell: (p) => sided(p.side)},
    {name: "quantity", right: true, cell: (p) => grouped(p.quantity)},
    {name: "entry", right: true, cell: (p) => grouped(p.entryPrice)},
    {name: "mark", right: true, cell: (p) => like(p.markPrice, p.entryPrice)},
    {name: "stop", right: true, cell: (p) => (p.stopPrice ? grouped(p.stopPrice) : toned("down", "none"))},
    {name: "stop – target", wide: true, cell: track},
    {name: "target", right: true, cell: (p) => grouped(p.takeProfitPrice)},
    {name: "unrealised", right: true, cell: (p) => coloured(p.unrealizedPnl)},
    {name: "R", right: true, cell: (p) => coloured(p.rNow ?? 0, ratio(p.rNow))},
    {name: "notional", right: true, cell: (p) => money(p.notional)},
    {name: "lev.", right: true, cell: (p) => (p.leverage ? `${p.leverage}×` : NONE)},
    {name: "liquidation", right: true, wide: true, cell: (p) => like(p.liquidationPrice, p.entryPrice)},
    {name: "closes by", right: true, cell: (p) => (p.timeExit ? clock(p.timeExit, time, false) : NONE)},
    {name: "resting", right: true, cell: stops},
  ], rows, "No open position.");
}

export function heat(list) {
  if (!list) return h("p", {class: "quiet"}, "Not known: the account cannot be read.");
  return list.map((c) => h("div", {class: `cell ${c.side === "BUY" ? "long" : c.side === "SELL" ? "short" : ""}`, css: {"--heat": Math.max(0, Math.min(1, c.share)).toFixed(3)}},
    h("b", null, c.symbol.replace(/USDT$/, "")),
    h("span", null, Number(c.notional) > 0 ? `${side(c.side)} ${money(c.notional)}` : "flat"),
    h("span", null, Number(c.notional) > 0 ? percent(c.share, 0) : "", c.unrealizedPnl ? [" ", coloured(c.unrealizedPnl)] : null)));
}

function strength(s) {
  const part = Math.min(1, Math.abs(s.strength)) * 50, mark = Math.min(1, Math.abs(s.threshold)) * 50;
  const strong = Math.abs(s.strength) >= s.threshold;
  return h("span", {class: "strength", role: "img", "aria-label": `strength ${s.strength.toFixed(2)}, threshold ${s.threshold}`},
    h("i", {class: `${s.strength < 0 ? "lost" : "won"}${strong ? "" : " weak"}`, css: {left: `${s.strength < 0 ? 50 - part : 50}%`, width: `${part}%`}}),
    h("u", {css: {left: "50%"}}), h("u", {class: "mark", css: {left: `${50 - mark}%`}}), h("u", {class: "mark", css: {left: `${50 + mark}%`}}));
}

/** What the models of a signal said together: the mean of their votes by weight. */
function ai({votes: all}) {
  const said = all.filter((v) => v.model), weight = said.reduce((sum, v) => sum + v.weight, 0);
  if (!said.length) return h("span", {class: "quiet"}, "no opinion");
  const mean = said.reduce((sum, v) => sum + v.vote * v.weight, 0) / weight;
  return h("span", {class: tone(mean), title: said.map((v) => `${words(v.strategy)} ${v.model}: ${ratio(v.vote)}`).join("\n")}, ratio(mean));
}
/** The column of it, where the configuration lets models vote or one has voted. */
const byModels = (models, rows) => (models?.length || rows?.some((row) => row.votes.some((v) => v.model)) ? [{name: "AI", right: true, cell: ai}] : []);

/** Who voted, and how; a vote of nothing is left out. */
const votes = (s) => s.votes.filter((v) => Math.abs(v.vote) >= 0.005).map((v) => `${words(v.strategy)} ${ratio(v.vote)}`).join(" · ") || NONE;

export function signals({rows, decisions, models, time}) {
  const fate = new Map((decisions ?? []).map((d) => [d.id, d]));
  return table([
    {name: "symbol", cell: (s) => [h("b", null, s.symbol), h("span", {class: "quiet"}, ` ${s.timeframe}`)]},
    {name: "bar closed", right: true, cell: (s) => clock(s.barCloseTime, time, false)},
    {name: "strength", right: true, cell: (s) => coloured(s.strength, ratio(s.strength))},
    ...byModels(models, rows),
    {name: "short – long", cell: strength},
    {name: "signal", cell: (s) => (s.side ? sided(s.side) : h("span", {class: "quiet"}, Math.abs(s.strength) >= s.threshold ? "no new crossing" : "below threshold"))},
    {name: "decision", cell: (s) => outcome(fate.get(s.id))},
    {name: "votes", wide: true, wrap: true, cell: votes},
  ], rows, "No signal yet.");
}

const outcome = (d) => (d ? h("span", {class: d.outcome === "approved" ? "up" : "quiet"}, d.outcome) : h("span", {class: "quiet"}, NONE));

export function decisions({rows, models, time}) {
  return table([
    {name: "at", right: true, cell: (d) => clock(d.decidedAt, time)},
    {name: "symbol", cell: (d) => d.symbol},
    {name: "side", cell: (d) => sided(d.side)},
    {name: "strength", right: true, wide: true, cell: (d) => ratio(d.strength)},
    ...byModels(models, rows),
    {name: "decision", cell: outcome},
    {name: "why", wrap: true, cell: (d) => h("span", {title: d.id}, d.why || (d.outcome === "approved" ? "every check passed" : NONE))},
  ], rows, "No decision yet.");
}

export function trades({rows, time}) {
  return table([
    {name: "closed", right: true, cell: (t) => clock(t.closedAt, time)},
    {name: "symbol", cell: (t) => t.symbol},
    {name: "side", cell: (t) => sided(t.side)},
    {name: "entry", right: true, wide: true, cell: (t) => grouped(t.entryPrice)},
    {name: "exit", right: true, wide: true, cell: (t) => grouped(t.exitPrice)},
    {name: "fees", right: true, wide: true, cell: (t) => money(t.fees)},
    {name: "net", right: true, cell: (t) => coloured(t.netPnl)},
    {name: "R", right: true, cell: (t) => coloured(t.rMultiple, ratio(t.rMultiple))},
    {name: "exit by", cell: (t) => t.exitReason},
  ], rows, "No closed trade yet.");
}

export function orders({rows, time}) {
  return table([
    {name: "at", right: true, cell: (o) => clock(o.createdAt, time)},
    {name: "symbol", cell: (o) => o.symbol},
    {name: "side", cell: (o) => String(o.side).toLowerCase()},
    {name: "type", cell: (o) => KINDS[o.type] ?? o.type},
    {name: "quantity", right: true, cell: (o) => grouped(o.quantity)},
    {name: "asked", right: true, wide: true, cell: (o) => grouped(o.triggerPrice ?? o.price)},
    {name: "filled at", right: true, wide: true, cell: (o) => grouped(o.averagePrice)},
    {name: "state", cell: (o) => (o.state === "unknown" ? toned("down", "unknown") : words(o.state))},
  ], rows, "No order yet.");
}

const severity = (name) => h("span", {class: `badge ${{critical: "bad", warning: "warn"}[name] ?? "calm"}`}, name ?? "open");

const unread = () => h("p", {class: "down"}, "Not known: it cannot be read.");

export function alerts({rows, time}) {
  if (!rows) return unread();
  if (!rows.length) return h("p", {class: "quiet"}, "No alert.");
  return h("ul", {class: "news"}, rows.map((a) => h("li", null,
    severity(a.severity), h("span", {class: "quiet"}, ` ${clock(a.time, time)} `), h("b", null, a.title),
    h("p", {class: "quiet"}, a.text, {raised: " (not delivered yet)", stored: " (stored only: no channel, nobody was told)"}[a.state] ?? ""))));
}

/** How far the account's orders were judged, and what is restricted now. */
export function compliance(answer) {
  const facts = [answer.scannedTo ? `orders judged up to ${moment(answer.scannedTo)} UTC` : "no orders judged yet"];
  if (answer.blocking?.length) facts.push(`no entries because of ${answer.blocking.join(", ")}`);
  for (const r of answer.restrictedNow ?? []) facts.push(`${r.symbol} restricted until ${clock(r.until)}: ${r.title}`);
  return facts.join(" · ");
}

export function violations({rows, time, acknowledge}) {
  if (!rows) return unread();
  if (!rows.length) return h("p", {class: "quiet"}, "No violation.");
  return h("ul", {class: "news"}, rows.map((v) => h("li", null,
    severity(v.severity), h("span", {class: "quiet"}, ` ${clock(v.time, time)} `), h("b", null, `${words(v.kind)} ${v.symbol}`), ` ${v.state} `,
    acknowledge && v.state === "open" ? h("button", {type: "button", class: "small", "data-acknowledge": v.id}, "Acknowledge") : null,
    h("p", {class: "quiet"}, v.text))));
}

export function health({lines, time}) {
  return h("ul", {class: "lines"}, lines.map((l) => h("li", null,
    h("span", {class: `dot ${l.state}`, role: "img", "aria-label": l.state}), h("b", null, l.name),
    h("span", {class: {ok: "quiet", warning: "caution"}[l.state] ?? "down"}, ` ${l.state === "ok" ? "" : `${l.state}: `}${l.detail}`,
      l.at ? `, ${span(Date.parse(time) - l.at)} ago` : ""))));
}

/** What stops trading as pairs of name and value; long figures cut, times told. */
export function evidence(switch_) {
  if (switch_.halt) {
    return [["since", `${moment(switch_.halt.at)} UTC`], ["positions", "are still looked after"], ["the exchange says", switch_.halt.reason]]
      .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]);
  }
  const told = Object.entries(switch_.evidence ?? {}).filter(([, value]) => Number(value) !== switch_.latchedAt).map(([name, value]) => [words(name),
    /^(at|.*_at|.*At)$/.test(name) && known(value) ? `${moment(Number(value))} UTC` : String(value)]);
  const flat = switch_.flatAt ? `flat at ${moment(switch_.flatAt)} UTC` : switch_.closing ? "closing everything, not flat yet" : "positions are held with their stops";
  const facts = [["since", `${moment(switch_.latchedAt)} UTC`], ["account", flat], ...told];
  if (switch_.outstandingPermits) facts.push(["orders that may still come to be", String(switch_.outstandingPermits)]);
  return facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]);
}

const mark = (passed) => h("span", {class: `dot ${passed ? "ok" : "failing"}`, role: "img", "aria-label": passed ? "passed" : "not passed"});

export function steps(list) {
  return h("ul", {class: "lines"}, list.map((s) => h("li", null, mark(s.ok), h("b", null, s.name), h("span", {class: s.ok ? "quiet" : "down"}, ` ${s.detail}`))));
}

export function checklist(found) {
  const next = found.next ? ` for ${found.next}` : "";
  return [
    h("p", {class: found.passed ? "up" : "quiet"}, `${found.items.filter((i) => i.passed).length} of ${found.items.length} passed${next}.`),
    h("p", {class: found.next ? "quiet" : "caution"}, `Note: ${found.counts}.`),
    found.problems.length ? h("p", {class: "down"}, found.problems.join("; ")) : null,
    h("ul", {class: "lines"}, found.items.map((i) => h("li", null, mark(i.passed), h("b", null, words(i.id.replace(/-/g, " "))),
      h("span", {class: "quiet"}, ` ${i.evidence}`)))),
  ].filter(Boolean);
}
