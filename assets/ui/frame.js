// What frames the page: the bar at the top, and the veil over everything while files are dragged.

import { h, icon, iconButton } from "./dom.js";
import { switchTheme } from "./theme.js";
import { words } from "./words.js";

/** The brand, which leads home, a place for the search box, and the tools. */
export function topBar(home, tools) {
  const brand = h(
    "a",
    {
      class: "brand",
      href: document.baseURI,
      onclick: (event) => {
        event.preventDefault();
        home();
      },
    },
    h("span", { class: "mark", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")),
    words.brand,
  );
  return h(
    "header",
    { class: "bar" },
    h("h1", {}, brand),
    h("div", { class: "slot" }),
    h("nav", { class: "nav" }, ...tools, iconButton("half", words.theme, switchTheme)),
  );
}

/** Says that files may be dropped anywhere; hidden until some are dragged over the page. */
export function dropVeil() {
  return h("div", { class: "veil", hidden: true }, h("div", {}, icon("upload"), words.dropNow));
}
