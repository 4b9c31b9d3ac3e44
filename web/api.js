// Talking to the application: same origin, the key in a header and kept in this tab only, or the
// session of who signed in, which is a cookie that no script can read.

const ROOT = new URL("../", import.meta.url);
const KEY = "borsa.key";
const WHO = "borsa.operator";
const PERSON = "borsa.person";
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
export const operator = () => signedIn()?.name || sessionStorage.getItem(WHO) || "";
export const keepOperator = (name) => { if (!signedIn()) sessionStorage.setItem(WHO, name.trim()); };

/** Who signed in, with the token for changing requests; kept so that a session that has run out can still stop. */
let person = JSON.parse(sessionStorage.getItem(PERSON) || "null");
let over = true; // until the application has said otherwise
let ended = ""; // what it said when a request of any part of the page met the end of the session

export const sessionEnded = () => ended;

export const signedIn = () => (over ? null : person);
/** The ways by which a stop may get through, best first: a session that is over may do. */
export const ways = () => [...(person ? ["person"] : []), ...(hasKey() || !person ? ["key"] : [])];

function meet(answer) {
  [over, ended] = [!answer.signedIn, ""];
  if (answer.signedIn) {
    person = {name: answer.name, role: answer.role, until: answer.until, csrf: answer.csrf};
    sessionStorage.setItem(PERSON, JSON.stringify(person));
  }
  return answer;
}

export function forgetPerson() {
  [person, over, ended] = [null, true, ""];
  sessionStorage.removeItem(PERSON);
}

/** What the directory sent this page back with; taken out of the address, where it must not stay. */
export function adoptReturn() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!given.state || !(given.code || given.error)) return null;
  history.replaceState(null, "", location.pathname);
  return given;
}

/** How people come in here, and whether somebody has. */
export const entrance = async () => meet(await ask("GET", "session", undefined, PATIENCE_MS, "open"));
export const beginSignIn = async () => (await ask("POST", "session/begin", {}, PATIENCE_MS, "open")).location;
export const completeSignIn = async ({code, state}) => meet(await ask("POST", "session/complete", {code, state}, 30_000, "open"));

/** Ends the session; the address at which to leave the directory too. */
export async function signOut() {
  const {location: next} = await ask("POST", "session/end", {}, PATIENCE_MS, "open");
  forgetPerson();
  return next;
}

async function ask(method, path, body, patience, way = signedIn() ? "person" : "key") {
  const headers = {"Content-Type": "application/json"};
  if (way === "key") headers["x-functions-key"] = sessionStorage.getItem(KEY) || "";
  else if (person) headers["x-borsa-csrf"] = person.csrf;
  let answer;
  try {
    answer = await fetch(new URL(way === "person" ? `me/${path}` : path, ROOT), {
      method,
      cache: "no-store",
      credentials: way === "key" ? "omit" : "same-origin",
      redirect: "error",
      referrerPolicy: "no-referrer",
      headers,
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
  if (answer.status === 401 && way === "key") throw new Refused("the key was refused", 401);
  const message = said?.error?.message ?? `the application answered ${answer.status}`;
  if (answer.status === 401) [over, ended] = [true, String(message)];
  throw new Refused(String(message), answer.status || 502);
}

export const get = (path) => ask("GET", path, undefined, PATIENCE_MS);
export const post = (path, body, patience = 60_000, way = undefined) => ask("POST", path, body, patience, way);
