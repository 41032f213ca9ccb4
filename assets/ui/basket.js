// Moments kept across queries, in this visitor's browser, and what can be made of them: a film,
// single clips, a table, edit lists for editing programs.

import { address, h, icon, iconButton } from "./dom.js";
import { words } from "./words.js";

const STORE = "basket";
// label: file name, and whether it holds the streams as they are
const FILMS = {
  [words.film]: ["film.mp4"],
  [words.clips]: ["clips.zip"],
  [words.copies]: ["clips.zip", { copy: true }],
};
const LISTS = {
  [words.csv]: ["moments.csv"],
  [words.json]: ["moments.json"],
  [words.edl]: ["moments.edl"],
  [words.markers]: ["moments.markers.edl"],
  [words.otio]: ["moments.otio"],
  [words.fcpxml]: ["moments.fcpxml"],
  [words.xmeml]: ["moments.xml"],
  [words.srt]: ["moments.srt"],
  [words.vtt]: ["moments.vtt"],
  [words.chapters]: ["moments.chapters.txt"],
};

/** Where a file with these moments can be downloaded: encoded anew, or copied from their files. */
export function exportAddress(file, moments, { copy = false } = {}) {
  const kept = moments.map(({ video, start, end, query, strength }) => ({
    video,
    start,
    end,
    query,
    strength,
  }));
  const asked = encodeURIComponent(JSON.stringify(kept));
  return address(`export/${file}?moments=${asked}${copy ? "&copy=true" : ""}`);
}

export class Basket {
  /** @param {{play: (moment) => void, changed: () => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.originals = true;
    this.moments = read();
    this.count = h("span", { class: "count" });
    this.button = h(
      "button",
      {
        type: "button",
        class: "tool counted",
        "aria-label": words.basket,
        title: words.basket,
        onclick: () => this.show(),
      },
      icon("basket"),
      this.count,
    );
    this.list = h("ol", {});
    this.formats = h("div", { class: "formats" });
    this.hint = h("p", { class: "hint" }, words.basketEmpty);
    this.element = h(
      "dialog",
      {
        class: "drawer",
        "aria-label": words.basket,
        onclick: (event) => event.target === this.element && this.element.close(),
      },
      h(
        "div",
        { class: "drawer-head" },
        h("h2", {}, words.basket),
        iconButton("close", words.closeBasket, () => this.element.close()),
      ),
      this.hint,
      this.list,
      this.formats,
    );
    this.#draw();
    // Another tab of the same visitor may have changed it.
    window.addEventListener(
      "storage",
      ({ key }) => key === STORE && ((this.moments = read()), this.#draw()),
    );
  }

  show() {
    this.element.showModal();
  }

  holds(moment) {
    return this.moments.some((kept) => same(kept, moment));
  }

  /** Put a moment in, or take it out again. */
  toggle(moment) {
    const kept = this.moments.filter((other) => !same(other, moment));
    if (kept.length === this.moments.length) kept.push(moment);
    this.#keep(kept);
  }

  #keep(moments) {
    this.moments = moments;
    localStorage.setItem(STORE, JSON.stringify(moments));
    this.#draw();
    this.actions.changed();
  }

  #draw() {
    const { moments } = this;
    this.count.textContent = moments.length || "";
    this.hint.hidden = moments.length > 0;
    this.list.replaceChildren(...moments.map((moment) => this.#row(moment)));
    this.formats.replaceChildren(...(moments.length ? this.#downloads() : []));
  }

  #row(moment) {
    const play = () => {
      this.element.close();
      this.actions.play(moment);
    };
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "kept", onclick: play },
        h("img", { alt: "", src: address(`thumbnail/${moment.video}/${Math.floor(moment.best)}`) }),
        h(
          "span",
          {},
          h("span", { class: "name" }, moment.name),
          h(
            "span",
            { class: "detail" },
            [words.span(moment), moment.query].filter(Boolean).join(" · "),
          ),
        ),
      ),
      iconButton("close", words.takeOut, () =>
        this.#keep(this.moments.filter((other) => other !== moment)),
      ),
    );
  }

  #downloads() {
    const buttons = (formats) =>
      Object.entries(formats).map(([label, [file, how]]) => {
        const href = exportAddress(file, this.moments, how);
        return h("a", { class: "button", href, download: file }, label);
      });
    const films = [
      h("h3", {}, words.films),
      ...buttons(FILMS),
      h("p", { class: "detail" }, words.copiesHint),
    ];
    return [...(this.originals ? films : []), h("h3", {}, words.lists), ...buttons(LISTS)];
  }

  /** What the server allows: without originals there are lists only. */
  allow(originals) {
    if (originals === this.originals) return;
    this.originals = originals;
    this.#draw();
  }
}

function same(one, other) {
  return one.video === other.video && one.start === other.start && one.end === other.end;
}

/** What was kept on an earlier visit; anything unreadable counts as nothing. */
function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? [];
  } catch {
    return [];
  }
}
