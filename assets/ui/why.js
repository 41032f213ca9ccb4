// Why this moment: what its strength means, what each word of the query adds, how each matches alone
// and where it looked, second by second, in rows under the strip.

import { clamp, h } from "./dom.js";
import { words } from "./words.js";

/** Rows of strength over time, a word each, that follow the strip. */
class Rows {
  constructor(name, title) {
    this.words = []; // [{word, strength}]
    this.span = [0, 1]; // seconds between which the values lie
    this.body = h("div", { class: `why-rows ${name}` });
    this.note = h("p", { class: "detail" });
    this.element = h(
      "section",
      { "aria-label": title },
      h("p", { class: "heading" }, title),
      this.body,
      this.note,
    );
  }

  /** @param {string[]} numbers  shown beside the words, where there are any */
  fill(explained, span, note, numbers = []) {
    this.words = explained;
    this.span = span;
    this.note.textContent = note;
    this.element.hidden = !explained.length && !note;
    this.canvases = explained.map(() => h("canvas", { "aria-hidden": "true" }));
    this.body.replaceChildren(
      ...explained.map(({ word }, row) => {
        const number = numbers[row] ? h("em", {}, numbers[row]) : null;
        return h("div", {}, this.canvases[row], h("span", {}, word), number);
      }),
    );
  }

  draw([from, to]) {
    this.words.forEach(({ strength }, row) => {
      const canvas = this.canvases[row];
      const { clientWidth: width, clientHeight: height } = canvas;
      canvas.width = width;
      canvas.height = height;
      const pen = canvas.getContext("2d");
      const style = getComputedStyle(canvas);
      const [begins, ends] = this.span;
      const second = (ends - begins) / strength.length;
      const pixels = width / (to - from);
      strength.forEach((value, index) => {
        pen.globalAlpha = Math.abs(value);
        pen.fillStyle = value < 0 ? style.outlineColor : style.color; // what lowers has its own
        // Whole pixels, so that no seam shows between two seconds.
        const [left, right] = [index, index + 1].map((edge) =>
          Math.round((begins + edge * second - from) * pixels),
        );
        pen.fillRect(left, 0, right - left, height);
      });
    });
  }
}

export class Why {
  constructor() {
    this.view = [0, 1];
    this.meaning = h("p", { class: "detail" });
    this.added = new Rows("added", words.whyAdded);
    this.looked = new Rows("looked", words.whyLooked);
    this.alone = new Rows("alone", words.whyAlone);
    this.element = h(
      "details",
      { class: "why", hidden: true, ontoggle: () => this.draw() },
      h("summary", {}, words.why),
      this.meaning,
      this.added.element,
      this.alone.element,
      this.looked.element,
    );
    document.addEventListener("theme", () => this.draw());
  }

  /**
   * Show the words of an answer, or nothing where there is none.
   * @param {{words, added, attention: {words, begins, ends} | null, unread: string}} explained
   * @param {{strength: number, best: number} | null} moment
   * @param {[number, number]} span  seconds between which the rows of `words` and `added` lie
   */
  open({ words: alone, added = [], attention, unread }, moment = null, span = [0, 1]) {
    this.element.hidden = alone.length === 0;
    const percent = Math.round(100 * (moment?.strength ?? 0));
    this.meaning.textContent = percent ? words.strengthMeaning(percent) : "";
    const note = added.length ? words.whyAddedNote : "";
    this.added.fill(added, span, note, atBest(added, moment?.best ?? 0, span));
    this.alone.fill(alone, span, words.whyAloneNote);
    if (attention) {
      // A share of attention is small wherever it is spread; each word is shown against its most.
      const shown = attention.words.map(({ word, looked }) => {
        const most = Math.max(...looked);
        return { word, strength: looked.map((share) => share / most) };
      });
      this.looked.fill(shown, [attention.begins, attention.ends], words.whyLookedNote);
    } else this.looked.fill([], [0, 1], words.whyUnread[unread] ?? "");
    this.draw();
  }

  /** Follow the strip: it shows these seconds now. */
  show(view) {
    this.view = view;
    this.draw();
  }

  draw() {
    if (!this.element.open) return;
    for (const rows of [this.added, this.alone, this.looked]) rows.draw(this.view);
  }
}

/** What each word adds at the best second of the moment, as a number to show. */
function atBest(added, best, [begins, ends]) {
  return added.map(({ strength }) => {
    const row = Math.floor(((best - begins) / (ends - begins)) * strength.length);
    const percent = Math.round(100 * (strength[clamp(row, 0, strength.length - 1)] ?? 0));
    return percent < 0 ? `−${-percent}` : `+${percent}`;
  });
}
