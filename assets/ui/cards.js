// The answer to a query: one honest line, then a card a moment; weak matches stay folded away.

import { h } from "./dom.js";
import { filmUnderPointer, picture } from "./pictures.js";
import { negation, withMinus } from "./negation.js";
import { words } from "./words.js";

const MOST_WEAK = 6; // weak matches that are worth folding away; further ones are noise

/** One moment as a card; `choose` is called with the moment when it is pressed. */
function card(moment, number, { choose, meaning, best }) {
  const percent = Math.round(moment.strength * 100);
  const span = words.span(moment);
  const shown = picture(moment.video, moment.best);
  const frame = h("span", { class: "frame" }, shown, h("span", { class: "span" }, span));
  const meter = h(
    "span",
    {
      class: `meter ${moment.verdict}`,
      // What was measured is how often the first answer of a question is right.
      title: moment === best ? meaning(percent) : words.strengthLabel(percent),
    },
    h("span", {}),
  );
  meter.firstChild.style.width = `${Math.max(3, percent)}%`;
  const quotes = moment.words ?? []; // a moment out of a link has none
  const found = quotes.length ? `, ${words.foundBy(moment.sense)}: ${quotes.map(({ text }) => text).join(" ")}` : "";
  const button = h(
    "button",
    {
      type: "button",
      class: "card",
      "data-key": key(moment),
      "aria-label": `${moment.name}, ${span}, ${words.strengthLabel(percent)}${found}`,
      onclick: () => choose(moment),
    },
    frame,
    h(
      "span",
      { class: "facts" },
      h("span", { class: "name" }, moment.name),
      h("span", { class: "strength" }, meter, h("span", {}, words.strength[moment.verdict])),
    ),
    quotes.map((quote, place) => quoteLine(quote, place === 0 && moment.sense.includes("seen"))),
  );
  filmUnderPointer(button, frame, moment);
  return h("li", { style: `--order: ${Math.min(number, 12)}` }, button, alsoIn(moment, choose));
}

/** Other videos with the same footage, folded away; each can be watched instead. */
function alsoIn(moment, choose) {
  if (!moment.also?.length) return null; // nor has a moment out of a link any
  const watch = (place) =>
    choose({ ...moment, ...place, best: (place.start + place.end) / 2, rated: null, also: [] });
  return h(
    "details",
    { class: "also" },
    h("summary", {}, words.also(moment.also.length)),
    h(
      "ul",
      {},
      moment.also.map((place) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => watch(place) },
            h("span", { class: "name" }, place.name),
            h("span", { class: "time" }, words.span(place)),
          ),
        ),
      ),
    ),
  );
}

/** What is said or written there, around the first word that was asked for; `seen`: in pictures, too. */
function quoteLine({ sense, text, matched }, seen) {
  const first = matched[0]?.[0] ?? 0;
  const from = first < 60 ? 0 : text.lastIndexOf(" ", first - 40) + 1;
  const pieces = [from ? "… " : ""];
  let at = from;
  for (const [start, end] of matched.filter(([start]) => start >= from)) {
    pieces.push(text.slice(at, start), h("mark", {}, text.slice(start, end)));
    at = end;
  }
  return h(
    "span",
    { class: "quote", title: text },
    seen ? h("span", { class: "sense" }, words.sense.seen) : null,
    h("span", { class: "sense" }, words.sense[sense]),
    ...pieces,
    text.slice(at),
  );
}

/** What tells one moment from another on the page. */
export function key(moment) {
  return `${moment.video}:${moment.start}:${moment.end}`;
}

function list(moments, options) {
  return h(
    "ol",
    { class: "cards" },
    moments.map((moment, number) => card(moment, number, options)),
  );
}

function byVideo(moments, options) {
  const groups = Map.groupBy(moments, ({ video }) => video);
  return [...groups.values()].map((group) =>
    h("section", { class: "group-of-video" }, h("h3", {}, group[0].name), list(group, options)),
  );
}

const chip = (text, onclick) => h("button", { type: "button", class: "chip", onclick }, text);

/** Known words near those that nobody knows, or near slips, as buttons that ask again. */
function nearWords(query, unknown, ask) {
  const offers = unknown.flatMap(({ word, near }) =>
    near.map((other) => chip(other, () => ask(corrected(query, word, other)))),
  );
  return offers.length ? h("p", { class: "unknown" }, words.near, " ", ...offers) : null;
}

