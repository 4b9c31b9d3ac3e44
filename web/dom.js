// Elements from data. Text goes in as text nodes only; there is no way from here to HTML.

const SVG = "http://www.w3.org/2000/svg";
export const $ = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
    else if (name === "css") for (const [property, v] of Object.entries(value)) node.style.setProperty(property, v);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (c instanceof Node ? c : document.createTextNode(String(c)))));
  return node;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const drawn = new WeakMap();

/** Draw a panel anew only where its data changed: focus and selection survive a refresh. */
export function draw(node, data, make) {
  const now = JSON.stringify(data) ?? "";
  if (drawn.get(node) === now) return;
  drawn.set(node, now);
  node.replaceChildren(...[make(data)].flat());
}

/** Write text only where it is another: nothing is announced or repainted for nothing. */
export function say(node, text, className) {
  if (node.textContent !== text) node.textContent = text;
  if (className !== undefined && node.className !== className) node.className = className;
}

/**
 * A list that scrolls ends with a whole entry, and says how many are below.
 * @param node the box, as high as its style lets it be
 * @param more where that is said
 */
export function whole(node, more) {
  const fit = () => {
    node.style.maxHeight = "";
    const entries = [...node.querySelectorAll("li")], top = node.getBoundingClientRect().top - node.scrollTop;
    const ends = entries.map((entry) => entry.getBoundingClientRect().bottom - top);
    const inside = ends.filter((end) => end <= node.clientHeight + 1);
    const below = entries.length - inside.length;
    if (below && inside.length) node.style.maxHeight = `${inside.at(-1)}px`;
    say(more, below ? `newest ${inside.length || 1} of ${entries.length}: scroll` : "");
  };
  const sized = new ResizeObserver(fit);
  new MutationObserver(() => {
    sized.disconnect();
    for (const child of node.children) sized.observe(child);
  }).observe(node, {childList: true});
}

/**
 * A table. A column is {name, cell(row), right, wide, wrap}: `right` aligns numbers, `wide` leaves
 * it out on narrow screens.
 */
export function table(columns, rows, none) {
  if (!rows) return h("p", {class: "down"}, "Not known: it cannot be read.");
  if (!rows.length) return h("p", {class: "quiet"}, none);
  const style = (c) => [c.right && "r", c.wide && "wide", c.wrap && "wrap"].filter(Boolean).join(" ") || null;
  return h("table", null,
    h("thead", null, h("tr", null, columns.map((c) => h("th", {class: style(c), scope: "col"}, c.name)))),
    h("tbody", null, rows.map((row) => h("tr", null,
      columns.map((c) => h("td", {class: style(c), "data-name": c.name}, c.cell(row)))))));
}

export const toned = (tone, text) => h("span", {class: tone}, text);

/** A bar from 0 to 1 with what it means for who cannot see it. */
export function bar(share, label, alarms = true) {
  const level = share > 1 || (alarms && share > 0.85) ? "high" : alarms && share > 0.6 ? "raised" : "";
  const part = Math.max(0, Math.min(1, share));
  return h("div", {class: `bar ${level}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": part.toFixed(3)},
    h("i", {css: {width: `${part * 100}%`}}));
}
