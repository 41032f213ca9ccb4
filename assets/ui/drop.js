// Dropping files on the page, and whole folders of them.

/** Dropping files anywhere on the page calls `take` with them; a veil shows where they will go. */
export function dropAnywhere(veil, take) {
  // Entering a child leaves its parent: only the balance tells whether the pointer is inside.
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const handle = (type, act) =>
    document.addEventListener(type, (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      act(event);
      veil.hidden = depth <= 0;
    });
  handle("dragenter", () => depth++);
  handle("dragleave", () => depth--);
  handle("dragover", () => {});
  handle("drop", async ({ dataTransfer }) => {
    depth = 0;
    take(await filesOf(dataTransfer));
  });
}

/** The files of a drop; of a folder, every file in it that is named like a video. */
async function filesOf(dataTransfer) {
  const files = [...dataTransfer.files];
  // Read before the first wait: the browser empties the list when the event is over.
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory);
  if (!folders.length) return files;
  const plain = files.filter((_, place) => !entries[place]?.isDirectory);
  const inside = await Promise.all(folders.map(filesIn));
  return [...plain, ...inside.flat().filter(({ type }) => type.startsWith("video/"))];
}

async function filesIn(folder) {
  const reader = folder.createReader();
  const found = [];
  // A reader gives some entries at a time, and none when it is through.
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found;
    for (const entry of some) {
      if (entry.isDirectory) found.push(...(await filesIn(entry)));
      else found.push(await new Promise((done, fail) => entry.file(done, fail)));
    }
  }
}
