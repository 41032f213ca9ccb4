// The page: search box, results, player and library, and the address that says what is shown.
// Everything that belongs to one visitor lives here, in the visitor's browser; the server keeps none of it.

import { Basket, exportAddress } from "./basket.js";
import { answerView, key, skeletons } from "./cards.js";
import { address, h, icon, iconButton } from "./dom.js";
import { Filters } from "./filters.js";
import { dropAnywhere, LibraryView } from "./library.js";
import { Player } from "./player.js";
import { words } from "./words.js";

const KIOSK_IDLE = 60_000; // milliseconds without a visitor

class Page {
  constructor(root, server) {
    this.server = server;
    this.answer = null;
    this.scope = null; // id of the one video searched, or null for all
    this.grouped = false;
    this.judged = new Map(); // query and moment -> what this visitor said of it
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
      changed: () => this.#drawExtras(),
    });
    this.filters = new Filters(() => this.#filtered());
    this.library = new LibraryView(server, {
      open: (video) => this.openVideo(video),
      tell: (text) => this.tell(text),
      changed: (state) => this.#libraryChanged(state),
    });
    this.#build(root);
    document.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("popstate", () => this.follow());
  }

  #build(root) {
    this.box = h("input", { type: "search", name: "q", id: "ask", placeholder: words.askPlaceholder, "aria-label": words.ask, autocomplete: "off", enterkeyhint: "search" });
    this.scopeChip = h("button", { type: "button", class: "chip scope", hidden: true, title: words.everywhere, onclick: () => this.setScope(null) });
    this.example = h("button", { type: "button", class: "chip example", hidden: true, title: words.forget, onclick: () => this.home() });
    this.picker = h("input", { type: "file", accept: "image/*", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => this.askByPicture(this.picker.files[0]) });
    this.form = h("form", { class: "ask", role: "search", onsubmit: (event) => this.#submit(event) },
      icon("search"), this.scopeChip, this.example, this.box, this.picker,
      iconButton("picture", words.askPicture, () => this.picker.click()), this.filters.button, h("button", { class: "button primary" }, words.search));
    const brand = h("a", { class: "brand", href: document.baseURI, onclick: (event) => { event.preventDefault(); this.home(); } },
      h("span", { class: "mark", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")), words.brand);
    this.results = h("section", { class: "results", id: "results" });
    this.examples = h("p", { class: "examples" });
    this.hero = h("div", { class: "hero" }, h("p", { class: "headline" }, words.headline), this.examples);
    this.bar = h("header", { class: "bar" }, h("h1", {}, brand), h("div", { class: "slot" }), 
      h("nav", { class: "nav" }, this.basket.button, iconButton("half", words.theme, () => switchTheme())));
    this.veil = h("div", { class: "veil", hidden: true }, h("div", {}, icon("upload"), words.dropNow));
    this.toast = h("div", { class: "toast", role: "alert", hidden: true });
    this.main = h("div", { class: "content" }, this.hero, this.filters.panel, h("div", { class: "stage" }, this.player.element, this.results), this.library.element);
    root.replaceChildren(this.bar, this.main, this.basket.element, this.veil, this.toast);
    dropAnywhere(this.veil, (files) => this.#take(files));
    document.addEventListener("paste", ({ clipboardData }) => clipboardData.files.length && this.#take([...clipboardData.files]));
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
    return { video, name: known.name, start, end, best: (start + end) / 2, strength: 0, verdict: "possible" };
  }

  #submit(event) {
    event.preventDefault();
    const query = this.box.value.trim();
    this.box.blur(); // the keys belong to the player now, and a phone's keyboard goes away
    if (query) this.ask(query);
    else this.home();
  }

  /** Ask in words (a string), by a moment ({like: moment}) or by a picture ({picture: base64, image}). */
  async ask(asked, { remember = true } = {}) {
    const question = typeof asked === "string" ? { query: asked } : asked;
    const number = ++this.asked;
    this.question = question;
    this.box.value = question.query ?? "";
    this.#showExample(question);
    this.player.stop();
    this.moment = null;
    this.#view("results");
    const waiting = setTimeout(() => this.results.replaceChildren(...skeletons()), 120);
    if (remember) this.#remember();
    const answer = await this.#send(question);
    clearTimeout(waiting);
    if (number !== this.asked) return; // a later question has been asked meanwhile
    this.answer = { moments: [], unknown: [], ...(answer ?? { error: words.unreachable }) };
    this.#drawAnswer();
    const best = this.answer.moments[0];
    if (document.body.classList.contains("kiosk") && best && best.verdict !== "none") this.watch(best);
  }

  #send({ query, like, picture }) {
    const among = this.filters.among;
    if (like) return this.server.like({ video: like.video, start: like.start, end: like.end, among });
    if (picture) return this.server.picture({ picture, video: this.scope, among });
    return this.server.search({ query, video: this.scope, among });
  }

  /** The moment or picture that is asked for, shown in the search box. */
  #showExample({ like, picture, image }) {
    this.example.hidden = !like && !picture;
    if (this.example.hidden) return;
    const source = image ?? address(`thumbnail/${like.video}/${Math.floor(like.best)}`);
    this.example.replaceChildren(h("img", { alt: "", src: source }), like ? words.likeMoment(like) : words.likePicture, icon("close"));
  }

  /** Search by a picture file that was dropped, pasted or chosen; sent small, for it is looked at small. */
  async askByPicture(file) {
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return this.tell(words.noPicture(file.name));
    const scale = Math.min(1, 512 / Math.max(bitmap.width, bitmap.height));
    const canvas = h("canvas", { width: Math.max(1, bitmap.width * scale), height: Math.max(1, bitmap.height * scale) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const image = canvas.toDataURL("image/jpeg", 0.92);
    this.ask({ picture: image.split(",")[1], image });
  }

  #take(files) {
    const picture = files.find(({ type }) => type.startsWith("image/") && type !== "image/gif");
    if (picture) return this.askByPicture(picture);
    this.home();
    this.library.upload(files);
  }

  #drawAnswer() {
    this.results.replaceChildren(...answerView(this.answer, {
      grouped: this.grouped,
      choose: (moment) => this.watch(moment),
      ask: (text) => this.ask(text),
      arrange: (grouped) => { this.grouped = grouped; this.#drawAnswer(); },
    }));
    this.#markChosen();
  }

  /** Play a moment of the answer. */
  async watch(moment, { play = true, remember = true } = {}) {
    const video = this.library.video(moment.video);
    if (!video) return;
    this.moment = moment;
    const moments = this.answer.moments.filter((other) => other.video === moment.video && other.verdict !== "none");
    this.#view("watching");
    if (remember) this.#remember({ replace: true });
    const opened = this.player.open(video, moment, moments.includes(moment) ? moments : [...moments, moment], { play });
    this.#markChosen();
    this.#drawExtras();
    this.#curve(video);
    this.player.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    await opened;
  }

  /** A moment that was kept earlier: its query is asked again, and it is played as it was kept. */
  async openMoment(moment) {
    this.scope = null;
    await this.ask(moment.query, { remember: false });
    const found = this.answer.moments.find((other) => key(other) === key(moment));
    if (!found) this.answer.moments.push({ ...moment, verdict: "possible" });
    this.watch(found ?? this.answer.moments.at(-1));
  }

  /** What can be done with the moment that is shown. */
  #drawExtras() {
    const { moment } = this;
    if (!moment) return this.player.extras.replaceChildren();
    const kept = this.#kept(moment);
    const held = this.basket.holds(kept);
    const download = (name, label, href, more) => h("a", { class: "tool", href, download: "", "aria-label": label, title: label, ...more }, icon(name));
    this.player.extras.replaceChildren(
      h("button", { type: "button", class: "button keep", title: words.keepHint, "aria-pressed": String(held), onclick: () => this.basket.toggle(kept) },
        icon(held ? "tick" : "plus"), held ? words.kept : words.keep),
      ...this.#judging(moment),
      iconButton("alike", words.alike, () => this.ask({ like: moment })),
      iconButton("link", words.link, () => this.#copyLink()),
      ...(this.library.state.may_export ? [
        download("camera", words.savePicture, "", { onclick: ({ currentTarget }) => (currentTarget.href = this.#pictureAddress()) }),
        download("download", words.saveClip, exportAddress("film.mp4", [kept]))] : []));
  }

  /** The picture that is on the screen now, in full size. */
  #pictureAddress() {
    return address(`picture/${this.player.video.id}/${this.player.time.toFixed(3)}`);
  }

  /** Thumbs up and down: for answers to words, where the library may be changed. */
  #judging(moment) {
    const { query } = this.question;
    if (!query || !this.library.state.may_change) return [];
    const judged = this.judged.get(`${query} ${key(moment)}`);
    const say = async (good) => {
      const { video, start, end } = moment;
      const answer = await this.server.judge({ query, video, start, end, good });
      if (!answer || answer.error) return this.tell(answer?.error ?? words.unreachable);
      this.judged.set(`${query} ${key(moment)}`, good);
      this.tell(words.heeded);
      this.#drawExtras();
    };
    return [["like", words.right, true], ["dislike", words.wrong, false]].map(([name, label, good]) =>
      iconButton(name, label, () => say(good), { "aria-pressed": String(judged === good) }));
  }

  #kept({ video, name, start, end, best, strength }) {
    return { video, name, start, end, best, strength, query: this.answer.query };
  }

  async #copyLink() {
    await navigator.clipboard?.writeText(location.href);
    this.tell(words.copied);
  }

  /** Play a whole video of the library, and search inside it from now on. */
  openVideo(video) {
    this.setScope(video.id);
    this.answer = null;
    this.moment = null;
    this.results.replaceChildren();
    this.#view("watching");
    this.#drawExtras();
    this.player.open(video, null, [], { play: true });
    this.#curve(video);
  }

  async #curve(video) {
    const query = (this.answer && this.question?.query) ?? "";
    this.player.why.open([]);
    const curve = await this.server.strip({ query, video: video.id });
    if (curve?.strength && this.player.video === video) this.player.timeline.mark(curve);
    const explained = query && (await this.server.why({ query, video: video.id }));
    if (explained?.words && this.player.video === video) this.player.why.open(explained.words, this.player.timeline.rows);
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
    this.#showExample({});
    this.box.value = "";
    this.setScope(null);
    this.results.replaceChildren();
    this.#view("home");
    this.#remember();
  }

  setScope(id) {
    this.scope = id;
    const name = id && this.library.video(id)?.name;
    this.scopeChip.hidden = !id;
    this.scopeChip.replaceChildren(words.inside(name ?? id), icon("close"));
  }

  #view(name) {
    document.body.dataset.view = name;
    const place = name === "home" ? this.hero : this.bar.querySelector(".slot");
    if (this.form.parentElement === place) return;
    if (name === "home") this.examples.before(this.form);
    else place.append(this.form);
  }

  #markChosen() {
    for (const element of this.results.querySelectorAll(".card[data-key]")) {
      element.setAttribute("aria-current", String(Boolean(this.moment) && element.dataset.key === key(this.moment)));
    }
  }

  /** Write what is shown into the address; a picture is too large for one. */
  #remember({ replace = false } = {}) {
    const { query, like } = this.question ?? {};
    const parts = { q: query, like: like && key(like), m: this.moment && key(this.moment), video: this.scope };
    const told = new URLSearchParams(Object.entries(parts).filter(([, value]) => value));
    history[replace ? "replaceState" : "pushState"](null, "", told.size ? `?${told}` : location.pathname);
  }

  /** The moment has other edges now: the card, the address and the basket button follow. */
  #edgesMoved() {
    const card = this.results.querySelector(".card[aria-current='true']");
    card?.setAttribute("data-key", key(this.moment));
    card?.querySelector(".span")?.replaceChildren(words.span(this.moment));
    this.#remember({ replace: true });
    this.#drawExtras();
  }

  #filtered() {
    if (this.answer) this.ask(this.question, { remember: false });
  }

  /** A screen in public: nobody tidies up after the last visitor, so the page does. */
  #startKiosk() {
    document.body.classList.add("kiosk");
    this.player.setLoop(true);
    for (const type of ["pointerdown", "pointermove", "keydown"]) document.addEventListener(type, () => this.#wakeKiosk());
    this.#wakeKiosk();
  }

  #wakeKiosk() {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.home(), KIOSK_IDLE);
  }

  #offer(examples) {
    if (this.examples.childElementCount || !examples.length) return;
    this.examples.append(words.try, ...examples.map((query) => h("button", { type: "button", class: "chip", onclick: () => this.ask(query) }, query)));
  }

  #libraryChanged(state) {
    this.#offer(state.examples);
    if (state.kiosk && !document.body.classList.contains("kiosk")) this.#startKiosk();
    this.filters.update(state.videos);
    this.basket.allow(state.may_export);
    if (this.scope) this.setScope(this.scope);
  }

  #key(event) {
    const typing = event.target.closest?.("input:not([type=range]), textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") return event.preventDefault(), this.box.select();
    if (!this.player.video) return;
    const player = this.player;
    const act = {
      " ": () => player.toggle(), k: () => player.toggle(),
      j: () => player.seek(player.time - 1), l: () => player.seek(player.time + 1),
      ",": () => player.frame(-1), ".": () => player.frame(1),
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      r: () => player.setLoop(!player.looping), m: () => player.mute(), f: () => player.full(),
      Escape: () => this.close(),
    }[event.key];
    // Space on a focused button must keep pressing that button.
    if (!act || (event.key === " " && event.target.closest?.("button:not(.card), summary, a"))) return;
    event.preventDefault();
    act();
  }

  tell(text) {
    this.toast.textContent = text;
    this.toast.hidden = false;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => (this.toast.hidden = true), 8000);
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.style.colorScheme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.style.colorScheme);
}

/** Called once by the page's HTML component when it is in the document. */
export async function start(root, server) {
  document.documentElement.style.colorScheme = localStorage.getItem("theme") ?? "";
  const page = new Page(root, server);
  await page.library.refresh();
  page.library.watch();
  await page.follow();
}
