// The search box: words, or a moment or picture to search by, and where to search.

import { address, h, icon, iconButton } from "./dom.js";
import { words } from "./words.js";

const PICTURE_SIDE = 512; // pixels: a picture is looked at small, so it is sent small

export class SearchBox {
  /**
   * @param {{ask: (query) => void, picture: (picture) => void, everywhere: () => void,
   *   forget: () => void, tell: (text) => void}} actions
   * @param {Element} filterButton  shown in the box
   */
  constructor(actions, filterButton) {
    this.actions = actions;
    this.box = h("input", {
      type: "search",
      name: "q",
      id: "ask",
      placeholder: words.askPlaceholder,
      "aria-label": words.ask,
      autocomplete: "off",
      enterkeyhint: "search",
    });
    const chip = (kind, title, onclick) =>
      h("button", { type: "button", class: `chip ${kind}`, hidden: true, title, onclick });
    this.scope = chip("scope", words.everywhere, () => actions.everywhere());
    this.example = chip("example", words.forget, () => actions.forget());
    this.picker = h("input", {
      type: "file",
      accept: "image/*",
      class: "unseen",
      tabindex: "-1",
      "aria-hidden": "true",
      onchange: () => this.take(this.picker.files[0]),
    });
    this.element = h(
      "form",
      { class: "ask", role: "search", onsubmit: (event) => this.#submit(event) },
      icon("search"),
      this.scope,
      this.example,
      this.box,
      this.picker,
      iconButton("picture", words.askPicture, () => this.picker.click()),
      filterButton,
      h("button", { class: "button primary" }, words.search),
    );
  }

  #submit(event) {
    event.preventDefault();
    this.box.blur(); // the keys belong to the player now, and a phone's keyboard goes away
    this.actions.ask(this.box.value.trim());
  }

  focus() {
    this.box.select();
  }

  /** Show a question: its words, or the moment or picture that it is. */
  show({ query = "", like, picture, image }) {
    this.box.value = query;
    this.example.hidden = !like && !picture;
    if (this.example.hidden) return;
    const source = image ?? address(`thumbnail/${like.video}/${Math.floor(like.best)}`);
    this.example.replaceChildren(
      h("img", { alt: "", src: source }),
      like ? words.likeMoment(like) : words.likePicture,
      icon("close"),
    );
  }

  /** Show that only one video is searched; nothing for the whole library. */
  showScope(name) {
    this.scope.hidden = !name;
    this.scope.replaceChildren(words.inside(name), icon("close"));
  }

  /** Search by a picture file that was dropped, pasted or chosen. */
  async take(file) {
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return this.actions.tell(words.noPicture(file.name));
    const scale = Math.min(1, PICTURE_SIDE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, side * scale));
    const canvas = h("canvas", { width, height });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const image = canvas.toDataURL("image/jpeg", 0.92);
    this.actions.picture({ picture: image.split(",")[1], image });
  }
}
