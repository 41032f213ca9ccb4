// "A street without people": plain words for leaving something out are not understood, because the
// search knows no negation. The forms with a minus sign or NOT in capitals are; this writes the former.

const NEGATION = /(?:^|\s)(no|not|without|never|don['’]?t)\s+(?=\S)/i;
const LEFT_OUT = /(?:^|\s)(?:-["\p{L}]|NOT\s)/u;
// Where the thing to leave out ends, and the words that join two of them.
const END = /\s+(?=(?:on|in|at|by|near|with|under|over|behind|to|from|of|while|AND|THEN|WITHIN)\s)|\s*[,.;]\s*/;
const JOINED = /\s+(?:and|or|nor)\s+/i;
// Left over beside a thing that is left out, these mean nothing.
const DANGLING = /\s*\b(?:a|an|the|and|but|or|with|is|are|was|were|does|do|did|has|have|there|that|who|which|it|on|in|at)$/i;
const LEADING = /^(?:on|in|at|by|near|with|and|but|of|to)\s+/i;
const BEFORE = /^(?:(?:no|not|without|never|a|an|the|any)\s+)+/i;
const ASKING = /^(?:please\s+)?(?:show|find)(?:\s+me)?$/i;

/** The word that negates in a question; nothing where none does or something is left out already. */
export function negation(query) {
  return LEFT_OUT.test(query) ? null : (NEGATION.exec(query)?.[1] ?? null);
}

/** The question with minus signs instead; nothing where nothing would be left to look for. */
export function withMinus(query) {
  let wanted = query.trim().replace(/[?!.\s]+$/, "");
  const avoided = [];
  for (let found; (found = NEGATION.exec(wanted)); ) {
    const before = wanted.slice(0, found.index);
    const after = wanted.slice(found.index + found[0].length);
    const end = END.exec(after);
    avoided.push(...(end ? after.slice(0, end.index) : after).split(JOINED));
    wanted = tidy(before, end ? after.slice(end.index + end[0].length) : "");
  }
  if (!wanted || ASKING.test(wanted)) return null;
  return [wanted, ...avoided.map(minus)].filter(Boolean).join(" ");
}

function tidy(before, after) {
  let kept = before.trim();
  while (DANGLING.test(kept)) kept = kept.replace(DANGLING, "");
  kept = kept.replace(/[,;]$/, "");
  return kept ? `${kept} ${after}`.trim() : after.trim().replace(LEADING, "");
}

function minus(thing) {
  const bare = thing.replaceAll('"', "").trim().replace(BEFORE, "");
  if (!bare) return "";
  return /^\p{L}\S*$/u.test(bare) ? `-${bare}` : `-"${bare}"`;
}
