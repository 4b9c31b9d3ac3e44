// Figures as text. Nothing here makes HTML.

const two = new Intl.NumberFormat("en-US", {minimumFractionDigits: 2, maximumFractionDigits: 2});
export const NONE = "–";

export function known(value) {
  return value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));
}

/** Money with two decimals; with `sign` a plus as well. */
export function money(value, sign = false) {
  if (!known(value)) return NONE;
  const rounded = Math.round(Number(value) * 100) / 100 || 0;
  const shown = two.format(Math.abs(rounded));
  return (rounded < 0 ? "−" : sign && rounded > 0 ? "+" : "") + shown;
}

export function percent(fraction, digits = 2) {
  return known(fraction) ? `${(Number(fraction) * 100).toFixed(digits)} %` : NONE;
}

/** A number with as many decimals as another has: mark prices like entry prices. */
export function like(value, model) {
  if (!known(value)) return NONE;
  return grouped(Number(value).toFixed((String(model).split(".")[1] || "").length));
}

/** A decimal string with thousands set apart, digits untouched. */
export function grouped(value) {
  if (!known(value)) return NONE;
  const [whole, part] = String(value).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? `.${part}` : "");
}

export function ratio(value, digits = 2) {
  if (!known(value)) return NONE;
  const n = Number(value);
  return (n < 0 ? "−" : n > 0 ? "+" : "") + Math.abs(n).toFixed(digits);
}

export const tone = (value) => (Number(value) < 0 ? "down" : Number(value) > 0 ? "up" : "flat");
export const side = (value) => ({BUY: "long", SELL: "short"})[value] ?? "none";

const stamp = (when) => (typeof when === "number" ? when : Date.parse(when));

/** UTC time of day; with the date where it is not the day of `today`. */
export function clock(when, today = null, seconds = true) {
  const ms = stamp(when);
  if (!Number.isFinite(ms)) return NONE;
  const text = new Date(ms).toISOString();
  const time = text.slice(11, seconds ? 19 : 16);
  const sameDay = today === null || text.slice(0, 10) === new Date(stamp(today)).toISOString().slice(0, 10);
  return sameDay ? time : `${text.slice(5, 10)} ${time}`;
}

export function moment(when) {
  const ms = stamp(when);
  return Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 19).replace("T", " ") : NONE;
}

/** A length of time in words: 40 s, 12 min, 3 h, 5 d. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/** From camelCase or snake_case to words. */
export function words(name) {
  return String(name).replace(/_/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}
