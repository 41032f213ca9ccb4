// Pictures of a video: the stored thumbnail at once, a sharp still where the eye rests, and a film of
// thumbnails under the pointer.

import { address, clamp, h } from "./dom.js";

const REST = 250; // milliseconds in view before a sharp still is made: scrolling past costs nothing
const STEP = 220; // milliseconds a picture while the pointer rests
const CELL = 160; // pixels of one picture in a sprite (vmr/media/preview.py)

/** The picture of a second of a video; small until it has been in view for a moment, then sharp. */
export function picture(video, seconds) {
  const element = h("img", {
    alt: "",
    loading: "lazy",
    decoding: "async",
    src: address(`thumbnail/${video}/${Math.floor(seconds)}`),
    "data-sharp": address(`still/${video}/${seconds.toFixed(1)}`),
    onerror: () => sharpen(element), // the last second of a video may have no thumbnail
  });
  resting.observe(element);
  return element;
}

const timers = new WeakMap();
const resting = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(timers.get(target));
    if (isIntersecting) timers.set(target, setTimeout(sharpen, REST, target));
    else if (!target.isConnected) resting.unobserve(target);
  }
});

function sharpen(element) {
  resting.unobserve(element);
  if (!element.isConnected || element.src === element.dataset.sharp) return;
  const sharp = new Image();
  sharp.onload = () => (element.src = sharp.src);
  sharp.src = element.dataset.sharp;
}

/**
 * Let a card run through the seconds of its moment: by itself while the pointer rests on it, by hand
 * where the pointer moves across. The pictures come in one file.
 */
export function filmUnderPointer(card, frame, { video, start, end }) {
  const film = h("span", { class: "film", hidden: true });
  frame.append(film);
  let [inside, cells, cell, timer] = [false, 0, 0, null];
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const show = (next) => {
    cell = next % cells;
    film.hidden = false;
    film.style.backgroundPositionX = `${cells > 1 ? (100 * cell) / (cells - 1) : 0}%`;
    film.style.setProperty("--done", `${(100 * (cell + 1)) / cells}%`);
    clearTimeout(timer);
    if (!still.matches) timer = setTimeout(() => inside && show(cell + 1), STEP);
  };
  const load = () => {
    if (cells || film.dataset.asked) return;
    film.dataset.asked = "yes";
    const [first, last] = [Math.floor(start), Math.max(Math.floor(start), Math.ceil(end) - 1)];
    const sprite = new Image();
    sprite.onload = () => {
      cells = Math.round(sprite.naturalWidth / CELL);
      film.style.backgroundImage = `url("${sprite.src}")`;
      film.style.backgroundSize = `${100 * cells}% 100%`;
      if (inside && !still.matches) show(0);
    };
    sprite.src = address(`sprite/${video}?first=${first}&last=${last}`);
  };
  card.addEventListener("pointerenter", ({ pointerType }) => {
    if (pointerType !== "mouse") return;
    inside = true;
    load();
    if (cells && !still.matches) show(0);
  });
  card.addEventListener("pointermove", ({ pointerType, clientX }) => {
    if (pointerType !== "mouse" || !cells) return;
    const box = frame.getBoundingClientRect();
    show(clamp(Math.floor((cells * (clientX - box.left)) / box.width), 0, cells - 1));
  });
  card.addEventListener("pointerleave", () => {
    inside = false;
    clearTimeout(timer);
    film.hidden = true;
  });
}
