// Why this moment: each word of the query alone, second by second, in rows under the strip.

import { h } from "./dom.js";
import { words } from "./words.js";

export class Why {
  constructor() {
    this.rows = [];
    this.view = [0, 1];
    this.span = [0, 1]; // seconds between which the rows lie
    this.body = h("div", { class: "why-rows" });
    this.element = h(
      "details",
      { class: "why", hidden: true, ontoggle: () => this.draw() },
      h("summary", {}, words.why),
      this.body,
      h("p", { class: "detail" }, words.whyNote),
    );
  }

  /** Show the words of an answer, or nothing where there is none. */
  open(explained, span = [0, 1]) {
    this.rows = explained;
    this.span = span;
    this.element.hidden = explained.length === 0;
    this.canvases = explained.map(() => h("canvas", { "aria-hidden": "true" }));
    this.body.replaceChildren(
      ...explained.map(({ word }, row) => h("div", {}, this.canvases[row], h("span", {}, word))),
    );
    this.draw();
  }

  /** Follow the strip: it shows these seconds now. */
  show(view) {
    this.view = view;
    this.draw();
  }

  draw() {
    if (!this.element.open) return;
    const [from, to] = this.view;
    this.rows.forEach(({ strength }, row) => {
      const canvas = this.canvases[row];
      const { clientWidth: width, clientHeight: height } = canvas;
      canvas.width = width;
      canvas.height = height;
      const pen = canvas.getContext("2d");
      pen.fillStyle = getComputedStyle(canvas).color;
      const [begins, ends] = this.span;
      const second = (ends - begins) / strength.length;
      const pixels = width / (to - from);
      strength.forEach((value, index) => {
        pen.globalAlpha = value;
        // Whole pixels, so that no seam shows between two seconds.
        const [left, right] = [index, index + 1].map((edge) =>
          Math.round((begins + edge * second - from) * pixels),
        );
        pen.fillRect(left, 0, right - left, height);
      });
    });
  }
}
