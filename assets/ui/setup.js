// How the library is searched, and what its videos are looked through for: which encoder answers,
// another one in its place, and the search for words, with how far each has come.

import { h } from "./dom.js";
import { words } from "./words.js";

const OFTEN = 1500; // milliseconds between looks while something is on its way

export class Setup {
  /**
   * @param {object} server  the server's functions: setup, set_up
   * @param {(text: string) => void} tell
   */
  constructor(server, tell) {
    this.server = server;
    this.tell = tell;
    this.taking = "";
    this.#build();
  }

  #build() {
    this.said = h("summary", {});
    this.name = h("input", {
      type: "text",
      name: "encoder",
      list: "encoders",
      "aria-label": words.encoderName,
      placeholder: words.encoderPlaceholder,
      autocomplete: "off",
      spellcheck: "false",
    });
    this.offered = h("datalist", { id: "encoders" });
    this.taker = h(
      "form",
      { class: "path", onsubmit: (event) => this.#take(event) },
      this.name,
      this.offered,
      h("button", { class: "button" }, words.takeEncoder),
    );
    this.bar = h("progress", { max: "1", value: "0", "aria-label": words.encoderProgress });
    this.coming = h("span", { class: "detail" });
    this.stopper = h(
      "button",
      { type: "button", class: "link", onclick: () => this.#set({ stop: true }) },
      words.cancel,
    );
    this.change = h("div", { class: "change", hidden: true }, this.coming, this.bar, this.stopper);
    this.note = h("p", { class: "detail wrong", role: "status" });
    this.text = h("input", {
      type: "checkbox",
      name: "text",
      onchange: () => this.#set({ text: this.text.checked }),
    });
    this.finding = h("p", { class: "detail finding" });
    this.findingNote = h("p", { class: "detail wrong" });
    this.changes = h(
      "div",
      {},
      this.taker,
      h("p", { class: "detail" }, words.encoderHint),
      h("label", { class: "tick" }, this.text, h("span", {}, words.readText)),
    );
    this.element = h(
      "details",
      { class: "setup" },
      this.said,
      this.change,
      this.note,
      this.changes,
      this.finding,
      this.findingNote,
    );
  }

  /** Look how things stand; again soon while something is on its way. */
  async refresh() {
    clearTimeout(this.timer);
    const state = await this.server.setup({});
    if (state?.encoder) this.#show(state);
  }

  #show({ encoder, finding, may_change: may }) {
    const { name, calibrated, offered, taking, fraction, note } = encoder;
    this.said.textContent = [
      words.searchedWith(name === "default" ? words.ownEncoder : name),
      calibrated ? "" : words.uncalibratedShort,
      taking ? words.readWith(taking, fraction) : "",
    ]
      .filter(Boolean)
      .join(", ");
    this.change.hidden = !taking;
    this.stopper.hidden = !may;
    this.coming.textContent = taking ? words.readWith(taking, fraction) : "";
    this.bar.value = fraction;
    this.note.textContent = note ? words.sentence(note) : "";
    this.changes.hidden = !may;
    this.taker.hidden = Boolean(taking);
    if (this.offered.childElementCount !== offered.length)
      this.offered.replaceChildren(...offered.map((value) => h("option", { value })));
    if (document.activeElement !== this.text) this.text.checked = finding.text;
    this.finding.textContent = words.finding(finding);
    this.findingNote.textContent = finding.note ? words.sentence(finding.note) : "";
    if (this.taking && !taking && !note) this.tell(`${words.searchedWith(name)}.`);
    this.taking = taking;
    if (taking || finding.left) this.timer = setTimeout(() => this.refresh(), OFTEN);
  }

  #take(event) {
    event.preventDefault();
    if (this.name.value.trim()) this.#set({ encoder: this.name.value });
    this.name.value = "";
  }

  async #set(asked) {
    const state = await this.server.set_up(asked);
    if (!state?.encoder) this.tell(state?.error ? words.sentence(state.error) : words.unreachable);
    await this.refresh();
  }
}
