// The moment player: opens a video at the start of a moment, stops at its end or repeats it, and
// carries the timeline under the picture. Times are seconds of the original video throughout: `shift`
// is what to add to the clock of what is loaded. Of a preview, which holds only the moment, that is
// where it begins; of the file itself, whose clock may start late, what to take off.

import { address, clamp, clock, h, icon, iconButton } from "./dom.js";
import { Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";
import { Why } from "./why.js";
import { words } from "./words.js";

const SPEEDS = [0.25, 0.5, 1, 1.5, 2];
const LEAD_INS = [0, 1, 2, 5]; // seconds
const PREVIEW_SECONDS = 30; // of a file that browsers cannot play, when no moment is chosen

export class Player {
  /**
   * @param {{preview: (video, start, end) => Promise, step: (by) => void, choose: (moment) => void,
   *   edges: (moment) => void, made: (start, end) => void, inside: (video) => void, scope: () => id, close: () => void}} actions
   *   what the player asks of the page
   */
  constructor(actions) {
    this.actions = actions;
    this.video = null;
    this.moment = null;
    this.moments = [];
    this.shift = 0;
    this.previewed = false; // a preview is loaded, not the file itself
    this.from = 0; // where to begin in it
    this.armed = false; // stops (or repeats) at the end of the moment
    this.looping = false;
    this.wanted = true; // to play as soon as it can
    this.leadIn = 0;
    this.#build();
  }

  #build() {
    this.media = h("video", {
      playsinline: "",
      preload: "auto",
      "aria-label": words.player,
      onclick: () => this.toggle(),
      onplay: () => this.#playing(),
      onpause: () => this.#paused(),
      onseeked: () => this.#show(),
      onloadedmetadata: () => this.#loaded(),
      onerror: () => this.#failed(),
      onended: () => this.#ended(),
    });
    this.playButton = iconButton("play", words.play, () => this.toggle(), { class: "tool main" });
    this.loopButton = iconButton("loop", words.loop, () => this.setLoop(!this.looping), {
      "aria-pressed": "false",
    });
    this.soundButton = iconButton("sound", words.mute, () => this.mute());
    this.readout = h("div", { class: "readout" }); // no `output`: those are read aloud at each change
    this.title = h("h2", { class: "title" });
    this.facts = h("span", { class: "detail" });
    this.inside = h(
      "button",
      { type: "button", class: "link", onclick: () => this.actions.inside(this.video) },
      words.only,
    );
    this.notice = h("p", { class: "notice", hidden: true, role: "status" });
    this.extras = h("div", { class: "extras" });
    this.why = new Why();
    this.transcript = new Transcript(this.media, {
      seek: (seconds) => this.seek(seconds),
      made: (start, end) => this.actions.made(start, end),
    });
    this.timeline = new Timeline({
      viewed: (view) => this.why.show(view),
      seek: (seconds) => this.seek(seconds),
      choose: (index) => this.actions.choose(this.moments[index]),
      edges: (which) => this.#edgeMoved(which),
      picture: (seconds) => address(`thumbnail/${this.video.id}/${this.#row(seconds)}`),
    });
    const screen = h(
      "div",
      { class: "screen" },
      this.media,
      this.notice,
      h(
        "button",
        {
          type: "button",
          class: "big-play",
          tabindex: "-1",
          "aria-hidden": "true",
          onclick: () => this.toggle(),
        },
        icon("play"),
      ),
    );
    this.element = h(
      "section",
      {
        class: "player",
        "aria-label": words.player,
        hidden: true,
        // A button pressed with the pointer lets go of the keyboard: space goes on to play and pause.
        onclick: ({ detail, target }) => detail && target.closest("button")?.blur(),
      },
      h(
        "div",
        { class: "player-head" },
        h("div", { class: "player-title" }, this.title, this.facts),
        this.inside,
        iconButton("close", words.close, () => this.actions.close()),
      ),
      screen,
      this.timeline.element,
      this.#controls(),
      this.transcript.element,
      this.why.element,
    );
  }

  #controls() {
    const choice = (name, options, text, chosen, change) => {
      const select = h(
        "select",
        { "aria-label": name, title: name, onchange: () => change(Number(select.value)) },
        options.map((option) =>
          h("option", { value: option, selected: option === chosen }, text(option)),
        ),
      );
      return select;
    };
    return h(
      "div",
      { class: "controls" },
      h(
        "div",
        { class: "group" },
        iconButton("previous", words.previous, () => this.actions.step(-1)),
        this.playButton,
        iconButton("next", words.next, () => this.actions.step(1)),
      ),
      this.readout,
      h(
        "div",
        { class: "group" },
        this.loopButton,
        iconButton("back", words.frameBack, () => this.frame(-1)),
        iconButton("forward", words.frameForward, () => this.frame(1)),
        choice(
          words.speed,
          SPEEDS,
          (speed) => `${speed}×`,
          1,
          // The default, too: loading another video goes back to that.
          (speed) => (this.media.playbackRate = this.media.defaultPlaybackRate = speed),
        ),
        choice(words.leadIn, LEAD_INS, words.leadInOption, 0, (seconds) => (this.leadIn = seconds)),
        this.soundButton,
        this.transcript.button,
        iconButton("full", words.full, () => this.full()),
      ),
      this.extras,
      this.timeline.zoomTools,
    );
  }

  get time() {
    return this.media.currentTime + this.shift;
  }

  get frameSeconds() {
    return 1 / (this.video.fps || 25);
  }

  /** Where playing the moment begins: its start, less the lead-in. */
  get entry() {
    return this.moment ? Math.max(0, this.moment.start - this.leadIn) : 0;
  }

  /** Show `moment` of `video` (null: the whole video) and, unless told otherwise, play it. */
  async open(video, moment, moments, { play = true } = {}) {
    const same = this.video?.id === video.id && this.media.readyState > 0 && !this.previewed;
    Object.assign(this, { video, moment, moments, armed: Boolean(moment), wanted: play });
    this.element.hidden = false;
    this.notice.hidden = true;
    this.title.textContent = video.name;
    this.facts.textContent = words.facts(video);
    this.inside.hidden = this.actions.scope() === video.id;
    if (same) ((this.timeline.moments = moments), this.timeline.choose(moment));
    else this.timeline.open(video, moments, moment);
    this.loopButton.disabled = !moment;
    if (same) return this.#enter();
    this.media.removeAttribute("src");
    if (video.playable) this.#load(address(`media/${video.id}`), -video.origin);
    else await this.#preview();
  }

  #load(source, shift) {
    this.shift = shift;
    this.previewed = source.includes("/preview/");
    const at = this.moment ? this.moment.best : this.video.duration / 2;
    this.media.poster = address(`still/${this.video.id}/${at.toFixed(1)}`);
    this.media.src = source;
    this.media.load();
  }

  #loaded() {
    this.transcript.shift = this.shift;
    this.#enter(this.previewed ? this.from : this.entry);
  }

  #enter(at = this.entry) {
    this.seek(at, { keep: at === this.entry });
    // A browser may refuse to start with sound before the first click; the play button stays.
    if (this.wanted) this.media.play().catch(() => this.#paused());
  }

  /** For files that browsers cannot play: a small copy of the moment, or of half a minute. */
  async #preview(from = this.entry) {
    this.notice.hidden = false;
    this.notice.textContent = words.preparing;
    const { video, moment } = this;
    const inside = moment && from >= this.entry && from < moment.end;
    const end = Math.min(inside ? moment.end : from + PREVIEW_SECONDS, video.duration);
    const preview = await this.actions.preview(video, Math.min(from, end - 0.5), end);
    if (this.video !== video || this.moment !== moment) return; // another was chosen meanwhile
    this.notice.textContent = preview?.error ?? words.unreachable;
    this.notice.hidden = Boolean(preview?.url);
    this.from = from;
    if (preview?.url) this.#load(address(preview.url), preview.start);
  }

  #failed() {
    if (!this.video || !this.media.getAttribute("src")) return;
    if (this.video.playable) {
      this.video.playable = false; // what the server believed; the browser knows better
      this.#preview();
    } else {
      this.notice.hidden = false;
      this.notice.textContent = words.noPlay;
    }
  }

  seek(seconds, { keep = false } = {}) {
    const time = clamp(seconds, 0, this.video.duration);
    // Leaving the moment by hand lets the video run on; coming back in arms its end again.
    if (!keep) this.armed = Boolean(this.moment) && time >= this.entry && time < this.moment.end;
    if (this.previewed && !this.#holds(time)) {
      this.wanted = !this.media.paused;
      this.#preview(time);
      return;
    }
    this.media.currentTime = time - this.shift;
    this.#show();
  }

  /** Whether the preview that is loaded holds this second of the video. */
  #holds(seconds) {
    return seconds >= this.shift - 0.05 && seconds <= this.shift + this.media.duration + 0.05;
  }

  toggle() {
    if (!this.media.paused) return this.media.pause();
    if (this.armed && this.time >= this.moment.end - Math.max(0.06, this.frameSeconds))
      this.seek(this.entry);
    this.media.play().catch(() => this.#paused());
  }

  setLoop(on) {
    this.looping = on;
    this.loopButton.setAttribute("aria-pressed", String(on));
    if (on && this.moment) {
      this.armed = true;
      if (this.time >= this.moment.end || this.time < this.entry) this.seek(this.entry);
      if (this.media.paused) this.media.play().catch(() => this.#paused());
    }
  }

  mute() {
    this.media.muted = !this.media.muted;
    this.soundButton.replaceChildren(icon(this.media.muted ? "muted" : "sound"));
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.media.parentElement.requestFullscreen?.();
  }

  frame(by) {
    this.media.pause();
    // To the middle of the frame: at its very edge, rounding could show the one before.
    const shown = Math.floor(this.time / this.frameSeconds + 0.01);
    this.seek(Math.max(0, (shown + by + 0.5) * this.frameSeconds));
  }

  stop() {
    this.media.pause();
    this.media.removeAttribute("src");
    this.media.load();
    this.video = this.moment = null;
    this.element.hidden = true;
  }

  #playing() {
    this.element.classList.add("playing");
    this.playButton.replaceChildren(icon("pause"));
    this.playButton.setAttribute("aria-label", words.pause);
    const watch = () => {
      if (this.media.paused || !this.video) return;
      this.#show();
      // Looked at once a screen refresh: the `timeupdate` event comes only four times a second.
      if (this.armed && this.time >= this.moment.end - 0.03) this.#atEnd();
      requestAnimationFrame(watch);
    };
    requestAnimationFrame(watch);
  }

  #atEnd() {
    if (this.looping) return this.seek(this.entry);
    this.media.pause();
    // A busy computer may notice late: the last picture of the moment is what stays on the screen.
    if (this.time > this.moment.end)
      this.media.currentTime = this.moment.end - this.frameSeconds / 2 - this.shift;
  }

  #paused() {
    this.element.classList.remove("playing");
    this.playButton.replaceChildren(icon("play"));
    this.playButton.setAttribute("aria-label", words.play);
    if (this.video) this.#show();
  }

  /** A moment that lasts to the very end of the file ends before the frame loop can see it. */
  #ended() {
    if (this.looping && this.moment) (this.seek(this.entry), this.media.play());
    else if (this.previewed && !this.moment && this.time < this.video.duration - 1) {
      this.wanted = true;
      this.#preview(this.time);
    }
  }

  #show() {
    if (!this.video) return;
    const span = this.moment ? words.span(this.moment) : clock(this.video.duration);
    this.readout.replaceChildren(h("strong", {}, clock(this.time, true)), h("span", {}, span));
    this.timeline.setTime(this.time);
    this.transcript.follow(this.time);
  }

  #edgeMoved(which) {
    this.armed = true;
    this.media.pause();
    // The picture follows the edge under the hand, so that it can be set by eye. The frame at the
    // end is no longer part of the moment: the one before it is shown.
    const seconds = which === "start" ? this.moment.start : this.moment.end - this.frameSeconds;
    this.media.currentTime = seconds - this.shift;
    this.#show();
    this.actions.edges(this.moment);
  }

  #row(seconds) {
    const [begins, ends] = this.timeline.rows;
    const last = Math.max(0, (this.video.rows || 1) - 1);
    return clamp(Math.floor(((seconds - begins) / (ends - begins)) * (last + 1)), 0, last);
  }
}
