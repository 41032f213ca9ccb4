// The page: search box, results, player and library, and the address that says what is shown.
// Everything of one visitor lives here, in the visitor's browser; the server keeps none of it.

import { Basket } from "./basket.js";
import { answerView, key, skeletons } from "./cards.js";
import { h, icon, iconButton } from "./dom.js";
import { Extras } from "./extras.js";
import { Filters } from "./filters.js";
import { listen } from "./keys.js";
import { dropAnywhere, LibraryView } from "./library.js";
import { Player } from "./player.js";
import { SearchBox } from "./searchbox.js";
import { recallTheme, switchTheme } from "./theme.js";
import { words } from "./words.js";

const KIOSK_IDLE = 60_000; // milliseconds without a visitor

class Page {
  constructor(root, server) {
    this.server = server;
    this.question = {}; // {query}, {like: moment} or {picture: base64, image}
    this.answer = null;
    this.moment = null; // the one that is shown
    this.scope = null; // id of the one video searched, or null for all
    this.grouped = false;
    this.asked = 0;
    this.player = new Player({
      preview: (video, start, end) => server.preview({ video: video.id, start, end }),
      step: (by) => this.step(by),
      choose: (moment) => this.watch(moment, { play: false }),
      edges: () => this.#edgesMoved(),
      close: () => this.close(),
    });
    this.basket = new Basket({
      play: (moment) => this.openMoment(moment),
      changed: () => this.extras.draw(),
    });
    this.extras = new Extras(server, {
      player: this.player,
      basket: this.basket,
      ask: (question) => this.ask(question),
      tell: (text) => this.tell(text),
    });
    this.filters = new Filters(() => this.#filtered());
    this.search = new SearchBox(
      {
        ask: (query) => (query ? this.ask(query) : this.home()),
        picture: (picture) => this.ask(picture),
        everywhere: () => this.setScope(null),
        forget: () => this.home(),
        tell: (text) => this.tell(text),
      },
      this.filters.button,
    );
    this.library = new LibraryView(server, {
      open: (video) => this.openVideo(video),
      tell: (text) => this.tell(text),
      changed: (state) => this.#libraryChanged(state),
    });
    this.#build(root);
    listen({
      player: this.player,
      search: () => this.search.focus(),
      step: (by) => this.step(by),
      close: () => this.close(),
    });
    window.addEventListener("popstate", () => this.follow());
  }

  #build(root) {
    const brand = h(
      "a",
      {
        class: "brand",
        href: document.baseURI,
        onclick: (event) => {
          event.preventDefault();
          this.home();
        },
      },
      h("span", { class: "mark", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")),
      words.brand,
    );
    this.results = h("section", { class: "results", id: "results" });
    this.examples = h("p", { class: "examples" });
    this.hero = h(
      "div",
      { class: "hero" },
      h("p", { class: "headline" }, words.headline),
      this.examples,
    );
    this.bar = h(
      "header",
      { class: "bar" },
      h("h1", {}, brand),
      h("div", { class: "slot" }),
      h("nav", { class: "nav" }, this.basket.button, iconButton("half", words.theme, switchTheme)),
    );
    this.veil = h(
      "div",
      { class: "veil", hidden: true },
      h("div", {}, icon("upload"), words.dropNow),
    );
    this.toast = h("div", { class: "toast", role: "alert", hidden: true });
    this.main = h(
      "div",
      { class: "content" },
      this.hero,
      this.filters.panel,
      h("div", { class: "stage" }, this.player.element, this.results),
      this.library.element,
    );
    root.replaceChildren(this.bar, this.main, this.basket.element, this.veil, this.toast);
    dropAnywhere(this.veil, (files) => this.#take(files));
    document.addEventListener(
      "paste",
      ({ clipboardData }) => clipboardData.files.length && this.#take([...clipboardData.files]),
    );
  }

  /** Show what the address says: a query, a moment of it, or the library. */
  async follow() {
    const wanted = new URLSearchParams(location.search);
    this.setScope(Number(wanted.get("video")) || null);
    const query = wanted.get("q");
    const like = this.#spanOf(wanted.get("like"));
    if (!query && !like) return this.#view("home");
    await this.ask(query ?? { like }, { remember: false });
    const moment = this.#named(wanted.get("m"));
    if (moment) this.watch(moment, { play: false, remember: false });
  }

  /** The moment that a link names, also one whose edges were moved by hand. */
  #named(name) {
    const found = this.answer?.moments.find((candidate) => key(candidate) === name);
    const moment = found ?? this.#spanOf(name);
    if (moment && !found) this.answer.moments.push(moment);
    return moment;
  }

  /** "3:12:19.5" as a moment of video 3; nothing where that is no span of a video we have. */
  #spanOf(name) {
    const [video, start, end] = (name ?? "").split(":").map(Number);
    const known = this.library.video(video);
    if (!known || !(start >= 0 && start < end)) return null;
    return {
      video,
      name: known.name,
      start,
      end,
      best: (start + end) / 2,
      strength: 0,
      verdict: "possible",
    };
  }

  /** Ask a question; a string is one in words. */
  async ask(asked, { remember = true } = {}) {
    const question = typeof asked === "string" ? { query: asked } : asked;
    const number = ++this.asked;
    this.question = question;
    this.search.show(question);
    this.player.stop();
    this.moment = null;
    this.#view("results");
    this.results.replaceChildren(...skeletons());
    if (remember) this.#remember();
    const answer = await this.#send(question);
    if (number !== this.asked) return; // a later question has been asked meanwhile
    this.answer = { moments: [], unknown: [], ...(answer ?? { error: words.unreachable }) };
    this.#drawAnswer();
    const best = this.answer.moments[0];
    if (document.body.classList.contains("kiosk") && best && best.verdict !== "none")
      this.watch(best);
  }

  #send({ query, like, picture }) {
    const among = this.filters.among;
    if (like)
      return this.server.like({ video: like.video, start: like.start, end: like.end, among });
    if (picture) return this.server.picture({ picture, video: this.scope, among });
    return this.server.search({ query, video: this.scope, among });
  }

