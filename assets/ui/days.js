// When a video was recorded, by the clocks of the place; where its file does not say, by the date
// of the file, which is named as such.

import { h } from "./dom.js";
import { words } from "./words.js";

/** The day as 2023-05-14, the time as 12:34, and whether the video itself says so. */
export function recordedAt({ recorded, offset, modified }) {
  const told = recorded !== null;
  const seconds = told ? recorded : modified;
  // Without a zone, the clock of this computer is the best guess; with one, UTC is shifted by it.
  const zone = told && offset !== null ? offset : -new Date(1000 * seconds).getTimezoneOffset();
  const text = new Date(1000 * (seconds + 60 * zone)).toISOString();
  return { day: text.slice(0, 10), time: text.slice(11, 16), seconds, told };
}

/** A day in words: "Sunday, 14 May 2023". */
export function dayInWords(day) {
  const form = { dateStyle: "full", timeZone: "UTC" };
  return new Intl.DateTimeFormat("en-GB", form).format(new Date(`${day}T00:00Z`));
}

/** The videos in an order: those added first, the newest recordings first, or day by day. */
export function arranged(videos, order) {
  if (order === "added") return videos;
  const times = new Map(videos.map((video) => [video, recordedAt(video)]));
  return [...videos].sort((a, b) => {
    const [one, other] = [times.get(a), times.get(b)];
    if (order === "recorded" || one.day === other.day)
      return other.told - one.told || other.seconds - one.seconds;
    return one.day < other.day ? 1 : -1;
  });
}

/** All that is known of a video, in one line. */
export function facts(video) {
  const { place, camera } = video;
  const said = [words.facts(video), words.recorded(recordedAt(video)), camera];
  return [...said, place && words.at(place)].filter(Boolean).join(", ");
}

/** Where the order of the library is chosen. */
export const orderBox = (changed) =>
  h(
    "select",
    { class: "order", "aria-label": words.order, hidden: true, onchange: changed },
    ...Object.entries(words.orders).map(([value, text]) => h("option", { value }, text)),
  );
