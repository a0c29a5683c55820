// Runs before the page is drawn, so that it does not appear in the wrong colours first.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("trapline.theme");
  } catch {
    // Storage is off: the theme of the system is used.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