  #take(files) {
    const picture = files.find(({ type }) => type.startsWith("image/") && type !== "image/gif");
    if (picture) return this.search.take(picture);
    this.home();
    this.library.upload(files);
  }

  #drawAnswer() {
    this.results.replaceChildren(
      ...answerView(this.answer, {
        grouped: this.grouped,
        choose: (moment) => this.watch(moment),
        ask: (text) => this.ask(text),
        arrange: (grouped) => {
          this.grouped = grouped;
          this.#drawAnswer();
        },
      }),
    );
    this.#markChosen();
  }

  /** Play a moment of the answer. */
  async watch(moment, { play = true, remember = true } = {}) {
    const video = this.library.video(moment.video);
    if (!video) return;
    this.moment = moment;
    const moments = this.answer.moments.filter(
      (other) => other.video === moment.video && other.verdict !== "none",
    );
    this.#view("watching");
    if (remember) this.#remember({ replace: true });
    const opened = this.player.open(
      video,
      moment,
      moments.includes(moment) ? moments : [...moments, moment],
      { play },
    );
    this.#markChosen();
    this.#showExtras();
    this.#curve(video);
    this.player.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    await opened;
  }

  /** A moment that was kept earlier: its query is asked again, and it is played as it was kept. */
  async openMoment(moment) {
    this.scope = null;
    await this.ask(moment.query || { like: moment }, { remember: false });
    const found = this.answer.moments.find((other) => key(other) === key(moment));
    if (!found) this.answer.moments.push({ ...moment, verdict: "possible" });
    this.watch(found ?? this.answer.moments.at(-1));
  }

  #showExtras() {
    this.extras.show(this.moment, this.question, this.library.state);
  }

  /** Play a whole video of the library, and search inside it from now on. */
  openVideo(video) {
    this.setScope(video.id);
    this.question = {};
    this.answer = this.moment = null;
    this.results.replaceChildren();
    this.#view("watching");
    this.#showExtras();
    this.player.open(video, null, [], { play: true });
    this.#curve(video);
  }

  async #curve(video) {
    const { query = "" } = this.question;
    this.player.why.open({ words: [] });
    const curve = await this.server.strip({ query, video: video.id });
    if (curve?.strength && this.player.video === video) this.player.timeline.mark(curve);
    const second = this.moment?.best;
    const explained = query && (await this.server.why({ query, video: video.id, second }));
    if (explained?.words && this.player.video === video && this.moment?.best === second)
      this.player.why.open(explained, this.player.timeline.rows);
  }

  step(by) {
    const order = this.answer?.moments.filter(({ verdict }) => verdict !== "none") ?? [];
    const next = order[order.indexOf(this.moment) + by];
    if (next) this.watch(next);
  }

  close() {
    this.player.stop();
    this.moment = null;
    this.#markChosen();
    if (!this.answer) return this.home();
    this.#view("results");
    this.#remember({ replace: true });
  }

  home() {
    this.player.stop();
    this.answer = this.moment = null;
    this.question = {};
    this.search.show({});
    this.setScope(null);
    this.results.replaceChildren();
    this.#view("home");
    this.#remember();
  }

  setScope(id) {
    this.scope = id;
    this.search.showScope(id && (this.library.video(id)?.name ?? id));
  }

  #view(name) {
    document.body.dataset.view = name;
    const place = name === "home" ? this.hero : this.bar.querySelector(".slot");
    const form = this.search.element;
    if (form.parentElement === place) return;
    if (name === "home") this.examples.before(form);
    else place.append(form);
  }

  #markChosen() {
    for (const element of this.results.querySelectorAll(".card[data-key]")) {
      element.setAttribute(
        "aria-current",
        String(Boolean(this.moment) && element.dataset.key === key(this.moment)),
      );
    }
  }

  /** Write what is shown into the address; a picture is too large for one. */
  #remember({ replace = false } = {}) {
    const { query, like } = this.question;
    const parts = {
      q: query,
      like: like && key(like),
      m: this.moment && key(this.moment),
      video: this.scope,
    };
    const told = new URLSearchParams(Object.entries(parts).filter(([, value]) => value));
    history[replace ? "replaceState" : "pushState"](
      null,
      "",
      told.size ? `?${told}` : location.pathname,
    );
  }

  /** The moment has other edges now: the card, the address and the basket button follow. */
  #edgesMoved() {
    const card = this.results.querySelector(".card[aria-current='true']");
    card?.setAttribute("data-key", key(this.moment));
    card?.querySelector(".span")?.replaceChildren(words.span(this.moment));
    this.#remember({ replace: true });
    this.#showExtras();
  }

  #filtered() {
    if (this.answer) this.ask(this.question, { remember: false });
  }

  /** A screen in public: nobody tidies up after the last visitor, so the page does. */
  #startKiosk() {
    document.body.classList.add("kiosk");
    this.player.setLoop(true);
    for (const type of ["pointerdown", "pointermove", "keydown"])
      document.addEventListener(type, () => this.#wakeKiosk());
    this.#wakeKiosk();
  }

  #wakeKiosk() {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.home(), KIOSK_IDLE);
  }

  #offer(examples) {
    if (this.examples.childElementCount || !examples.length) return;
    this.examples.append(
      words.try,
      ...examples.map((query) =>
        h("button", { type: "button", class: "chip", onclick: () => this.ask(query) }, query),
      ),
    );
  }

  #libraryChanged(state) {
    this.#offer(state.examples);
    if (state.kiosk && !document.body.classList.contains("kiosk")) this.#startKiosk();
    this.filters.update(state.videos);
    this.basket.allow(state.may_export);
    if (this.scope) this.setScope(this.scope);
  }

  tell(text) {
    this.toast.textContent = text;
    this.toast.hidden = false;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => (this.toast.hidden = true), 8000);
  }
}

/** Called once by the page's HTML component when it is in the document. */
export async function start(root, server) {
  recallTheme();
  const page = new Page(root, server);
  await page.library.refresh();
  page.library.watch();
  await page.follow();
}
