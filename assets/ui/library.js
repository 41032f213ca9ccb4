// The library on the page: adding videos by drop, by choice or by path, progress while they are
// read, and every video with its state. Reading goes on in the server when the tab closes.

import { address, clock, h, icon, iconButton } from "./dom.js";
import { arranged, dayInWords, facts, orderBox, recordedAt } from "./days.js";
import { job, open, tool } from "./jobs.js";
import { picture } from "./pictures.js";
import { words } from "./words.js";

const QUICK = 700; // milliseconds between looks while something is being read
const SLOW = 8000; // and otherwise
const LINES = 5; // of files that wait; the rest are counted
const TRIED_AGAIN = ["refused", "missing", "waiting"]; // states with a retry

export class LibraryView {
  /**
   * @param {object} server  the server's functions: library, add, act, rescan
   * @param {{open: (video) => void, tell: (text) => void, changed: (state) => void}} actions
   */
  constructor(server, actions) {
    this.server = server;
    this.actions = actions;
    this.state = { videos: [], jobs: [], may_change: false };
    this.uploads = new Map(); // file -> {fraction, stop}
    this.failures = new Map(); // file -> why it could not be sent or was not taken
    this.filter = "";
    this.tiles = new Map(); // id -> {told, tile}
    this.#build();
    // The browser asks before it closes the page and loses what is still to be sent.
    window.addEventListener(
      "beforeunload",
      (event) => this.uploads.size && event.preventDefault(),
    );
  }

  #build() {
    this.picker = h("input", {
      type: "file",
      multiple: true,
      accept: "video/*,.mkv,.avi,.mov,.m4v,.ts,.webm",
      class: "unseen",
      tabindex: "-1",
      "aria-hidden": "true",
      onchange: () => this.upload([...this.picker.files]),
    });
    this.path = h("input", {
      type: "text",
      name: "path",
      placeholder: words.pathPlaceholder,
      "aria-label": words.path,
      autocomplete: "off",
      spellcheck: "false",
    });
    this.adder = h(
      "div",
      { class: "adder" },
      icon("upload"),
      h("p", {}, words.drop),
      h(
        "button",
        { type: "button", class: "button", onclick: () => this.picker.click() },
        words.choose,
      ),
      this.picker,
      h(
        "form",
        { class: "path", onsubmit: (event) => this.#addPath(event) },
        this.path,
        h("button", { class: "button" }, words.add),
      ),
    );
    this.jobs = h("section", { class: "jobs", "aria-label": words.progress });
    this.summary = h("h2", {});
    this.filterBox = h("input", {
      type: "search",
      class: "filter",
      placeholder: words.filter,
      "aria-label": words.filter,
      oninput: () => {
        this.filter = this.filterBox.value.toLowerCase();
        this.#drawVideos();
      },
    });
    this.orderBox = orderBox(() => this.#drawVideos());
    this.rescanner = h(
      "button",
      {
        type: "button",
        class: "button rescan",
        title: words.rescanHint,
        hidden: true,
        onclick: () => this.#rescan(),
      },
      words.rescan,
    );
    this.grid = h("ul", { class: "videos" });
    this.element = h(
      "section",
      { class: "library", "aria-label": words.home },
      this.adder,
      this.jobs,
      h("div", { class: "verdict" }, this.summary, this.rescanner, this.orderBox, this.filterBox),
      this.grid,
    );
  }

  /** Keep the view true: often while videos are read, seldom otherwise, never in a hidden tab. */
  async watch() {
    for (;;) {
      if (!document.hidden) await this.refresh();
      const busy = this.state.jobs.some(open);
      await new Promise((wake) => {
        const timer = setTimeout(wake, busy ? QUICK : SLOW);
        this.wake = () => {
          clearTimeout(timer);
          wake();
        };
      });
    }
  }

  async refresh() {
    const state = await this.server.library({});
    if (!state) return this.actions.tell(words.unreachable);
    const before = JSON.stringify(this.state.videos);
    this.state = state;
    this.adder.hidden = !state.may_change;
    this.rescanner.hidden = !state.may_change || !state.videos.length;
    this.path.form.hidden = !state.may_name_paths;
    this.#drawJobs();
    if (before !== JSON.stringify(state.videos) || !this.grid.childElementCount) this.#drawVideos();
    this.actions.changed(state);
  }

  video(id) {
    return this.state.videos.find((video) => video.id === id);
  }

  async upload(files) {
    if (!this.state.may_change) return this.actions.tell(words.readOnly);
    this.picker.value = "";
    for (const file of files) this.uploads.set(file, { fraction: 0 });
    this.#drawJobs();
    for (const file of files) {
      if (!this.uploads.has(file)) continue; // taken back while others were sent
      const failure = await this.#send(file);
      this.uploads.delete(file);
      if (failure) this.failures.set(file, failure);
      await this.refresh();
      this.wake?.();
    }
  }

  /** Sends one file; the answer is what went wrong, or nothing. */
  #send(file) {
    return new Promise((done) => {
      const request = new XMLHttpRequest(); // `fetch` cannot report how much has been sent
      request.open("PUT", address(`upload?name=${encodeURIComponent(file.name)}`));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      const stop = () => request.abort();
      request.upload.onprogress = ({ loaded, total }) => {
        this.uploads.set(file, { fraction: loaded / total, stop });
        this.#drawJobs();
      };
      request.onabort = () => done("");
      request.onload = () => done(request.status < 300 ? "" : reason(request, file.name));
      request.onerror = () => done(words.unreachable);
      this.uploads.set(file, { fraction: 0, stop });
      this.#drawJobs();
      request.send(file);
    });
  }

