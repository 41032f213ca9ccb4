// The page: search box, results, player and library, and the address that says what is shown.
// Everything of one visitor lives here, in the visitor's browser; the server keeps none of it.

import { Basket } from "./basket.js";
import { answerView, key, skeletons } from "./cards.js";
import { h } from "./dom.js";
import { dropAnywhere } from "./drop.js";
import { Extras } from "./extras.js";
import { Filters } from "./filters.js";
import { dropVeil, topBar } from "./frame.js";
import { Help } from "./help.js";
import { listen } from "./keys.js";
import { startKiosk } from "./kiosk.js";
import { LibraryView } from "./library.js";
import { remember, spanOf } from "./links.js";
import { Player } from "./player.js";
import { save } from "./save.js";
import { SearchBox } from "./searchbox.js";
import { Setup } from "./setup.js";
import { recallTheme } from "./theme.js";
import { Toast } from "./toast.js";
import { words } from "./words.js";

class Page {
  constructor(root, server) {
    this.server = server;
    this.question = {}; // {query}, {like: moment} or {picture: base64, image}
    this.answer = null;
    this.moment = null; // the one that is shown
    this.scope = null; // id of the one video searched, or null for all
    this.grouped = false;
    this.asked = 0;
    this.toast = new Toast();
    this.player = new Player({
      preview: (video, start, end) => server.preview({ video: video.id, start, end }),
      step: (by) => this.step(by),
      choose: (moment) => this.watch(moment, { play: false }),
      edges: () => this.#edgesMoved(),
      made: (start, end) => this.#made(start, end),
      inside: (video) => this.searchInside(video),
      scope: () => this.scope,
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
      tell: (text) => this.toast.tell(text),
    });
    this.help = new Help();
    this.filters = new Filters(() => this.#filtered());
    this.search = new SearchBox(
      {
        ask: (query) => (query ? this.ask(query) : this.home()),
        picture: (picture) => this.ask(picture),
        everywhere: () => this.setScope(null),
        forget: () => this.home(),
        tell: (text) => this.toast.tell(text),
      },
      this.filters.button,
    );
    this.library = new LibraryView(server, {
      open: (video) => this.openVideo(video),
      tell: (text) => this.toast.tell(text),
      changed: (state) => this.#libraryChanged(state),
    });
    this.setup = new Setup(server, (text) => this.toast.tell(text));
    this.library.jobs.after(this.setup.element);
    this.#build(root);
    listen({
      player: this.player,
      search: () => this.search.focus(),
      step: (by) => this.step(by),
      close: () => this.close(),
      help: () => this.help.show(),
    });
    window.addEventListener("popstate", () => this.follow());
  }

  #build(root) {
    this.results = h("section", { class: "results", id: "results" });
    this.examples = h("p", { class: "examples" });
    this.hero = h(
      "div",
      { class: "hero" },
      h("p", { class: "headline" }, words.headline),
      this.examples,
    );
    const tools = [this.basket.button, this.help.button];
    this.bar = topBar(() => this.home(), tools);
    this.veil = dropVeil();
    this.main = h(
      "div",
      { class: "content" },
      this.hero,
      this.filters.panel,
      h("div", { class: "stage" }, this.player.element, this.results),
      this.library.element,
    );
    const dialogs = [this.basket.element, this.help.element];
    root.replaceChildren(this.bar, this.main, ...dialogs, this.veil, this.toast.element);
    // What was said of an earlier press must not stand over what this one does. Enter in a form is
    // a press of its button.
    root.addEventListener("click", () => this.toast.hush(), { capture: true });
    root.addEventListener("click", (event) => {
      const link = event.target.closest("a[download]");
      if (!link) return;
      event.preventDefault();
      save(link, (text, how) => this.toast.tell(text, how));
    });
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
    const like = spanOf(wanted.get("like"), this.library);
    if (!query && !like) {
      const video = this.library.video(this.scope);
      return video
        ? this.openVideo(video, { play: false, write: false })
        : this.home({ write: false });
    }
    if (!(await this.ask(query ?? { like }, { write: false }))) return;
    const moment = this.#named(wanted.get("m"));
    if (moment) this.watch(moment, { play: false, write: false });
  }

