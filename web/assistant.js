// Questions to a language model. What it says goes in as text nodes: no markup, no link, no image.
import {Refused, get, post} from "./api.js";
import {$, h, say} from "./dom.js";

/** The model may be asked several times for one answer. */
const PATIENCE_MS = 180_000;
/** What the application reads of a conversation. */
const TURNS = 19, TURN = 4_000, CONVERSATION = 12_000;

let turns = [];

/** Shows the panel where a language model is configured. */
export async function assistant() {
  try {
    const state = await get("assistant");
    if (!state.ready) return;
    say($("assistant-facts"), `${state.model} at ${state.provider}: it reads your account and the market, and cannot act`);
    $("assistant-panel").hidden = false;
  } catch {
    // Nobody to ask; the panel stays away.
  }
}

const line = (who, text, kind) => h("p", {class: `turn ${kind}`}, h("b", null, `${who} `), text);

function told(answer) {
  const read = [...new Set(answer.given.map((g) => g.tool))].join(", ") || "nothing";
  const doubt = answer.unsupported.length ? ` Not among the figures it was given, so worked out or made up: ${answer.unsupported.join(", ")}.` : "";
  return [
    line(answer.model, answer.answer, "said"),
    h("p", {class: "quiet"}, `${answer.notice} It was given: ${read}.${doubt}`),
  ];
}

export function armAssistant() {
  const form = $("assistant"), list = $("assistant-said"), field = form.elements.question, button = $("assistant-ask");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const question = field.value.trim();
    if (!question || button.disabled) return;
    const asked = [...turns, {role: "user", content: question}];
    while (asked.length > TURNS || (asked.length > 1 && JSON.stringify(asked).length > CONVERSATION)) asked.shift();
    list.append(line("You", question, "asked"));
    button.disabled = true;
    say($("assistant-state"), "asking …");
    try {
      const answer = await post("assistant/chat", {messages: asked}, PATIENCE_MS);
      list.append(...told(answer));
      turns = [...asked, {role: "assistant", content: answer.answer.slice(0, TURN)}];
      field.value = "";
      say($("assistant-state"), "");
    } catch (error) {
      say($("assistant-state"), error instanceof Refused ? error.message : `this page failed: ${error.message}`);
    } finally {
      button.disabled = false;
      list.scrollTop = list.scrollHeight;
    }
  });
}
