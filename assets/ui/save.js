// Downloads: what the server makes for them takes a while or fails, and both are said.

import { words } from "./words.js";

/** Follow a download link by ourselves; `tell` is called with what is going on. */
export async function save(link, tell) {
  if (link.ariaBusy === "true") return;
  link.ariaBusy = "true";
  let slow = false; // lists come at once, and need no words
  const patience = setTimeout(() => {
    slow = true;
    tell(words.making, { stay: true });
  }, 400);
  try {
    const reply = await fetch(link.href);
    if (!reply.ok) return tell((await reply.json()).detail);
    const name = nameOf(reply) || link.download;
    hand(await reply.blob(), name);
    if (slow) tell(words.saved(name));
  } catch {
    tell(words.unreachable);
  } finally {
    clearTimeout(patience);
    link.ariaBusy = null;
  }
}

/** Give a file to the browser as a download. */
function hand(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}

/**
 * The file name that the server gave, from a header such as `attachment; filename="film.mp4"` or
 * `attachment; filename*=utf-8''street%206.0-9.0.mp4`.
 */
function nameOf(reply) {
  const header = reply.headers.get("content-disposition") ?? "";
  const coded = /filename\*=utf-8''([^;]+)/i.exec(header)?.[1];
  return coded ? decodeURIComponent(coded) : /filename="([^"]+)"/.exec(header)?.[1];
}
