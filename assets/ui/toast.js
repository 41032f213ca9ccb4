// The line at the bottom that says what happened, for as long as it takes to read.

import { h } from "./dom.js";

const READING = 8000; // milliseconds

export class Toast {
  constructor() {
    this.element = h("div", { class: "toast", role: "alert", hidden: true });
  }

  /** Say something; with `stay` until something else is said. */
  tell(text, { stay = false } = {}) {
    this.element.textContent = text;
    this.element.hidden = false;
    this.staying = stay;
    clearTimeout(this.quiet);
    if (!stay) this.quiet = setTimeout(() => this.hush(), READING);
  }

  /** Take away what was said, unless it stays. */
  hush() {
    if (!this.staying) this.element.hidden = true;
  }
}
