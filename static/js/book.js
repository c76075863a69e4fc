// The pages of the book: keys to go from day to day, filters that send themselves, and a board that is fetched anew
// each minute without disturbing whoever works in it. Everything works without.

const $ = (selector, root = document) => root.querySelector(selector);

// --- Keys ----------------------------------------------------------------------------------------------------------

const KEYS = { n: "next", ArrowRight: "next", p: "previous", ArrowLeft: "previous", t: "today" };

document.addEventListener("keydown", (event) => {
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey && !event.isComposing;
  if (!isPlain || event.defaultPrevented || !$("#keys-on")?.checked || $("dialog[open]")) return;
  // Fields type, radios choose and scroll boxes scroll by the same keys.
  if (event.target.closest("input, textarea, select, [contenteditable], [role=region]")) return;
  const rightToLeft = document.documentElement.dir === "rtl" && event.key.startsWith("Arrow");
  const wish = rightToLeft ? { ArrowRight: "previous", ArrowLeft: "next" }[event.key] : KEYS[event.key];
  const link = wish && $(`[data-key="${wish}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

// --- Filters send themselves; their button is for pages without script -----------------------------------------------

for (const form of document.querySelectorAll("form[data-sends]")) {
  $("button", form).hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}

// --- A phone has no room for columns: who did not ask for them gets the list ----------------------------------------------

const narrow = $("[data-narrow]")?.dataset.narrow;
if (narrow && matchMedia("(max-width: 760px)").matches && !new URLSearchParams(location.search).has("view")) {
  location.replace(narrow);
}

// --- Of today, what happens about now is in sight -------------------------------------------------------------------------

const now = $(".agenda .now-line");
if (now) $(".agenda").scrollTop = Math.max(0, now.offsetTop - $(".agenda").clientHeight / 3);

// --- The minute's refresh ------------------------------------------------------------------------------------------

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!event.detail.elt.matches("[data-refreshes]")) return;
  const board = $("#board");
  const types = board?.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  const isBusy = board && $("form[data-busy], .is-dragged", board);
  if (types || isBusy || document.hidden || $("dialog[open]")) event.preventDefault();
});

// Coming back to a window that stood in the background: what it shows is old.
document.addEventListener("visibilitychange", () => {
  const refresher = $("[data-refreshes]");
  if (!document.hidden && refresher && window.htmx) window.htmx.trigger(refresher, "shown");
});

$("[data-first]")?.focus({ preventScroll: true });
