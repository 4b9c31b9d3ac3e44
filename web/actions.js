// What a person can do here: stop, clear, approve, drill, check. Each says what came of it.
import {Refused, get, keepOperator, operator, post, signedIn, ways} from "./api.js";
import {$, draw, h, say} from "./dom.js";
import {span} from "./format.js";
import {checklist, steps} from "./panels.js";

/** How long the second click of a stop is waited for, and how soon after the first it counts. */
const CONFIRM_MS = 6_000;
const DOUBLE_CLICK_MS = 350;
const NEWS_MS = 12_000;

let fading = 0;

/** Good news goes by itself; bad news stays until there is other news. */
export function announce(text, kind = "good") {
  clearTimeout(fading);
  say($("said"), text, `notice ${kind}`);
  $("said").hidden = !text;
  if (text && kind === "good") fading = setTimeout(() => announce(""), NEWS_MS);
}

const told = (error) => (error instanceof Refused ? error.message : `this page failed: ${error.message}`);

/** Two clicks stop everything: the first asks, the second sends. Disabled in the page until it is wired here. */
export function armStop(after) {
  const button = $("stop");
  let asked = 0, timer = 0, sending = false;
  const rest = () => {
    asked = 0;
    clearTimeout(timer);
    if (!sending) say(button, "Emergency stop", "danger");
  };
  button.addEventListener("click", async () => {
    const now = performance.now();
    if (sending || (asked && now - asked < DOUBLE_CLICK_MS)) return;
    if (!asked) {
      asked = now;
      say(button, "Close everything? Click again", "danger sure");
      timer = setTimeout(rest, CONFIRM_MS);
      return;
    }
    sending = true;
    rest();
    say(button, "Stopping …", "danger");
    try {
      const answer = await stop();
      announce(answer.flat ? "Stopped: the kill switch is latched and the account is flat."
        : "Stopped: the kill switch is latched, no order that adds exposure is sent any more. Positions are being closed.", "good");
    } catch (error) {
      // 503 is also what a stop says that closes already and cannot be latched, see the API.
      const what = error.status === 503 ? "THE STOP IS NOT LATCHED YET" : "THE STOP DID NOT GET THROUGH";
      announce(`${what}: ${told(error)}. Try again; if it fails again, close the positions on the exchange's own page.`, "bad");
    } finally {
      sending = false;
      rest();
    }
    after();
  });
  button.addEventListener("keydown", (event) => { if (event.key === "Escape") rest(); });
  button.disabled = false;
  $("unwired").hidden = true;
}

/** Sent again once where nothing came back: a second stop joins the first. Then by the other way in. */
async function stop() {
  const body = {reason: "emergency stop of the dashboard", operator: operator() || "dashboard"};
  let trouble = null;
  for (const way of ways()) {
    for (let left = 2; left > 0; left -= 1) {
      try {
        return await post("emergency-stop", body, 30_000, way);
      } catch (error) {
        trouble = error;
        if (error.status && error.status < 500) break;
      }
    }
  }
  throw trouble;
}

export function armClear(after) {
  const form = $("clear");
  form.elements.operator.value = operator();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = form.elements, button = form.querySelector("button");
    keepOperator(fields.operator.value);
    button.disabled = true;
    say($("clear-said"), "asking …");
    try {
      await post("kill-switch/clear", {code: fields.code.value.trim(), reason: fields.reason.value, operator: fields.operator.value});
      say($("clear-said"), "");
      fields.reason.value = "";
      announce("Trading is armed again.");
    } catch (error) {
      say($("clear-said"), `Not cleared: ${told(error)}.`, "down");
    } finally {
      fields.code.value = "";
      button.disabled = false;
    }
    after();
  });
}

/** Requests that wait, each with its time left; the server's clock says how long. */
export function approvals(list, serverNow, after) {
  const open = (list ?? []).filter((a) => a.state === "pending" && a.expiresAt > serverNow);
  $("approvals").hidden = !open.length;
  draw($("approvals-list"), open, (rows) => rows.map((a) => h("div", {class: "approval", "data-id": a.id},
    h("b", null, a.symbol), h("span", null, a.summary), h("span", {class: "left", "data-until": a.expiresAt}, ""),
    h("span", {class: "inline"},
      h("label", null, "Your name ", h("input", {name: "operator", maxlength: 100, value: operator(), readonly: Boolean(signedIn())})),
      h("button", {type: "button", on: {click: (e) => decide(e, a, "approve", after)}}, "Approve"),
      h("button", {type: "button", on: {click: (e) => decide(e, a, "reject", after)}}, "Reject"),
      h("output", null, "")))));
}

/** The seconds left of every request that is shown. */
export function countDown(serverNow) {
  for (const node of document.querySelectorAll(".approval .left")) {
    const left = Number(node.dataset.until) - serverNow;
    say(node, left > 0 ? `${span(left)} left; silence means no` : "expired");
  }
}

async function decide(event, approval, decision, after) {
  const row = event.target.closest(".approval"), name = row.querySelector("input");
  const said = row.querySelector("output"), buttons = [...row.querySelectorAll("button")];
  if (!name.value.trim()) {
    say(said, "Say who you are.", "down");
    name.focus();
    return;
  }
  keepOperator(name.value);
  for (const b of buttons) b.disabled = true;
  try {
    const answer = await post(`approvals/${encodeURIComponent(approval.id)}`, {decision, nonce: approval.nonce, operator: name.value});
    announce(`${approval.symbol}: ${answer.state}.`);
  } catch (error) {
    say(said, `Not answered: ${told(error)}.`, "down");
    for (const b of buttons) b.disabled = false;
  }
  after();
}

export function armDrill(after) {
  const button = $("drill");
  button.addEventListener("click", async () => {
    button.disabled = true;
    $("drill-steps").replaceChildren(h("p", {class: "quiet"}, "Walking the plan; nothing is stopped …"));
    try {
      const found = await post("emergency-stop?drill=true", {operator: operator() || "dashboard"});
      $("drill-steps").replaceChildren(
        h("p", {class: found.passed ? "up" : "down"}, `${found.passed ? "Passed" : "NOT passed"} in ${found.milliseconds} ms.`), steps(found.steps));
    } catch (error) {
      $("drill-steps").replaceChildren(h("p", {class: "down"}, `No drill: ${told(error)}.`));
    } finally {
      button.disabled = false;
    }
    after();
  });
}

export function armChecklist() {
  const button = $("check");
  button.addEventListener("click", async () => {
    button.disabled = true;
    $("checklist").replaceChildren(h("p", {class: "quiet"}, "Gathering the evidence …"));
    try {
      $("checklist").replaceChildren(...checklist(await get("checklist")));
    } catch (error) {
      $("checklist").replaceChildren(h("p", {class: "down"}, `Not known: ${told(error)}.`));
    } finally {
      button.disabled = false;
    }
  });
}

/** Violations are acknowledged with a name; closing one asks for a code, on the command line. */
export function armViolations(after) {
  $("violations").addEventListener("click", async (event) => {
    const id = event.target.dataset?.acknowledge;
    if (!id) return;
    event.target.disabled = true;
    try {
      await post(`compliance/violations/${encodeURIComponent(id)}/acknowledge`, {operator: operator() || "dashboard"});
      announce("Violation acknowledged.");
    } catch (error) {
      event.target.disabled = false;
      announce(`Not acknowledged: ${told(error)}.`, "bad");
    }
    after();
  });
}
