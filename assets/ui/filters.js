// Which part of the library is searched: a folder, a time, a camera, a place, a least length.

import { h, iconButton } from "./dom.js";
import { words } from "./words.js";

const DAY = 24 * 3600;

export class Filters {
  /** @param {() => void} changed  called when the visitor has chosen something else */
  constructor(changed) {
    this.changed = changed;
    const field = (type, properties) =>
      h("input", { type, onchange: () => this.#chosen(), ...properties });
    this.folder = h("select", { onchange: () => this.#chosen() });
    this.from = field("date", {});
    this.to = field("date", {});
    this.minutes = field("number", { min: "0", step: "any", placeholder: "0" });
    this.byFile = field("checkbox", {});
    this.camera = field("text", { list: "cameras", autocomplete: "off" });
    this.cameras = h("datalist", { id: "cameras" });
    this.near = field("text", { placeholder: words.nearPlaceholder, autocomplete: "off" });
    const row = (text, ...inputs) => h("label", {}, h("span", {}, text), ...inputs);
    this.folderRow = row(words.folder, this.folder);
    this.panel = h(
      "div",
      { class: "filters", hidden: true },
      this.folderRow,
      row(words.from, this.from),
      row(words.to, this.to),
      (this.byFileRow = row(words.byFile, this.byFile)),
      (this.cameraRow = row(words.camera, this.camera, this.cameras)),
      (this.nearRow = row(words.near_, this.near)),
      row(words.longer, this.minutes),
      h("button", { type: "button", class: "link", onclick: () => this.clear() }, words.clear),
    );
    this.button = iconButton("filter", words.filters, () => this.#toggle(), {
      "aria-expanded": "false",
    });
  }

  /** What the server is asked to look into, or null where nothing is filtered. */
  get scope() {
    const { folder, from, to, minutes, camera, near } = this;
    if (![folder, from, to, minutes, camera, near].some(({ value }) => value)) return null;
    const scope = {
      folder: folder.value || null,
      camera: camera.value,
      near: near.value || null,
      min_length: 60 * Number(minutes.value),
    };
    // Days of files are those of this browser's clock, days of recordings those of the place.
    if (this.byFile.checked) {
      if (from.value) scope.since = new Date(`${from.value}T00:00`).getTime() / 1000;
      if (to.value) scope.until = new Date(`${to.value}T00:00`).getTime() / 1000 + DAY;
    } else {
      if (from.value) scope.recorded_since = from.value;
      if (to.value) scope.recorded_through = to.value;
    }
    return scope;
  }

  /** The library has changed: other folders and cameras may be chosen. */
  update(videos) {
    const told = (key) => videos.some((video) => video[key]);
    this.byFileRow.hidden = !told("recorded");
    if (this.byFileRow.hidden) this.byFile.checked = true; // no video says when
    this.nearRow.hidden = !told("place");
    const cameras = [...new Set(videos.map(({ camera }) => camera).filter(Boolean))].sort();
    this.cameraRow.hidden = !cameras.length;
    this.cameras.replaceChildren(...cameras.map((value) => h("option", { value })));
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
    const { folder, from, to, minutes, camera, near } = this;
    for (const input of [folder, from, to, minutes, camera, near]) input.value = "";
    this.#chosen();
  }

  #chosen() {
    this.button.setAttribute("aria-pressed", String(this.scope !== null));
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
