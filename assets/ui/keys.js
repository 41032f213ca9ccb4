// The keyboard: what docs/PAGE.md lists.

/** Listen for keys; typing into a field and the browser's own shortcuts are left alone. */
export function listen({ player, search, step, close }) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range]), textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = action(event, { player, search, step, close });
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function action(event, { player, search, step, close }) {
  if (event.key === "/") return search;
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
    Escape: close,
  }[event.key];
}
