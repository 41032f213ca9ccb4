// What can be done with the moment that is shown: keep it, rate it, find more like it, save it.

import { exportAddress } from "./basket.js";
import { address, h, icon, iconButton } from "./dom.js";
import { words } from "./words.js";

export class Extras {
  /**
   * @param {object} server  the server's function `rate`
   * @param {{player, basket, ask: (question) => void, tell: (text) => void}} parts  of the page
   */
  constructor(server, parts) {
    Object.assign(this, { server, ...parts });
    this.shown = null;
  }

  /** Show the buttons for a moment that a question found; nothing for no moment. */
  show(moment, question, rights) {
    this.shown = moment && { moment, question, rights };
    this.draw();
  }

  draw() {
    if (!this.shown) return this.player.extras.replaceChildren();
    const { moment, question, rights } = this.shown;
    const kept = keepable(moment, question);
    this.player.extras.replaceChildren(
      this.#keepButton(kept),
      ...(question.query && rights.may_change ? this.#thumbs(moment, question.query) : []),
      iconButton("alike", words.alike, () => this.ask({ like: moment })),
      iconButton("link", words.link, () => this.#copyLink()),
      ...(rights.may_export ? this.#downloads(kept) : []),
    );
  }

  #keepButton(kept) {
    const held = this.basket.holds(kept);
    const properties = { type: "button", class: "button keep", title: words.keepHint };
    return h(
      "button",
      { ...properties, "aria-pressed": String(held), onclick: () => this.basket.toggle(kept) },
      icon(held ? "tick" : "plus"),
      held ? words.kept : words.keep,
    );
  }

  #thumbs(moment, query) {
    const say = async (thumb) => {
      const good = moment.rated === thumb ? null : thumb; // pressed again, it is taken back
      const { video, start, end } = moment;
      const answer = await this.server.rate({ query, video, start, end, good });
      if (!answer || answer.error) return this.tell(answer?.error ?? words.unreachable);
      moment.rated = good;
      this.tell(good === null ? words.withdrawn : words.heeded);
      this.draw();
    };
    const thumb = (name, label, good) =>
      iconButton(name, label, () => say(good), {
        "aria-pressed": String(moment.rated === good),
      });
    return [thumb("like", words.right, true), thumb("dislike", words.wrong, false)];
  }

  #downloads(kept) {
    const link = (name, label, href, more) => {
      const properties = { class: "tool", href, download: "", "aria-label": label, title: label };
      return h("a", { ...properties, ...more }, icon(name));
    };
    // The picture on the screen is another one at every press.
    const now = () => address(`picture/${this.player.video.id}/${this.player.time.toFixed(3)}`);
    return [
      link("camera", words.savePicture, "", {
        onclick: ({ currentTarget }) => (currentTarget.href = now()),
      }),
      saveMenu(kept),
    ];
  }

  async #copyLink() {
    try {
      // There is no clipboard where the page comes over plain http from another computer.
      await navigator.clipboard.writeText(location.href);
      this.tell(words.copied);
    } catch {
      this.tell(words.notCopied(location.href));
    }
  }
}

/** Two ways to save the clip, each with what it costs. */
function saveMenu(moment) {
  const choice = (label, hint, how) =>
    h(
      "a",
      { href: exportAddress("film.mp4", [moment], how), download: "" },
      h("strong", {}, label),
      h("span", { class: "detail" }, hint),
    );
  const menu = h(
    "details",
    { class: "menu" },
    h(
      "summary",
      { class: "tool", "aria-label": words.saveClip, title: words.saveClip },
      icon("download"),
    ),
    h(
      "div",
      { class: "menu-panel" },
      choice(words.exactClip, words.exactHint),
      choice(words.copiedClip, words.copiedHint, { copy: true }),
    ),
  );
  const close = ({ target }) => {
    if (!menu.isConnected) return document.removeEventListener("click", close);
    if (!menu.querySelector("summary").contains(target)) menu.open = false;
  };
  document.addEventListener("click", close);
  return menu;
}

/** What the basket keeps of a moment. */
function keepable({ video, name, start, end, best, strength }, { query = "" }) {
  return { video, name, start, end, best, strength, query };
}
