// The whole video as one strip: match strength as a curve, shot cuts, the moments found, and where
// the player is. Click to go there, drag the edges of the chosen moment, zoom with the wheel.

import { clamp, clock, h, iconButton } from "./dom.js";
import { words } from "./words.js";

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const SHORTEST_VIEW = 4; // seconds: below this, one second rows have nothing more to show

export class Timeline {
  /**
   * @param {{seek: (seconds) => void, choose: (index) => void, edges: (which) => void,
   *   picture: (seconds) => string, viewed: (view) => void}} actions  asked of the owner
   */
  constructor(actions) {
    this.actions = actions;
    this.video = { duration: 1 };
    this.strength = [];
    this.cuts = [];
    this.moments = [];
    this.chosen = null;
    this.time = 0;
    this.view = [0, 1];
    this.rows = [0, 1];
    this.#build();
    new ResizeObserver(() => this.draw()).observe(this.strip);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("theme", () => this.draw());
  }

  #build() {
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.bands = h("div", { class: "bands" });
    this.head = h("div", { class: "playhead" });
    this.edges = ["start", "end"].map((which) => this.#edge(which));
    this.picture = h("img", { alt: "", width: "160", height: "90" });
    this.peekTime = h("span");
    this.peek = h("div", { class: "peek", hidden: true }, this.picture, this.peekTime);
    this.strip = h(
      "div",
      {
        class: "strip",
        onpointerdown: (event) => this.#press(event),
        onpointermove: (event) => this.#hover(event),
        onpointerleave: () => (this.peek.hidden = true),
        onwheel: (event) => this.#wheel(event),
      },
      this.canvas,
      this.bands,
      ...this.edges,
      this.head,
      this.peek,
    );
    // The strip is for the pointer; this slider is the same for the keyboard and screen readers.
    this.slider = h("input", {
      type: "range",
      class: "unseen",
      min: "0",
      step: "0.1",
      "aria-label": words.timeline,
      oninput: () => this.actions.seek(Number(this.slider.value)),
    });
    this.ruler = h("div", { class: "ruler", "aria-hidden": "true" });
    this.zoomTools = h(
      "div",
      { class: "zoom group" },
      iconButton("minus", words.zoomOut, () => this.zoom(2)),
      iconButton("plus", words.zoomIn, () => this.zoom(0.5)),
      iconButton("fit", words.fit, () => this.#show(0, this.video.duration)),
    );
    this.element = h("div", { class: "timeline" }, this.slider, this.strip, this.ruler);
  }

  #edge(which) {
    const edge = h("div", {
      class: `edge ${which}`,
      role: "slider",
      tabindex: "0",
      "aria-label": words.edge[which],
      hidden: true,
      onpointerdown: (event) => this.#drag(event, which),
      onkeydown: (event) => {
        const step = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        this.#moveEdge(which, this.chosen[which] + step * (event.shiftKey ? 10 : 1));
      },
    });
    return edge;
  }

  /** Show another video; the curve and cuts may come later, through `mark`. */
  open(video, moments, chosen) {
    this.video = video;
    this.mark({ strength: [], cuts: [], begins: 0, ends: video.duration });
    this.moments = moments;
    this.slider.max = video.duration;
    this.choose(chosen);
    this.#show(0, video.duration);
  }

  /** Rows of strength that lie evenly between two times: pictures may begin later than sound. */
  mark({ strength, cuts, begins, ends }) {
    Object.assign(this, { strength, cuts, rows: [begins, ends] });
    this.draw();
  }

  choose(moment) {
    this.chosen = moment;
    if (moment && (moment.end < this.view[0] || moment.start > this.view[1]))
      this.#show(0, this.video.duration);
    this.draw();
  }

  setTime(seconds) {
    this.time = seconds;
    this.head.style.left = `${this.#x(seconds)}%`;
    this.head.hidden = seconds < this.view[0] || seconds > this.view[1];
    this.slider.value = seconds;
    this.slider.setAttribute("aria-valuetext", clock(seconds));
  }

  /** Show a longer or shorter part; `around` stays where it is, or without it, the moment comes
   *  to the middle. */
  zoom(factor, around = null) {
    const [from, to] = this.view;
    const middle = this.chosen ? (this.chosen.start + this.chosen.end) / 2 : this.time;
    const length = clamp(
      (to - from) * factor,
      Math.min(SHORTEST_VIEW, this.video.duration),
      this.video.duration,
    );
    const wanted =
      around === null ? middle - length / 2 : around - ((around - from) / (to - from)) * length;
    const start = clamp(wanted, 0, this.video.duration - length);
    this.#show(start, start + length);
  }

