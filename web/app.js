// The dashboard: asks, draws, and says when what it shows is not the present.
import {adoptKey, adoptReturn, beginSignIn, completeSignIn, entrance, forgetKey, forgetPerson, get, hasKey, keepKey, keepOperator, operator, sessionEnded, signOut, signedIn} from "./api.js";
import {announce, approvals, armChecklist, armClear, armDrill, armStop, armViolations, countDown} from "./actions.js";
import {armAssistant, assistant} from "./assistant.js";
import {curve} from "./chart.js";
import {$, draw, h, say, whole} from "./dom.js";
import {clock, known, money, moment, span, words} from "./format.js";
import {listen} from "./live.js";
import * as panels from "./panels.js";
import {limits, risk} from "./risk.js";

/** Figures that nobody has confirmed for this long are old: at least ten seconds, or three rounds. */
const STALE_MS = 10_000;
const SLOW_MS = 30_000;
const CURVE_MS = 300_000;
const SEEN_POINTS = 1_500;

const now = () => Date.now();
let last = null; // the newest snapshot
let heard = 0; // when an answer last told a time that was new
let trouble = ""; // what the last round met
let asking = false;
let shown = false;
let timer = 0;
let realised = [];
let seen = [];
let range = "all";
let curveOf = null;
let curveAt = 0;
let slowOf = "";
let slowAt = 0;
let wanted = false; // a look that was asked for while another was under way
let listening = false;
let pushed = false;
let portfolio; // the newest answer about the whole portfolio; null where it cannot be read, undefined where there is none
/** Panels of endpoints that an application need not have: asked for until it says that there is none. */
const there = {risk: true, compliance: true};

const refresh = () => (last?.refreshSeconds ?? 3) * 1000;
const staleAfter = () => Math.max(STALE_MS, 3 * refresh());
/** The application's time now, carried on from its last answer. */
const serverNow = () => (last ? Date.parse(last.time) + (last.environment === "simulated" ? 0 : now() - heard) : 0);

function showLogin(why) {
  $("login").hidden = false;
  $("main").hidden = true;
  if (why) say($("login-said"), why, "down");
  ($("entra").hidden ? $("key") : $("sign-in")).focus();
}

function showPerson() {
  const who = signedIn(), name = $("clear").elements.operator;
  say($("person"), who ? `${who.name}, ${who.role} until ${clock(who.until)} UTC` : "");
  $("person").hidden = $("sign-out").hidden = !who;
  name.readOnly = Boolean(who);
  if (who) name.value = who.name;
}

function signedOut() {
  showPerson();
  showLogin(`${sessionEnded()}.`);
}

async function round() {
  clearTimeout(timer);
  wanted = asking;
  if (asking || document.hidden) return;
  if (!signedIn() && !hasKey()) {
    // Whichever part of the page met the end of the session: nothing is shown any more.
    if (sessionEnded()) signedOut();
    return;
  }
  asking = true;
  try {
    const answer = await get("dashboard");
    trouble = "";
    // An answer that tells the same time as before is an old one, whoever kept it.
    if (!last || answer.time !== last.time) heard = now();
    last = answer;
    show(answer);
    if (!shown) performance.mark("figures");
    shown = true;
    void extras(answer);
    if (!listening) {
      listening = true;
      void assistant();
      listen(round, (on) => { pushed = on; });
    }
  } catch (error) {
    trouble = error.message;
    if (sessionEnded() && !hasKey()) {
      signedOut();
    } else if (error.status === 401) {
      forgetKey();
      showLogin("The key was refused. Give another one.");
    }
  } finally {
    asking = false;
    freshness();
    // A hidden tab asks nothing; it goes on when it is looked at again.
    timer = setTimeout(round, wanted ? 0 : refresh());
  }
}

/** What need not be asked every time: the curve after a trade, risk and compliance when positions change. */
async function extras(data) {
  const newest = data.trades?.[0]?.id ?? "";
  if (newest !== curveOf || now() - curveAt > CURVE_MS) {
    [curveOf, curveAt] = [newest, now()];
    try {
      realised = (await get("equity")).points.map(([t, v]) => [t, Number(v)]);
      drawCurve();
    } catch {
      curveOf = null;
    }
  }
  const held = JSON.stringify((data.positions ?? []).map((p) => [p.symbol, p.side, p.quantity]));
  if (held !== slowOf || now() - slowAt > SLOW_MS) {
    [slowOf, slowAt] = [held, now()];
    portfolio = await optional("risk", $("risk-panel"), (answer) => {
      draw($("risk"), answer, risk);
      say($("risk-at"), `as of ${clock(answer.time)} UTC`);
    });
    drawLimits();
    await optional("compliance", $("violations-panel"), (answer) => say($("compliance-facts"), panels.compliance(answer)));
  }
}

