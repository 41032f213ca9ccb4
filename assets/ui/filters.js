// Which part of the library is searched: a folder, files from a time, files of a least length.

import { h, iconButton } from "./dom.js";
import { words } from "./words.js";

const DAY = 24 * 3600;

export class Filters {
  /** @param {() => void} changed  called when the visitor has chosen something else */
  constructor(changed) {
    this.changed = changed;
    this.videos = [];
    const field = (type, properties) =>
      h("input", { type, onchange: () => this.#chosen(), ...properties });
    this.folder = h("select", { onchange: () => this.#chosen() });
    this.from = field("date", {});
    this.to = field("date", {});
    this.minutes = field("number", { min: "0", step: "any", placeholder: "0" });
    const row = (text, ...inputs) => h("label", {}, h("span", {}, text), ...inputs);
    this.folderRow = row(words.folder, this.folder);
    this.panel = h(
      "div",
      { class: "filters", hidden: true },
      this.folderRow,
      row(words.from, this.from),
      row(words.to, this.to),
      row(words.longer, this.minutes),
      h("button", { type: "button", class: "link", onclick: () => this.clear() }, words.clear),
    );
    this.button = iconButton("filter", words.filters, () => this.#toggle(), {
      "aria-expanded": "false",
    });
  }

  /** The ids to look into, or null where nothing is filtered. */
  get among() {
    const { folder, from, to, minutes } = this;
    if (![folder, from, to, minutes].some(({ value }) => value)) return null;
    const day = (input, fallback) =>
      input.value ? new Date(`${input.value}T00:00`).getTime() / 1000 : fallback;
    const [first, last] = [day(from, -Infinity), day(to, Infinity) + DAY];
    return this.videos
      .filter(
        (video) =>
          (!folder.value || `${video.folder}/`.startsWith(`${folder.value}/`)) &&
          video.modified >= first &&
          video.modified < last &&
          video.duration >= 60 * Number(minutes.value),
      )
      .map(({ id }) => id);
  }

  /** The library has changed: other folders may be chosen. */
  update(videos) {
    this.videos = videos;
    const folders = [...new Set(videos.map(({ folder }) => folder).filter(Boolean))].sort();
    const above = commonFolder(folders).length;
    const before = this.folder.value;
    this.folder.replaceChildren(
      h("option", { value: "" }, words.anyFolder),
      ...folders.map((folder) =>
        h("option", { value: folder, title: folder }, folder.slice(above) || folder),
      ),
    );
    this.folder.value = folders.includes(before) ? before : "";
    this.folderRow.hidden = folders.length < 2;
  }

  clear() {
    for (const input of [this.folder, this.from, this.to, this.minutes]) input.value = "";
    this.#chosen();
  }

  #chosen() {
    this.button.setAttribute("aria-pressed", String(this.among !== null));
    this.changed();
  }

  #toggle() {
    this.panel.hidden = !this.panel.hidden;
    this.button.setAttribute("aria-expanded", String(!this.panel.hidden));
  }
}

/** The longest path that all of these begin with, up to a slash: the part that tells nothing. */
function commonFolder(folders) {
  let shared = folders[0] ?? "";
  for (const folder of folders)
    while (!`${folder}/`.startsWith(`${shared}/`)) shared = shared.slice(0, shared.lastIndexOf("/"));
  return shared && `${shared}/`;
}
