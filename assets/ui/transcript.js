// What is said and written in the video that plays: lines that follow along, to go to, to find in and
// to make moments of, and captions on the picture.

import { clock, h, icon, iconButton } from "./dom.js";
import { words } from "./words.js";

export class Transcript {
  /**
   * @param {HTMLVideoElement} media
   * @param {{seek: (seconds) => void, made: (start, end) => void}} actions
   */
  constructor(media, actions) {
    this.media = media;
    this.actions = actions;
    this.video = null; // id of the one that is shown
    this.lines = []; // [{start, end, text, element}] of the track that is shown
    this.current = -1;
    this.captions = false;
    this.clockShift = 0;
    this.button = iconButton("captions", words.captions, () => this.setCaptions(!this.captions), {
      "aria-pressed": "false",
      hidden: true,
    });
    this.#build();
  }

  #build() {
    this.tabs = h("div", { class: "switch", role: "group", "aria-label": words.transcript });
    this.from = h("span", { class: "detail" });
    this.field = h("input", {
      type: "search",
      "aria-label": words.findInTranscript,
      placeholder: words.findInTranscript,
      oninput: () => this.#find(),
      onkeydown: (event) => event.key === "Enter" && (event.preventDefault(), this.#nextFound()),
    });
    this.count = h("span", { class: "detail", role: "status" });
    this.next = iconButton("forward", words.nextFound, () => this.#nextFound(), { hidden: true });
    this.make = h(
      "button",
      {
        type: "button",
        class: "button",
        title: words.makeMomentHint,
        // The selection must outlive the press that uses it.
        onpointerdown: (event) => event.preventDefault(),
        onclick: () => this.#make(),
      },
      icon("plus"),
      words.makeMoment,
    );
    this.list = h("ol", { class: "lines", tabindex: "0", "aria-label": words.transcript });
    this.element = h(
      "details",
      { class: "transcript", open: true, hidden: true },
      h("summary", {}, words.transcript),
      h("div", { class: "transcript-tools" }, this.tabs, this.field, this.next, this.count, this.make),
      this.list,
      this.from,
    );
  }

  /** Show the tracks of a video; none hides it all. */
  open(video, tracks) {
    this.video = video;
    this.tracks = tracks;
    this.element.hidden = !tracks.length;
    this.button.hidden = !tracks.length;
    this.field.value = "";
    if (tracks.length) this.#show(tracks[0]);
    else this.lines = [];
    this.#caption();
  }

  #show(track) {
    this.tabs.hidden = this.tracks.length < 2;
    this.tabs.replaceChildren(
      ...this.tracks.map((other) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(other === track),
            onclick: () => this.#show(other),
          },
          words.tracks[other.sense],
        ),
      ),
    );
    this.from.textContent = words.trackFrom(track.origin, track.language);
    this.list.lang = track.language ?? "";
    this.current = -1;
    this.lines = track.lines.map(({ start, end, text }) => ({ start, end, text, element: line() }));
    const go = (start) => () => String(getSelection()) || this.actions.seek(start);
    for (const { start, end, text, element } of this.lines) {
      element.dataset.start = start;
      element.dataset.end = end;
      const time = h(
        "button",
        {
          type: "button",
          class: "time",
          "aria-label": words.playFrom(start),
          onclick: () => this.actions.seek(start),
        },
        clock(start),
      );
      element.append(time, h("p", { onclick: go(start) }, text));
    }
    this.list.replaceChildren(...this.lines.map(({ element }) => element));
    this.#find();
  }

  /** The video is at this second now. */
  follow(seconds) {
    let at = this.lines.findLastIndex(({ start }) => start <= seconds);
    if (at >= 0 && seconds >= this.lines[at].end + 2) at = -1; // silence
    if (at === this.current) return;
    this.lines[this.current]?.element.removeAttribute("aria-current");
    this.current = at;
    const element = this.lines[at]?.element;
    element?.setAttribute("aria-current", "true");
    // Not under the hand of somebody who reads elsewhere.
    if (element && !this.list.matches(":hover, :focus-within") && !this.field.value)
      this.#bring(element);
  }

  #bring(element) {
    // The list alone moves, never the page.
    const middle = element.offsetTop - (this.list.clientHeight - element.clientHeight) / 2; // of the list
    this.list.scrollTo({ top: middle, behavior: "smooth" });
  }

  #find() {
    const wanted = folded(this.field.value.trim());
    let number = 0;
    for (const { text, element } of this.lines) {
      const places = wanted ? placesOf(text, wanted) : [];
      element.classList.toggle("found", places.length > 0);
      if (places.length) number++;
      if (places.length || element.querySelector("mark")) mark(element.lastChild, text, places);
    }
    this.count.textContent = wanted ? words.foundLines(number) : "";
    this.next.hidden = !number;
    this.shown = -1;
    if (number) this.#nextFound();
  }

  #nextFound() {
    const found = this.lines.filter(({ element }) => element.classList.contains("found"));
    if (!found.length) return;
    this.shown = (this.shown + 1) % found.length;
    this.#bring(found[this.shown].element);
  }

  /** A moment of the lines that are selected, or of the one that plays. */
  #make() {
    const selection = getSelection();
    const inside = !selection.isCollapsed && this.list.contains(selection.anchorNode);
    const chosen = inside
      ? this.lines.filter(({ element }) => selection.containsNode(element, true))
      : this.lines.slice(Math.max(0, this.current), Math.max(0, this.current) + 1);
    if (!chosen.length) return;
    selection.removeAllRanges();
    this.actions.made(chosen[0].start, Math.max(...chosen.map(({ end }) => end)));
  }

  /** What to add to the clock of what is loaded, to have seconds of the video. */
  set shift(seconds) {
    this.clockShift = seconds;
    this.#caption();
  }

  setCaptions(on) {
    if (this.button.hidden) return;
    this.captions = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.#caption();
  }

  #caption() {
    const track = this.tracks?.find(({ sense }) => sense === "said") ?? this.tracks?.[0];
    if (!track && !this.text) return;
    this.text ??= this.media.addTextTrack("captions", words.captions);
    this.text.mode = "hidden"; // a track that is off has no list of cues
    for (const cue of [...(this.text.cues ?? [])]) this.text.removeCue(cue);
    if (this.captions)
      for (const { start, end, text } of track?.lines ?? []) {
        const [begins, ends] = [start - this.clockShift, end - this.clockShift];
        // Text, never markup: cues read tags.
        const plain = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
        if (ends > 0) this.text.addCue(new VTTCue(Math.max(0, begins), ends, plain));
      }
    this.text.mode = this.captions ? "showing" : "disabled";
  }
}

const line = () => h("li", {});

/** Without case and accents, a letter for a letter. */
function folded(text) {
  return Array.from(text, (sign) => {
    const plain = sign.normalize("NFD")[0].toLowerCase();
    return plain.length === sign.length ? plain : sign;
  }).join("");
}

function placesOf(text, wanted) {
  const plain = folded(text);
  const places = [];
  for (let at = plain.indexOf(wanted); at >= 0; at = plain.indexOf(wanted, at + wanted.length))
    places.push([at, at + wanted.length]);
  return places;
}

function mark(element, text, places) {
  let at = 0;
  const pieces = places.flatMap(([start, end]) => {
    const piece = [text.slice(at, start), h("mark", {}, text.slice(start, end))];
    at = end;
    return piece;
  });
  element.replaceChildren(...pieces, text.slice(at));
}