/**
 * A panel whose endpoint may not be there, or not answer now: no panel rather than an old one.
 * @returns the answer; null where there is none now, undefined where there never is
 */
async function optional(name, panel, show) {
  if (!there[name]) return undefined;
  try {
    const answer = await get(name);
    show(answer);
    panel.hidden = false;
    return answer;
  } catch (error) {
    panel.hidden = true;
    there[name] = error.status !== 404;
    return there[name] ? null : undefined;
  }
}

/** Every limit: the account's, of every round, and those of the whole portfolio, which are older. */
function drawLimits() {
  const list = last?.gauges, more = list && portfolio !== undefined;
  draw($("gauges"), [list, more && portfolio?.limits, more], () => [panels.gauges(list), more ? limits(portfolio) : []].flat());
  say($("limits-at"), more && portfolio ? `portfolio as of ${clock(portfolio.time)} UTC` : "");
}

function drawCurve() {
  const from = range === "all" ? -Infinity : seen[0]?.[0] ?? Infinity;
  const stale = document.body.classList.contains("stale");
  draw($("curve"), [range, realised.length, realised.at(-1), seen.length, seen.at(-1), stale],
    () => {
      const {picture, says} = curve(realised.filter((p) => p[0] >= from), seen);
      say($("curve-says"), says);
      return picture;
    });
}

function show(data) {
  document.body.classList.remove("waiting");
  $("login").hidden = true;
  $("main").hidden = false;
  const time = data.time;
  const production = data.environment === "production";
  say($("venue"), production ? "LIVE" : data.environment, `badge ${production ? "live-venue" : "calm"}`);
  say($("stage"), `stage ${data.stage}`, `badge ${production ? "live-venue" : "calm"}`);
  // What nobody has heard of is no good news: a guardian that never ran is not known either.
  const bad = data.health.filter((l) => l.state === "late" || l.state === "failing");
  const unsure = data.health.filter((l) => l.state === "unknown" || l.state === "warning");
  const told = bad.length ? bad : unsure;
  say($("health-badge"), told.length ? told.map((l) => l.name + (l.state === "unknown" ? "?" : "")).join(", ") : "ok", `badge ${bad.length ? "bad" : unsure.length ? "warn" : "good"}`);
  showSwitch(data.killSwitch);

  if (data.money) {
    seen.push([Date.parse(data.seenAt), Number(data.money.equity)]);
    if (seen.length > SEEN_POINTS) seen = seen.filter((_, i) => i % 2 === 0);
  }
  draw($("figures"), [data.money, data.gauges, data.positions?.length], () => panels.figures(data));
  drawLimits();
  draw($("positions"), {rows: data.positions, time: time.slice(0, 10)}, panels.positions);
  const open = data.money?.unrealizedPnl;
  say($("positions-sum"), data.positions?.length && known(open) ? `${money(open, true)} USDT unrealised` : "", "hint");
  draw($("heat"), data.exposure, panels.heat);
  draw($("signals"), {rows: data.signals, decisions: data.decisions, models: data.models, time: time.slice(0, 10)}, panels.signals);
  say($("models"), `models: ${data.models ? data.models.map(words).join(", ") || "off" : "not known"}`);
  draw($("decisions"), {rows: data.decisions, models: data.models, time: time.slice(0, 10)}, panels.decisions);
  draw($("trades"), {rows: data.trades, time: time.slice(0, 10)}, panels.trades);
  const closed = data.trades ?? [];
  const net = closed.reduce((sum, t) => sum + Number(t.netPnl), 0);
  say($("trades-sum"), closed.length ? `last ${closed.length}: ${money(net, true)} USDT, ${closed.filter((t) => Number(t.netPnl) > 0).length} won` : "", "hint");
  draw($("orders"), {rows: data.orders, time: time.slice(0, 10)}, panels.orders);
  draw($("alerts"), {rows: data.alerts, time: time.slice(0, 10)}, panels.alerts);
  if (data.violations?.length) $("violations-panel").hidden = false;
  draw($("violations"), {rows: data.violations, time: time.slice(0, 10), acknowledge: there.compliance}, panels.violations);
  draw($("health"), {lines: data.health, time}, panels.health);
  approvals(data.approvals, Date.parse(time), round);
  say($("drill-last"), data.drill
    ? `Last drill ${span(data.drill.ageSeconds * 1000)} ago: ${data.drill.passed ? "passed" : "NOT passed"}.`
    : "No drill yet. It walks the whole emergency plan and closes nothing.");
  say($("stage-facts"), [`Stage ${data.stage} on ${data.environment}${data.needsApproval ? "; every trade is approved by hand" : ""}.`, ...data.stageProblems].join(" "));
  draw($("problems"), data.problems, (list) => list.map((p) => h("p", null, p)));
  $("problems").hidden = !data.problems.length;
  $("simulated").hidden = data.environment !== "simulated";
  say($("footer"), `Account ${data.account}. Asked every ${data.refreshSeconds} s${pushed ? ", and told at once when something happens" : ""}. Why a decision was taken: ./run explain ID.`);
  drawCurve();
}

