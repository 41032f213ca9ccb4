// What can be asked, and what the keys do: a dialog that "?" opens.

import { h, iconButton } from "./dom.js";
import { words } from "./words.js";

export class Help {
  constructor() {
    const table = (rows, name) =>
      h(
        "dl",
        { class: `help-rows ${name}` },
        rows.flatMap(([term, meaning]) => [h("dt", {}, term), h("dd", {}, meaning)]),
      );
    this.button = iconButton("question", words.help, () => this.show());
    this.element = h(
      "dialog",
      {
        class: "drawer help",
        "aria-label": words.helpTitle,
        onclick: (event) => event.target === this.element && this.element.close(),
      },
      h(
        "div",
        { class: "drawer-head" },
        h("h2", {}, words.helpTitle),
        iconButton("close", words.closeHelp, () => this.element.close()),
      ),
      h("h3", {}, words.asking),
      table(words.askingForms, "forms"),
      h("h3", {}, words.strip),
      h("p", { class: "detail" }, words.stripHelp),
      h("h3", {}, words.keyboard),
      table(words.keys, "keys"),
    );
  }

  show() {
    this.element.showModal();
  }
}
