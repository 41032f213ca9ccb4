// Every English sentence of the page, in one place.

import { clock } from "./dom.js";

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

/** A length of time as people say it: "1 h 24 min", "3 min", "12 s". */
function duration(seconds) {
  if (seconds >= 3570) {
    const minutes = Math.round(seconds / 60);
    return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  }
  if (seconds >= 90) return `${Math.round(seconds / 60)} min`;
  return `${Math.max(0, Math.round(seconds))} s`;
}

/** A time with its hours, as it stands on a card: 00:01:12. */
const hours = (seconds) => (seconds < 3600 ? `00:${clock(seconds)}` : clock(seconds).padStart(8, "0"));

export const words = {
  brand: "Moments",
  headline: "Type what happens. Watch the moment.",
  ask: "What happens in it?",
  askPlaceholder: "a dog runs on the beach",
  search: "Search",
  home: "Library",
  theme: "Light or dark",

  try: "Try ",

  searching: "Looking through the library",
  strong: (moments, videos) =>
    `${count(moments, "moment", "moments")} in ${count(videos, "video", "videos")}`,
  possible: (moments) => `No clear match. ${count(moments, "moment", "moments")} that might be it`,
  none: "Nothing here looks like that",
  noneHint: "Try other words for the same thing, or fewer of them.",
  weak: (moments) => count(moments, "weak match", "weak matches"),
  unknown: (list) =>
    list.length === 1
      ? `The word “${list[0]}” is not known and was left out.`
      : `The words ${list.map((word) => `“${word}”`).join(", ")} are not known and were left out.`,
  hardly: (list) =>
    `Moments has hardly seen anything called ${list.map((word) => `“${word}”`).join(", ")}, so this is a guess.`,
  partly: (there, missing) => {
    const quoted = (list) => list.map((part) => `“${part}”`).join(" and ");
    return `Something looks like ${quoted(there)}, and nothing like ${quoted(missing)}.`;
  },
  near: "Did you mean",
  negated: (word) => `What follows “${word}” was looked for, not left out.`,
  leaveOut: "To leave something out, write -word beside what to look for.",
  strength: { strong: "strong", possible: "possible", none: "weak" },
  // To the nearest second: 11.9 s is the twelfth second to everybody.
  span: ({ start, end }) => `${hours(Math.round(start))} – ${hours(Math.round(end))}`,
  also: (count) => (count === 1 ? "Same footage in another video" : `Same footage in ${count} other places`),
  strengthLabel: (percent) => `Match strength ${percent} of 100`,
  strengthMeaning: (percent) =>
    // No measurement of some hundred answers tells 99 from 100.
    `Match strength ${percent} of 100: of first answers as strong as this, ${percent < 98 ? `about ${percent} in 100` : "nearly all"} were right where it was measured`,
  strengthAlike: (percent) =>
    `Match strength ${percent} of 100; how often that is right was measured for words only`,
  sense: { seen: "seen", said: "said", written: "written" },
  foundBy: (senses) => senses.map((sense) => words.sense[sense]).join(" and "),
  flat: "Best first",
  grouped: "By video",
  arrange: "Order of results",
  inside: (name) => `in ${name}`,
  everywhere: "Search the whole library",
  videoNumber: (id) => `video ${id}`,
  only: "Search inside this video",
  emptySearched: "There is nothing to search yet: no video has been read",
  noneChosen: "No video is left to search: the filter leaves all of them out",
  /** Errors come as one line without a capital, to stand behind a name. */
  sentence: (text) => text.charAt(0).toUpperCase() + text.slice(1),

  filters: "Search only some videos",
  folder: "Folder",
  anyFolder: "All folders",
  from: "From",
  to: "To",
  byFile: "By the date of the file",
  camera: "Camera",
  near_: "Near (latitude, longitude, distance)",
  nearPlaceholder: "52.5, 13.4, 20 km",
  longer: "At least (minutes)",
  clear: "Search everything",

  player: "Player",
  play: "Play (space)",
  pause: "Pause (space)",
  loop: "Repeat the moment (R)",
  next: "Next moment (right arrow)",
  previous: "Previous moment (left arrow)",
  frameBack: "One frame back (comma)",
  frameForward: "One frame on (full stop)",
  speed: "Speed",
  leadIn: "Lead-in",
  leadInOption: (seconds) => (seconds ? `${seconds} s before` : "No lead-in"),
  mute: "Sound on or off (M)",
  full: "Full screen (F)",
  close: "Close the player (Escape)",
  noPicture: (name) => `${name}: not a picture that this browser can read.`,
  noPlay: "The browser cannot play this file.",
  preparing: "Preparing a preview of the moment",
  why: "Why this moment",
  whyAdded: "What each word adds",
  whyAddedNote:
    "How far the match strength falls, second by second, when the word is left out; in amber where it rises. The number is that of the best second.",
  whyLooked: "Where each word looked",
  whyLookedNote:
    "Attention in the co-attention network, averaged over its blocks and heads, each word against its own highest second. The network finds the moments of questions in two parts (a dog runs, then it jumps); others are read off the match curve. It shows where words looked, which is not the same as what decided.",
  whyUnread: {
    weights:
      "Nothing to show: the weights in use have no second stage in which words look at the video.",
    form: "Nothing to show: questions with AND, THEN or a minus sign are answered from the match curves alone.",
  },
  whyAlone: "How strongly each word matches alone",
  whyAloneNote: "The answer weighs the words together, so it is not their sum.",
  transcript: "Transcript",
  tracks: { said: "What is said", written: "What is written" },
  trackFrom: (origin, language) => (language ? `${origin}, ${language}` : origin),
  findInTranscript: "Find in the transcript",
  foundLines: (number) => count(number, "line", "lines"),
  nextFound: "Next line with it",
  makeMoment: "Make a moment of it",
  makeMomentHint: "Of the selected text; where nothing is selected, of the line that plays",
  playFrom: (start) => `Play from ${clock(start)}`,
  captions: "Captions (C)",
  timeline: "Timeline of the whole video: match strength, cuts and moments",
  edge: { start: "Start of the moment", end: "End of the moment" },
  zoomIn: "Zoom in",
  zoomOut: "Zoom out",
  fit: "Show the whole video",

  help: "How to ask, and the keys (?)",
  helpTitle: "How to ask, and the keys",
  closeHelp: "Close",
  asking: "Ways to ask",
  askingForms: [
    ["a dog runs on the beach", "what happens, in plain words"],
    ["a dog AND a ball", "both at the same time"],
    ["a beach -crowd", "without what follows the minus sign"],
    ["a street NOT a parked car", "the same with several words, up to the next word in capitals"],
    ["a man opens a door THEN sits down WITHIN 20", "one after the other, at most so many seconds apart"],
    ["said:\"thank you\"", "what is said, word for word; plain words look there, too"],
    ["written:exit", "what is to be read in the picture"],
    ["said:goal THEN a crowd cheering WITHIN 20", "AND, THEN, NOT and minus join what is seen, said and written"],
    ["a picture", "dropped on the page, pasted, or chosen with the button in the box"],
    ["more like this moment", "the button with two squares under the player"],
  ],
  strip: "The strip under the player",
  stripHelp:
    "The whole video: how strongly every second matches, thin lines where shots change, a band for each moment. Click to go there; turn the wheel to zoom; drag the edges of the chosen moment to correct them.",
  keyboard: "Keys",
  keys: [
    ["space, K", "play, pause"],
    ["← →", "previous, next moment"],
    ["J L", "a second back, on"],
    [", .", "a frame back, on"],
    ["R", "repeat the moment"],
    ["M F", "sound, full screen"],
    ["C", "captions"],
    ["/ ?", "to the search box, this page"],
    ["Esc", "close the player"],
  ],

  searchedWith: (name) => `Searched with ${name}`,
  ownEncoder: "the built-in encoder",
  uncalibratedShort: "uncalibrated",
  uncalibrated:
    "Uncalibrated: for the encoder in use strength and verdict are guesses. `calibrate` on the command line fits them.",
  strengthUncalibrated: (percent) =>
    `Match strength ${percent} of 100, uncalibrated: how often that is right was not measured for this encoder`,
  encoderName: "Another encoder",
  encoderPlaceholder: "Another encoder: a short name, OWNER/NAME of the hub, or a folder",
  encoderHint:
    "Another encoder is read in, in the background, while the one in use answers. One that is not here yet is downloaded first. “default” is the built-in one; docs/ENCODERS.md says what to take.",
  takeEncoder: "Take it",
  encoderProgress: "Videos read with the other encoder",
  readWith: (name, share) => `reading with ${name}, ${Math.floor(share * 100)} %`,
  readText: "Read text in the pictures, after everything else",
  finding: ({ speech, text, left, name, sense, fraction }) => {
    const doing = sense === "said" ? "Listening to" : "Reading text in";
    const now = name ? `${doing} ${name}, ${Math.floor(fraction * 100)} %. ` : "";
    if (left) return `${now}${count(left, "search", "searches")} for words left.`;
    if (speech) return `What is said is listened to with ${speech}; nothing is left to do.`;
    return text ? "Nothing is left to read." : "Nobody listens to what is said.";
  },

  drop: "Drop videos anywhere on this page",
  dropNow: "Drop videos to add them, or a picture to search by it",
  choose: "Choose files",
  path: "Folder or file on this computer",
  pathPlaceholder: "Folder or file on this computer",
  add: "Add",
  rescan: "Look for changes",
  rescanHint: "Look again at the folders that were added: for new, changed and missing files",
  rescanning: "Looking",
  rescanned: ({ added, changed, back, missing, growing, problems }) => {
    const found = [
      [added, "new"],
      [changed, "changed"],
      [back, "found again"],
      [missing, "missing"],
      [growing, "still being copied"],
    ].filter(([number]) => number);
    const said = found.length
      ? `Videos: ${found.map(([number, what]) => `${number} ${what}`).join(", ")}.`
      : "Nothing has changed.";
    return [said, ...problems.map(words.sentence)].join(" ");
  },
  readOnly: "This library can be searched here, not changed.",
  empty: "No videos yet",
  emptyHint:
    "Drop a few videos here. They are read once on this computer; after that, any sentence finds its moment.",
  videos: (number, seconds) => `${count(number, "video", "videos")}, ${duration(seconds)}`,
  notAdded: (number) => `${number} not added`,
  facts: ({ width, height, codec, fps, rows }) =>
    `${width}×${height}, ${codec}, ${Math.round(fps * 100) / 100} frames a second, ${rows} s read`,
  recorded: ({ day, time, told }) =>
    told ? `recorded ${day} at ${time}` : `file of ${day}, it does not say when it was recorded`,
  at: ([latitude, longitude]) => `at ${latitude.toFixed(4)}, ${longitude.toFixed(4)}`,
  order: "Order of the library",
  orders: { added: "As added", recorded: "Newest recordings first", day: "By day" },
  day: (day, told) => (told ? day : `${day}, by the date of the file`),
  speedOfReading: (bytes) =>
    `${bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`} a second`,
  left: (seconds) => `${duration(seconds)} left`,
  state: {
    new: "Waiting",
    unread: "Not read yet",
    waiting: "Waiting until it can be read whole",
    indexing: "Reading",
    paused: "Paused",
    uploading: "Uploading",
    refused: "Not added",
    missing: "Not where it was",
    "partly readable": "Partly readable",
  },
  readSoFar: (share) => `Reading, ${Math.floor(share * 100)} %`,
  adding: (number) => `Adding ${count(number, "video", "videos")}`,
  more: (number) => `and ${count(number, "more", "more")} waiting`,
  pauseAll: "Pause",
  resumeAll: "Resume",
  cancel: "Cancel",
  cancelAll: "Cancel all",
  dismiss: "Dismiss",
  retry: "Try again",
  remove: "Remove from the library",
  removeSure: ({ name, copied }) =>
    `Remove “${name}” from the library? ${copied ? "The library's copy is deleted; the file you added stays where you had it." : "The file itself stays."}`,
  filter: "Filter by name",
  progress: "Videos being added",

  unreachable: "The server does not answer. Is it still running?",
  right: "This is right, with these edges: later answers will heed it. A second press takes it back",
  wrong: "This is wrong: later answers will heed it. A second press takes it back",
  heeded: "Thank you. Later answers to similar questions will heed it. A second press takes it back.",
  withdrawn: "Taken back: what you said of this moment is forgotten.",
  alike: "More like this moment",
  likeMoment: ({ name, start }) => `like ${name} at ${clock(start)}`,
  likePicture: "like this picture",
  askPicture: "Search by a picture",
  forget: "Ask something else",
  basket: "Basket",
  basketEmpty: "Moments that you keep while watching gather here, from any number of searches.",
  closeBasket: "Close the basket",
  keep: "Keep",
  kept: "Kept",
  keepHint: "Keep this moment in the basket, or take it out",
  takeOut: "Take out of the basket",
  saveClip: "Save this clip",
  exactClip: "Exact clip",
  exactHint: "Encoded anew: begins and ends on the very frame.",
  copiedClip: "Quick copy",
  copiedHint:
    "As it is in the file, at once and without loss; begins at the key frame before, often some seconds early.",
  savePicture: "Save this picture",
  films: "Video",
  lists: "Lists",
  film: "One film",
  clips: "Single clips",
  copies: "Copied clips",
  copiesHint:
    "Film and single clips are encoded anew and exact to the frame. Copied ones are made at once and lose nothing, but begin at the key frame before the moment, often some seconds early.",
  csv: "Table (CSV)",
  json: "JSON",
  edl: "Edit list (EDL)",
  markers: "Resolve markers",
  otio: "OpenTimelineIO",
  fcpxml: "Final Cut Pro",
  xmeml: "Premiere XML",
  srt: "SRT",
  vtt: "WebVTT",
  chapters: "YouTube chapters",
  link: "Copy a link to this moment",
  copied: "Link copied",
  notCopied: (link) => `The browser does not let this page copy. The link: ${link}`,
  making: "Being made; the download starts by itself.",
  saved: (name) => `${name} is among your downloads.`,
  duration,
};