function showSwitch(state) {
  const halted = state?.state === "halted", stopped = halted || state?.state === "latched";
  say($("switch"), !state ? "unknown" : stopped ? state.state.toUpperCase() : "armed", `badge ${state && !stopped ? "good" : "bad"}`);
  $("head").classList.toggle("stopped", stopped);
  $("latched").hidden = !stopped;
  $("clear-hint").hidden = last?.environment !== "simulated";
  if (!stopped) return;
  say($("latched-title"), halted ? "Entries halted: the exchange refuses, and a person has to put it right" : `Kill switch latched: ${words(state.trigger)}`);
  draw($("latched-facts"), state, (s) => panels.evidence(s).flat());
}

/** Old figures are said to be old, in red, and greyed; once a second, whatever the network does. */
function freshness() {
  const age = now() - heard;
  const stale = Boolean(last) && age > staleAfter();
  const unread = Boolean(last) && !stale && !last.money;
  document.body.classList.toggle("stale", stale);
  document.body.classList.toggle("unread", unread);
  const reason = trouble ? `${trouble}. ` : "the answers are old. ";
  let notice = "";
  if (stale) notice = `NOT CURRENT: no news for ${span(age)}, ${reason}Everything below is as of ${moment(last.time)} UTC.`;
  else if (unread) notice = "The exchange cannot be read: positions and results are not known. Stops rest on the exchange.";
  else if (!last && trouble) notice = `Nothing to show: ${trouble}.`;
  say($("stale"), notice);
  $("stale").hidden = !notice;
  if (last) say($("clock"), stale ? `as of ${clock(last.time)} UTC` : `${moment(last.time)} UTC`, stale ? "down" : "quiet");
  const pnl = last?.money?.unrealizedPnl;
  document.title = stale ? "NOT CURRENT – Borsa" : `${["latched", "halted"].includes(last?.killSwitch?.state) ? `${last.killSwitch.state.toUpperCase()} – ` : ""}${known(pnl) ? `${money(pnl, true)} – ` : ""}Borsa`;
}

function switcher() {
  for (const [name, label] of [["all", "All trades"], ["seen", "Since opened"]]) {
    $("range").append(h("button", {type: "button", class: "small", "aria-pressed": String(name === range), on: {click: (event) => {
      range = name;
      for (const b of $("range").children) b.setAttribute("aria-pressed", String(b === event.target));
      drawCurve();
    }}}, label));
  }
}

armStop(round); // before anything that could fail
say($("clock"), "connecting …");
adoptKey();
switcher();
whole($("alerts"), $("alerts-more"));
armClear(round);
armDrill(round);
armChecklist();
armViolations(round);
armAssistant();
$("who").value = operator();
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey($("key").value);
  keepOperator($("who").value);
  $("key").value = "";
  announce("");
  void round();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) { freshness(); void round(); } });
window.addEventListener("hashchange", () => { adoptKey(); void round(); });
setInterval(() => { freshness(); countDown(serverNow()); }, 1000);
$("sign-in").addEventListener("click", async () => {
  $("sign-in").disabled = true;
  try {
    location.assign(await beginSignIn());
  } catch (error) {
    say($("login-said"), `No sign-in: ${error.message}.`, "down");
    $("sign-in").disabled = false;
  }
});
$("sign-out").addEventListener("click", async () => {
  try {
    location.assign(await signOut() || location.pathname);
  } catch (error) {
    if (error.status !== 401) return announce(`Not signed out: ${error.message}.`, "bad");
    forgetPerson();
    location.assign(location.pathname);
  }
  return undefined;
});

/** A key in this tab opens the page as ever; else whoever has signed in, or is coming back from it. */
async function open() {
  const back = adoptReturn();
  let why = "";
  if (!hasKey() || back) {
    try {
      if (back?.error) why = `Not signed in: ${back.error === "access_denied" ? "it was cancelled" : back.error}.`;
      else if (back) await completeSignIn(back);
    } catch (error) {
      why = `Not signed in: ${error.message}.`;
    }
    try {
      const way = await entrance();
      $("entra").hidden = way.access !== "entra";
      if (!way.signedIn && !why && way.why) why = `${way.why}.`;
    } catch (error) {
      why = why || `The application does not say how to sign in: ${error.message}.`;
    }
    showPerson();
  }
  if (signedIn() || hasKey()) void round();
  else showLogin(why);
}

void open();