  /** The moment that a link names, also one whose edges were moved by hand. */
  #named(name) {
    const found = this.answer?.moments.find((candidate) => key(candidate) === name);
    const moment = found ?? spanOf(name, this.library);
    if (moment && !found) this.answer.moments.push(moment);
    return moment;
  }

  /** Ask a question; a string is one in words. Tells whether its answer is what is shown now. */
  async ask(asked, { write = true } = {}) {
    const question = typeof asked === "string" ? { query: asked } : asked;
    const number = ++this.asked;
    this.question = question;
    this.search.show(question);
    this.player.stop();
    this.moment = null;
    this.#view("results");
    this.results.replaceChildren(...skeletons());
    if (write) remember(this);
    const answer = await this.#send(question);
    if (number !== this.asked) return false; // a later question has been asked meanwhile
    const none = { query: question.query ?? "", moments: [], unknown: [] };
    this.answer = { ...none, ...(answer ?? { error: words.unreachable }) };
    this.#drawAnswer();
    const best = this.answer.moments[0];
    if (document.body.classList.contains("kiosk") && best && best.verdict !== "none")
      this.watch(best);
    return true;
  }

  #send({ query, like, picture }) {
    const { scope } = this.filters;
    if (like) {
      const { video, start, end } = like;
      return this.server.like({ video, start, end, inside: this.scope, scope });
    }
    if (picture) return this.server.picture({ picture, video: this.scope, scope });
    return this.server.search({ query, video: this.scope, scope });
  }

  #take(files) {
    this.toast.hush();
    const picture = files.find(({ type }) => type.startsWith("image/") && type !== "image/gif");
    if (picture) return this.search.take(picture);
    this.home();
    this.library.upload(files);
  }

  #drawAnswer() {
    this.results.replaceChildren(
      ...answerView(this.answer, {
        grouped: this.grouped,
        why: this.#nothingSearched(),
        meaning: this.question.query ? words.strengthMeaning : words.strengthAlike,
        choose: (moment) => this.watch(moment),
        ask: (text) => this.ask(text),
        everywhere: this.scope && !this.library.video(this.scope) && (() => this.searchEverywhere()),
        arrange: (grouped) => {
          this.grouped = grouped;
          this.#drawAnswer();
        },
      }),
    );
    this.#markChosen();
  }

  /** Why there could be no answer, where no video was looked into at all. */
  #nothingSearched() {
    if (!this.library.state.videos.some(({ searchable }) => searchable)) return words.emptySearched;
    return this.filters.scope && this.answer.searched === 0 ? words.noneChosen : "";
  }

  /** Play a moment of the answer. */
  async watch(moment, { play = true, write = true } = {}) {
    const video = this.library.video(moment.video);
    if (!video) return;
    this.moment = moment;
    const moments = this.answer.moments.filter(
      (other) => other.video === moment.video && other.verdict !== "none",
    );
    this.#view("watching");
    if (write) remember(this, { replace: true });
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
    this.setScope(null);
    if (!(await this.ask(moment.query || { like: moment }, { write: false }))) return;
    const found = this.answer.moments.find((other) => key(other) === key(moment));
    if (!found) this.answer.moments.push({ ...moment, verdict: "possible" });
    this.watch(found ?? this.answer.moments.at(-1));
  }

  #showExtras() {
    this.extras.show(this.moment, this.question, this.library.state);
  }

  /** Play a whole video of the library, and search inside it from now on. */
  openVideo(video, { play = true, write = true } = {}) {
    this.asked++; // an answer on its way comes too late
    this.question = {};
    this.answer = this.moment = null;
    this.setScope(video.id);
    this.search.show({});
    this.results.replaceChildren();
    this.#view("watching");
    if (write) remember(this);
    this.#showExtras();
    this.player.open(video, null, [], { play });
    this.#curve(video);
  }

  /** Ask the same of this video only, or where nothing is asked yet, wait for words. */
  searchInside(video) {
    this.setScope(video.id);
    if (Object.keys(this.question).length) this.ask(this.question);
    else this.search.focus();
  }

  searchEverywhere() {
    this.setScope(null);
    this.ask(this.question);
  }

  async #curve(video) {
    const { query = "" } = this.question;
    this.#transcript(video);
    this.player.why.open({ words: [] });
    const curve = await this.server.curve({ query, video: video.id });
    if (curve?.strength && this.player.video === video) this.player.timeline.mark(curve);
    const second = this.moment?.best;
    const explained = query && (await this.server.explain({ query, video: video.id, second }));
    if (explained?.words && this.player.video === video && this.moment?.best === second)
      this.player.why.open(explained, this.moment, this.player.timeline.rows);
  }

  async #transcript(video) {
    if (this.player.transcript.video === video.id) return;
    this.player.transcript.open(video.id, []);
    if (!video.senses.length) return;
    const transcript = await this.server.transcript({ video: video.id });
    if (transcript?.tracks && this.player.video === video)
      this.player.transcript.open(video.id, transcript.tracks);
  }

  /** A moment that was marked in the transcript, beside those of the answer. */
  #made(start, end) {
    const { id: video, name } = this.player.video;
    this.answer ??= { query: "", moments: [], unknown: [] };
    const seen = { best: start, strength: 0, verdict: "possible", rated: null };
    const moment = { video, name, start, end, ...seen, sense: [], words: [] };
    this.answer.moments.push(moment);
    this.watch(moment);
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
    if (!Object.keys(this.question).length) return this.home(); // a video, and moments made of it
    this.#view("results");
    remember(this, { replace: true });
  }

  home({ write = true } = {}) {
    this.asked++; // an answer on its way comes too late
    this.player.stop();
    this.answer = this.moment = null;
    this.question = {};
    this.search.show({});
    this.setScope(null);
    this.results.replaceChildren();
    this.#view("home");
    if (write) remember(this);
  }

  setScope(id) {
    this.scope = id;
    this.search.showScope(id && (this.library.video(id)?.name ?? words.videoNumber(id)));
    this.player.inside.hidden = Boolean(id) && id === this.player.video?.id;
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

  /** The moment has other edges now: the card, the address and the basket button follow. */
  #edgesMoved() {
    this.moment.rated = null; // what was said was said of the other edges
    const card = this.results.querySelector(".card[aria-current='true']");
    card?.setAttribute("data-key", key(this.moment));
    card?.querySelector(".span")?.replaceChildren(words.span(this.moment));
    remember(this, { replace: true });
    this.#showExtras();
  }

  #filtered() {
    if (this.answer) this.ask(this.question, { write: false });
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
    if (state.kiosk && !document.body.classList.contains("kiosk"))
      startKiosk({ player: this.player, home: () => this.home() });
    this.filters.update(state.videos);
    this.setup.refresh();
    this.basket.allow(state.may_export);
    if (this.scope) this.setScope(this.scope);
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
