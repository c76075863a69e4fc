// Runs before the first paint, so that a dark screen never flashes white. The admin reads its choice from storage, so it is handed on.
(() => {
  // A cookie, because signing out clears the browser's storage.
  const choice = /(?:^|; )theme=(auto|light|dark)/.exec(document.cookie)?.[1] ?? "auto";
  document.documentElement.dataset.theme = choice;
  try { localStorage.setItem("theme", choice); } catch { /* storage switched off: the admin follows the device */ }
  document.documentElement.classList.add("js");
})();
