// Talking to the application: same origin, the key in a header, nothing kept but in this tab.

const ROOT = new URL("../", import.meta.url);
const KEY = "borsa.key";
const WHO = "borsa.operator";
/** An answer that takes longer is no answer. */
const PATIENCE_MS = 15_000;

/** An error with what to tell a person; `status` is 0 where nothing came back. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Takes the key out of the address (`#key=…`, as ./run prints it) before anybody can see it there. */
export function adoptKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!given) return;
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname);
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
/** Keys are plain letters; whatever else was pasted along could not even be sent. */
export const keepKey = (key) => sessionStorage.setItem(KEY, key.replace(/[^\x21-\x7e]/g, ""));
export const forgetKey = () => sessionStorage.removeItem(KEY);
export const operator = () => sessionStorage.getItem(WHO) || "";
export const keepOperator = (name) => sessionStorage.setItem(WHO, name.trim());

async function ask(method, path, body, patience) {
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), {
      method,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
      headers: {"x-functions-key": sessionStorage.getItem(KEY) || "", "Content-Type": "application/json"},
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refused(late ? `no answer within ${patience / 1000} s` : "the application cannot be reached", 0);
  }
  let said = null;
  try {
    said = await answer.json();
  } catch {
    said = null;
  }
  if (answer.ok && said !== null) return said;
  if (answer.status === 401) throw new Refused("the key was refused", 401);
  const message = said?.error?.message ?? `the application answered ${answer.status}`;
  throw new Refused(String(message), answer.status || 502);
}

export const get = (path) => ask("GET", path, undefined, PATIENCE_MS);
export const post = (path, body, patience = 60_000) => ask("POST", path, body, patience);