  #show(from, to) {
    this.view = [from, Math.max(to, from + 0.1)];
    this.actions.viewed(this.view);
    this.draw();
    this.setTime(this.time);
  }

  #x(seconds) {
    return (100 * (seconds - this.view[0])) / (this.view[1] - this.view[0]);
  }

  #seconds(event) {
    const box = this.strip.getBoundingClientRect();
    const share = clamp((event.clientX - box.left) / box.width, 0, 1);
    return this.view[0] + share * (this.view[1] - this.view[0]);
  }

  #press(event) {
    if (event.button !== 0 || event.target.closest(".edge")) return;
    const seconds = this.#seconds(event);
    const index = this.moments.findIndex(({ start, end }) => start <= seconds && seconds < end);
    if (index >= 0 && this.moments[index] !== this.chosen) this.actions.choose(index);
    this.actions.seek(seconds);
    this.strip.setPointerCapture(event.pointerId);
    const move = (next) => this.actions.seek(this.#seconds(next));
    this.strip.addEventListener("pointermove", move);
    this.strip.addEventListener(
      "pointerup",
      () => this.strip.removeEventListener("pointermove", move),
      { once: true },
    );
  }

  #drag(event, which) {
    event.preventDefault();
    event.stopPropagation();
    const edge = event.currentTarget;
    edge.setPointerCapture(event.pointerId);
    const move = (next) => this.#moveEdge(which, this.#seconds(next));
    edge.addEventListener("pointermove", move);
    edge.addEventListener("pointerup", () => edge.removeEventListener("pointermove", move), {
      once: true,
    });
  }

  #moveEdge(which, seconds) {
    const { start, end } = this.chosen;
    const shortest = 0.2;
    const moved =
      which === "start"
        ? [clamp(seconds, 0, end - shortest), end]
        : [start, clamp(seconds, start + shortest, this.video.duration)];
    [this.chosen.start, this.chosen.end] = moved.map((second) => Math.round(second * 1000) / 1000);
    this.draw();
    this.actions.edges(which);
  }

  #hover(event) {
    const seconds = this.#seconds(event);
    const box = this.strip.getBoundingClientRect();
    this.peek.hidden = false;
    this.peek.style.left = `${clamp(event.clientX - box.left, 84, Math.max(84, box.width - 84))}px`;
    this.peekTime.textContent = clock(seconds, true);
    const source = this.actions.picture(seconds);
    if (this.picture.getAttribute("src") !== source) this.picture.setAttribute("src", source);
  }

  #wheel(event) {
    const length = this.view[1] - this.view[0];
    const whole = length >= this.video.duration - 0.05;
    if (whole && event.deltaY > 0) return; // nothing wider to show: the page scrolls
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      const by = ((event.deltaX || event.deltaY) / this.strip.clientWidth) * length;
      const start = clamp(this.view[0] + by, 0, this.video.duration - length);
      this.#show(start, start + length);
    } else this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.#seconds(event));
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.strip;
    if (!width) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    // From `color`, because a custom property with light-dark() inside is never resolved.
    this.#drawCuts(pen, height, getComputedStyle(this.canvas).color);
    this.#drawCurve(pen, width, height, getComputedStyle(this.strip).color);
    this.#placeBands();
    this.#drawRuler(width);
  }

  #drawCuts(pen, height, colour) {
    pen.fillStyle = colour;
    for (const cut of this.cuts)
      pen.fillRect((this.#x(cut) / 100) * this.strip.clientWidth, 0, 1, height);
  }

  #drawCurve(pen, width, height, colour) {
    if (!this.strength.length) return;
    const [begins, ends] = this.rows;
    const row = (ends - begins) / this.strength.length;
    const level = (index) =>
      height - 2 - this.strength[clamp(index, 0, this.strength.length - 1)] * (height - 8);
    const place = (index) => (this.#x(begins + (index + 0.5) * row) / 100) * width;
    pen.beginPath();
    pen.moveTo(Math.min(0, place(-1)), height);
    for (let index = -1; index <= this.strength.length; index++) {
      const [x, y, nextX, nextY] = [place(index), level(index), place(index + 1), level(index + 1)];
      // Through the midpoints of neighbouring rows: the curve is smooth and never overshoots.
      pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    pen.lineTo(Math.max(width, place(this.strength.length + 1)), height);
    pen.closePath();
    const fill = pen.createLinearGradient(0, 0, 0, height);
    const faded = (share) => colour.replace("rgb(", "rgba(").replace(")", `, ${share})`);
    fill.addColorStop(0, faded(0.9));
    fill.addColorStop(1, faded(0.15));
    pen.fillStyle = fill;
    pen.fill();
  }

  #placeBands() {
    this.bands.replaceChildren(
      ...this.moments.map((moment) => {
        const band = h("div", { class: moment === this.chosen ? "band chosen" : "band" });
        band.style.left = `${this.#x(moment.start)}%`;
        band.style.width = `${this.#x(moment.end) - this.#x(moment.start)}%`;
        return band;
      }),
    );
    this.edges.forEach((edge, index) => {
      const which = index ? "end" : "start";
      const seconds = this.chosen?.[which];
      edge.hidden = !this.chosen || seconds < this.view[0] - 0.01 || seconds > this.view[1] + 0.01;
      if (!this.chosen) return;
      edge.style.left = `${this.#x(seconds)}%`;
      edge.setAttribute("aria-valuemin", 0);
      edge.setAttribute("aria-valuemax", this.video.duration.toFixed(1));
      edge.setAttribute("aria-valuenow", seconds.toFixed(1));
      edge.setAttribute("aria-valuetext", clock(seconds, true));
    });
  }

  #drawRuler(width) {
    const length = this.view[1] - this.view[0];
    const step = STEPS.find((seconds) => (seconds / length) * width >= 72) ?? STEPS.at(-1);
    const marks = [];
    for (
      let second = Math.ceil(this.view[0] / step) * step;
      second <= this.view[1];
      second += step
    ) {
      const mark = h("span", {}, clock(second));
      mark.style.left = `${this.#x(second)}%`;
      if (this.#x(second) * width > 100 * (width - 24)) mark.className = "last";
      marks.push(mark);
    }
    this.ruler.replaceChildren(...marks);
  }
}