function unknownWords(answer, ask) {
  if (!answer.unknown.length) return null;
  const said = words.unknown(answer.unknown.map(({ word }) => word));
  const near = nearWords(answer.query, answer.unknown, ask);
  near?.prepend(`${said} `);
  return near ?? h("p", { class: "unknown" }, said);
}

/** Names of things of which the answer is less sure, because hardly a picture was called so. */
function hardlySeen({ hardly_seen: named, verdict }) {
  return named?.length && verdict !== "none" ? h("p", { class: "unknown" }, words.hardly(named)) : null;
}

/** Which part of a question is shown, and which is not. */
function partly({ there, missing }) {
  return missing?.length ? h("p", { class: "unknown" }, words.partly(there, missing)) : null;
}

/** Where a question negates in plain words: that it is not heeded, and the form that is. */
function negated({ query }, ask) {
  const word = negation(query);
  if (!word) return null;
  const better = withMinus(query);
  const offer = better ? [words.near, " ", chip(better, () => ask(better))] : [words.leaveOut];
  return h("p", { class: "unknown" }, words.negated(word), " ", ...offer);
}

/** The query with another word in the place of `word`, which is in small letters whatever was typed. */
function corrected(query, word, other) {
  const at = query.toLowerCase().indexOf(word);
  return at < 0 ? other : query.slice(0, at) + other + query.slice(at + word.length);
}

function headline(answer, shown, why) {
  if (why) return [h("h2", {}, why)];
  if (answer.verdict === "none")
    return [h("h2", {}, words.none), h("p", { class: "hint" }, words.noneHint)];
  if (answer.verdict === "possible") return [h("h2", {}, words.possible(shown.length))];
  return [h("h2", {}, words.strong(shown.length, new Set(shown.map(({ video }) => video)).size))];
}

/**
 * The whole answer as elements.
 * @param {{grouped: boolean, choose: (moment) => void, ask: (text) => void,
 *   arrange: (grouped) => void, meaning: (percent) => string, why: string,
 *   everywhere?: () => void}} options  `meaning` of a strength; `why` there can be no answer;
 *   `everywhere` searches all videos where the one that was to be searched is not there
 */
export function answerView(answer, { grouped, ask, arrange, why, everywhere, ...rest }) {
  const options = { ...rest, best: answer.moments[0] };
  if (answer.uncalibrated) options.meaning = words.strengthUncalibrated;
  if (answer.error)
    return [
      h("p", { class: "error", role: "alert" }, words.sentence(answer.error)),
      nearWords(answer.query, answer.unknown, ask),
      everywhere ? h("p", {}, chip(words.everywhere, everywhere)) : null,
    ].filter(Boolean);
  const shown = answer.moments.filter(({ verdict }) => verdict !== "none");
  const weak = answer.moments.filter(({ verdict }) => verdict === "none").slice(0, MOST_WEAK);
  const order = shown.length > 1 ? arrangement(grouped, arrange) : null;
  return [
    h("div", { class: "verdict" }, h("div", { role: "status" }, headline(answer, shown, why)), order),
    answer.uncalibrated ? h("p", { class: "hint" }, words.uncalibrated) : null,
    unknownWords(answer, ask),
    answer.slips ? nearWords(answer.query, answer.slips, ask) : null,
    hardlySeen(answer),
    partly(answer),
    negated(answer, ask),
    grouped ? byVideo(shown, options) : list(shown, options),
    weak.length
      ? h(
          "details",
          { class: "weak" },
          h("summary", {}, words.weak(weak.length)),
          list(weak, options),
        )
      : null,
  ]
    .flat()
    .filter(Boolean);
}

function arrangement(grouped, arrange) {
  const option = (value, text) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(grouped === value), onclick: () => arrange(value) },
      text,
    );
  return h(
    "div",
    { class: "switch", role: "group", "aria-label": words.arrange },
    option(false, words.flat),
    option(true, words.grouped),
  );
}

/** Grey places where the cards will be. */
export function skeletons() {
  return [
    h("div", { class: "verdict" }, h("h2", { class: "quiet", role: "status" }, words.searching)),
    h(
      "ol",
      { class: "cards", "aria-hidden": "true" },
      Array.from({ length: 6 }, () =>
        h(
          "li",
          {},
          h(
            "div",
            { class: "card ghost" },
            h("span", { class: "frame" }),
            h("span", { class: "facts" }),
          ),
        ),
      ),
    ),
  ];
}