  async #addPath(event) {
    event.preventDefault();
    if (!this.path.value.trim()) return;
    const answer = await this.server.add({ path: this.path.value });
    if (!answer || answer.error) return this.actions.tell(answer?.error ?? words.unreachable);
    this.path.value = "";
    await this.refresh();
    this.wake?.();
  }

  /** Look at the disk again, and say what was found. */
  async #rescan() {
    this.rescanner.disabled = true;
    this.rescanner.textContent = words.rescanning;
    const found = await this.server.rescan({});
    this.rescanner.disabled = false;
    this.rescanner.textContent = words.rescan;
    const failed = !found || found.error;
    this.actions.tell(failed ? (found?.error ?? words.unreachable) : words.rescanned(found));
    await this.refresh();
    this.wake?.();
  }

  async #act(what, id) {
    const answer = await this.server.act({ what, id });
    if (!answer || answer.error) this.actions.tell(answer?.error ?? words.unreachable);
    await this.refresh();
    this.wake?.();
  }

  #drawJobs() {
    const sending = [...this.uploads].map(([file, { fraction }]) => ({
      file,
      name: file.name,
      state: "uploading",
      fraction,
    }));
    const failed = [...this.failures].map(([file, reason]) => ({
      file,
      name: file.name,
      state: "refused",
      reason,
    }));
    const inside = ({ state }) => state === "indexing";
    const queued = this.state.jobs.map((entry) => ({
      ...entry,
      file: null, // of this browser: it has been sent, or was never here
      paused: this.state.paused && inside(entry),
    }));
    const entries = [
      ...failed,
      ...sending,
      ...queued.filter(inside),
      ...queued.filter((entry) => !inside(entry)),
    ];
    const waiting = this.state.jobs.filter(open);
    const idle = ({ state, fraction }) => state === "new" || (state === "uploading" && !fraction);
    const shown = entries.filter((entry, place) => !idle(entry) || place < LINES);
    const held = document.activeElement?.dataset.tool; // what is drawn anew keeps the keyboard
    const hidden = entries.length - shown.length;
    this.jobs.replaceChildren(
      ...(waiting.length ? [this.#queue(waiting)] : []),
      h(
        "ul",
        {},
        shown.map((entry) => job(entry, this.state.may_change ? this.#jobTools(entry) : [])),
      ),
      ...(hidden ? [h("p", { class: "detail" }, words.more(hidden))] : []),
    );
    if (held) this.jobs.querySelector(`[data-tool="${CSS.escape(held)}"]`)?.focus();
  }

  /** One line about the whole queue: how much is left, pause, cancel. */
  #queue(waiting) {
    const { paused, note, seconds_left: left, bytes_per_second: speed } = this.state;
    const going = [speed ? words.speedOfReading(speed) : "", left ? words.left(left) : ""];
    const said = note || (paused ? words.state.paused : going.filter(Boolean).join(", "));
    const tools = this.state.may_change
      ? [
          tool("pause", paused ? words.resumeAll : words.pauseAll, () =>
            this.#act(paused ? "resume" : "pause"),
          ),
          tool("cancel", words.cancelAll, () => this.#act("cancel")),
        ]
      : [];
    return h(
      "div",
      { class: "queue" },
      h("h2", {}, words.adding(waiting.length)),
      h("span", { class: "detail" }, said),
      ...tools,
    );
  }

  #jobTools(entry) {
    if (entry.state === "uploading")
      return [tool(`stop ${entry.name}`, words.cancel, () => this.#stop(entry.file))];
    const act = (what, label) =>
      tool(`${what} ${entry.id}`, label, () => this.#act(what, entry.id));
    if (open(entry)) return [act("cancel", words.cancel)];
    if (entry.file)
      return [tool(`dismiss ${entry.name}`, words.dismiss, () => this.#dismiss(entry.file))];
    return [act("retry", words.retry), act("remove", words.dismiss)];
  }

  /** Take back a file that is being sent, or waits to be. */
  #stop(file) {
    const { stop } = this.uploads.get(file) ?? {};
    this.uploads.delete(file);
    stop?.();
    this.#drawJobs();
  }

  #dismiss(file) {
    this.failures.delete(file);
    this.#drawJobs();
  }

  #drawVideos() {
    const { videos } = this.state;
    const taken = videos.filter(({ state }) => state !== "refused");
    const total = taken.reduce((sum, { duration }) => sum + duration, 0);
    const refused = videos.length - taken.length;
    this.summary.textContent = [
      taken.length ? words.videos(taken.length, total) : words.empty,
      ...(refused ? [words.notAdded(refused)] : []),
    ].join(", ");
    this.filterBox.hidden = videos.length < 6;
    this.orderBox.hidden = videos.length < 2;
    const shown = videos.filter(({ name }) => name.toLowerCase().includes(this.filter));
    const held = document.activeElement;
    if (videos.length) this.grid.replaceChildren(...this.#tiles(shown));
    else this.grid.replaceChildren(h("li", { class: "nothing" }, words.emptyHint));
    if (held !== document.activeElement && this.grid.contains(held))
      held.focus({ preventScroll: true }); // moving an element takes the keyboard away from it
  }

  /** The tiles of these videos in order, with a heading for each day where that is asked for. */
  #tiles(videos) {
    let heading = "";
    return arranged(videos, this.orderBox.value).flatMap((video) => {
      const { day, told } = recordedAt(video);
      const text = words.day(dayInWords(day), told);
      const begins = this.orderBox.value === "day" && text !== heading;
      heading = text;
      const tile = this.#kept(video);
      return begins ? [h("li", { class: "day" }, h("h3", {}, text)), tile] : [tile];
    });
  }

  /** The tile of a video, a new one only where something of it has changed. */
  #kept(video) {
    const told = JSON.stringify([video, this.state.may_change]);
    const before = this.tiles.get(video.id);
    if (before?.told === told) return before.tile;
    const tile = this.#tile(video);
    this.tiles.set(video.id, { told, tile });
    return tile;
  }

  #tile(video) {
    const ready = video.searchable;
    const unread = video.state === "new" && !video.queued; // it was cancelled, maybe
    const state =
      video.state === "indexing"
        ? words.readSoFar(video.progress)
        : words.state[unread ? "unread" : video.state];
    const told = recordedAt(video);
    const cover = ready ? picture(video.id, video.duration / 3) : icon("film");
    const open = h(
      "button",
      { type: "button", class: "card", disabled: !ready, onclick: () => this.actions.open(video) },
      h(
        "span",
        { class: "frame" },
        cover,
        ready ? h("span", { class: "span" }, clock(video.duration)) : null,
      ),
      h(
        "span",
        { class: video.reason ? "facts with-reason" : "facts" },
        h("span", { class: "name", title: video.name }, video.name),
        h(
          "span",
          {
            class:
              video.state === "refused" || video.state === "missing" ? "detail wrong" : "detail",
            title: video.reason || facts(video),
          },
          ready && !video.reason
            ? `${video.width}×${video.height}${told.told ? `, ${told.day}` : ""}`
            : video.reason || state,
        ),
      ),
    );
    const tools = this.state.may_change
      ? h(
          "span",
          { class: "tile-tools" },
          TRIED_AGAIN.includes(video.state) || unread
            ? iconButton("loop", words.retry, () => this.#act("retry", video.id))
            : null,
          iconButton(
            "close",
            words.remove,
            () => confirm(words.removeSure(video)) && this.#act("remove", video.id),
          ),
        )
      : null;
    return h("li", {}, open, tools);
  }
}

/** Why the server did not take the file, without its name, which stands before it anyway. */
function reason(request, name) {
  try {
    return JSON.parse(request.responseText).detail.replace(`${name}: `, "");
  } catch {
    return `${request.status} ${request.statusText}`;
  }
}
