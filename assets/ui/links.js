// The address of the page says what is shown: query, video and moment. Copied, it opens the same.

import { key } from "./cards.js";

/** Write what is shown into the address; a picture is too large for one. */
export function remember({ question, moment, scope }, { replace = false } = {}) {
  const parts = {
    q: question.query,
    like: question.like && key(question.like),
    m: moment && key(moment),
    video: scope,
  };
  const told = new URLSearchParams(Object.entries(parts).filter(([, value]) => value));
  const written = told.size ? `?${told}` : location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", written);
}

/** "3:12:19.5" as a moment of video 3; nothing where that is no span of a video we have. */
export function spanOf(name, library) {
  const [video, start, end] = (name ?? "").split(":").map(Number);
  const known = library.video(video);
  if (!known || !(start >= 0 && start < end)) return null;
  const best = (start + end) / 2;
  return { video, name: known.name, start, end, best, strength: 0, verdict: "possible" };
}
