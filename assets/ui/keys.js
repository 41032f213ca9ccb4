// The keyboard: what docs/PAGE.md lists.

/** Listen for keys; typing into a field and the browser's own shortcuts are left alone. */
export function listen(page) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range]), textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = action(event, page);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function action(event, { player, search, step, close, help }) {
  if (document.querySelector("dialog[open]")) return null; // a dialog has its own
  if (event.key === "/") return search;
  if (event.key === "?") return help;
  // A slider keeps the keys that move it.
  const sliding = event.target.closest?.("input[type=range]");
  if (sliding && event.key.startsWith("Arrow")) return null;
  // Space on a focused button must keep pressing that button.
  const pressing = event.target.closest?.("button:not(.card), summary, a");
  if (!player.video || (event.key === " " && pressing)) return null;
  return {
    " ": () => player.toggle(),
    k: () => player.toggle(),
    j: () => player.seek(player.time - 1),
    l: () => player.seek(player.time + 1),
    ",": () => player.frame(-1),
    ".": () => player.frame(1),
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    r: () => player.setLoop(!player.looping),
    m: () => player.mute(),
    f: () => player.full(),
    c: () => player.transcript.setCaptions(!player.transcript.captions),
    Escape: close,
  }[event.key];
}
