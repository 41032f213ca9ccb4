// Light or dark: the system decides until the visitor does, and the visitor's choice is kept.

const root = document.documentElement;

export function recallTheme() {
  root.style.colorScheme = localStorage.getItem("theme") ?? "";
}

export function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.style.colorScheme = (root.style.colorScheme || system) === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.style.colorScheme);
  document.dispatchEvent(new Event("theme")); // what is painted by hand is painted anew
}
