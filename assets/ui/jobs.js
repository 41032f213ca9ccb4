// The lines of files on their way into the library, and the buttons in words beside them.

import { h } from "./dom.js";
import { words } from "./words.js";

/** A button in words; its name keeps the keyboard when the list is drawn anew. */
export function tool(name, label, onclick) {
  return h("button", { type: "button", class: "link", "data-tool": name, onclick }, label);
}

/** Whether a file still has to be read, or is being read. */
export const open = ({ state }) => state === "new" || state === "indexing";

/** One file on its way in, as a line with its progress or what went wrong. */
export function job({ name, state, fraction, seconds_left: left, reason: why, paused }, tools) {
  const bar = h("progress", { max: "1", value: fraction ?? 0, "aria-label": name });
  const said =
    why ||
    (paused
      ? words.state.paused
      : [words.state[state] ?? state, left && state === "indexing" ? words.left(left) : ""]
          .filter(Boolean)
          .join(", "));
  const failed = !["new", "indexing", "uploading"].includes(state);
  return h(
    "li",
    { class: failed ? "job failed" : "job" },
    h("span", { class: "name", title: name }, name),
    failed ? null : bar,
    h("span", { class: "detail" }, said),
    ...tools,
  );
}
