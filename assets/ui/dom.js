// Small helpers that every part of the page uses: building elements, and saying times.
// Text enters the page only as text nodes and attributes, so no name or query can carry markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("button", {class: "card", onclick: play}, "Play", icon). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean" && !name.startsWith("aria-")) element[name] = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SHAPES = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm4.8 11.3L20 20",
  play: "M8 5.5v13l10.5-6.5Z",
  pause: "M8 5v14M16 5v14",
  loop: "M17 3l3 3-3 3M4 11V9a3 3 0 0 1 3-3h13M7 21l-3-3 3-3M20 13v2a3 3 0 0 1-3 3H4",
  next: "M6 6l8 6-8 6ZM18 6v12",
  previous: "M18 6l-8 6 8 6ZM6 6v12",
  forward: "M9 6l6 6-6 6",
  back: "M15 6l-6 6 6 6",
  sound: "M5 10v4h3l4 4V6l-4 4ZM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  muted: "M5 10v4h3l4 4V6l-4 4ZM16 9.5l5 5M21 9.5l-5 5",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  basket: "M4 9h16l-1.5 10h-13ZM8 9l4-5 4 5",
  half: "M12 4a8 8 0 1 0 0 16ZM12 4a8 8 0 0 1 0 16",
  film: "M4 5h16v14H4ZM8 5v14M16 5v14M4 9.5h4M4 14.5h4M16 9.5h4M16 14.5h4",
  upload: "M12 16V5M7 10l5-5 5 5M5 19h14",
  like: "M7 11v9H4v-9ZM7 11l4-7c1.5 0 2.5 1 2.2 2.6L12.6 10H18a2 2 0 0 1 2 2.3l-1 6A2 2 0 0 1 17 20H7",
  dislike:
    "M7 13V4H4v9ZM7 13l4 7c1.5 0 2.5-1 2.2-2.6L12.6 14H18a2 2 0 0 0 2-2.3l-1-6A2 2 0 0 0 17 4H7",
  alike: "M4 4h10v10H4ZM10 14v6h10V10h-6",
  download: "M12 4v11M7 10l5 5 5-5M5 19h14",
  picture: "M4 5h16v14H4ZM4 16l5-5 4 4 3-3 4 4M15.5 9.2v.1",
  camera: "M4 8h3.5L9 6h6l1.5 2H20v10H4ZM12 10a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
  filter: "M4 6h16M7 12h10M10 18h4",
  question: "M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2.1M12 17.4v.1M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17Z",
  captions: "M4 6h16v12H4ZM10.5 10.5a2 2 0 1 0 0 3M16.5 10.5a2 2 0 1 0 0 3",
  tick: "M5 12.5l4.5 4.5L19 7.5",
  fit: "M4 7v10M20 7v10M7 12h10M9.5 9.5L7 12l2.5 2.5M14.5 9.5L17 12l-2.5 2.5",
};

/** A line drawing from the list above, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A button that shows only a drawing; its label is read aloud and shown as a tooltip. */
export function iconButton(name, label, onclick, properties = {}) {
  return h(
    "button",
    { type: "button", class: "tool", "aria-label": label, title: label, onclick, ...properties },
    icon(name),
  );
}

/** Seconds as 1:02:03 or 00:12, with tenths where asked. */
export function clock(seconds, tenths = false) {
  // Rounding first keeps 59.96 from reading as 00:60.
  const unit = tenths ? 10 : 1;
  const total = Math.floor(Math.max(0, seconds) * unit + 1e-6) / unit;
  const whole = Math.floor(total);
  const pad = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const text = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  const tail = tenths ? `.${Math.round((total - whole) * 10)}` : "";
  return (hours ? `${hours}:` : "") + text + tail;
}

/** A place of this server, below whatever path the page itself is served from. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
