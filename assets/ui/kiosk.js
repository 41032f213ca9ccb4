// A screen in public: nobody tidies up after the last visitor, so the page does.

const IDLE = 60_000; // milliseconds without a visitor

/** Moments repeat, and a minute without anybody leads back to the start. */
export function startKiosk({ player, home }) {
  let idle;
  const wake = () => {
    clearTimeout(idle);
    idle = setTimeout(home, IDLE);
  };
  document.body.classList.add("kiosk");
  player.setLoop(true);
  for (const type of ["pointerdown", "pointermove", "keydown"]) document.addEventListener(type, wake);
  wake();
}
