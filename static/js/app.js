// What pages do beyond links and forms. Everything works without it except live search.
// No patient data is kept in the browser: two cookies say which colours, and whether single keys are on.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const announcer = $("#announcer");
const failure = $("#failure");

function remember(key, value) {
  document.cookie = `${key}=${value}; path=/; max-age=31536000; samesite=lax`;
}

// --- Saying things -------------------------------------------------------------------------------------------------

function announce(text) {
  announcer.textContent = "";
  // A fresh text node, so that the same sentence is read a second time too.
  requestAnimationFrame(() => { announcer.textContent = text; });
}

function sayFailed(text) {
  failure.textContent = text;
  failure.hidden = false;
  setTimeout(() => { failure.hidden = true; }, 10000);
}

// --- Colours -------------------------------------------------------------------------------------------------------

function showTheme(choice) {
  document.documentElement.dataset.theme = choice;
  try { localStorage.setItem("theme", choice); } catch { /* see theme.js */ }
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
}

// --- Dialogs and menus: native; only the opening is ours -------------------------------------------------------------

document.addEventListener("click", (event) => {
  const theme = event.target.closest("[data-theme-choice]");
  if (theme) {
    remember("theme", theme.dataset.themeChoice);
    showTheme(theme.dataset.themeChoice);
  }
  const opener = event.target.closest("[data-opens]");
  if (opener) openDialog(opener.dataset.opens);
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
  if (event.target instanceof HTMLDialogElement && event.target.id === "help") event.target.close();
});

function openDialog(id) {
  for (const menu of document.querySelectorAll("[popover]")) if (menu.matches(":popover-open")) menu.hidePopover();
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

// --- Copying: a text, or what stands in a field ---------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const copier = event.target.closest("[data-copies], [data-copies-from]");
  if (!copier) return;
  const field = document.getElementById(copier.dataset.copiesFrom);
  field?.select();
  try {
    await navigator.clipboard.writeText(field ? field.value : copier.dataset.copies);
  } catch {
    return; // without https, or refused: it stands there selected
  }
  announce(copier.dataset.done);
  copier.lastChild.textContent = copier.dataset.done;
});

// --- Keys ----------------------------------------------------------------------------------------------------------

const keysBox = $("#keys-on");
let waitsForPlace = 0;

if (keysBox) {
  keysBox.checked = !document.cookie.includes("keys=off");
  keysBox.addEventListener("change", () => remember("keys", keysBox.checked ? "on" : "off"));
}

function focusSearch() {
  $("#search-words").focus();
  $("#search-words").select();
}

const isTyping = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.form;
    if (form?.method === "post") {
      event.preventDefault();
      form.requestSubmit();
    }
    return;
  }
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
  if (!isPlain || !keysBox?.checked || isTyping(event.target) || $("dialog[open]")) return;
  const goes = event.timeStamp < waitsForPlace && $(`[data-go="${CSS.escape(event.key)}"]`);
  waitsForPlace = 0;
  if (goes) goes.click();
  else if (event.key === "g") waitsForPlace = event.timeStamp + 1500;
  else if (event.key === "/" && $("#search-words")) focusSearch();
  else if (event.key === "?") openDialog("help");
  else return;
  event.preventDefault();
});

// --- Forms: not sent twice, not left half-filled by accident ---------------------------------------------------------

const isDirty = (form) => form.dataset.dirty === "yes" && form.isConnected;

for (const kind of ["input", "change"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.form;
    if (form?.matches("[data-guard]")) form.dataset.dirty = "yes";
  });
}

addEventListener("beforeunload", (event) => {
  if ([...document.querySelectorAll("form[data-guard]")].some(isDirty)) event.preventDefault();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.busy) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  setBusy(form, true);
  // A form that answers with a file leaves this page standing; it has to be usable again.
  setTimeout(() => setBusy(form, false), 20000);
  delete form.dataset.dirty;
  announce(announcer.dataset.saving);
}, true);

function setBusy(form, busy) {
  if (busy) form.dataset.busy = "yes";
  else delete form.dataset.busy;
  // aria-disabled and not disabled: the pressed button's own value still has to be sent, and it keeps the focus.
  for (const button of form.querySelectorAll("button:not([type=button])")) {
    if (busy) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
}

// Back by the browser's cache: the form has to be usable again.
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const form of document.querySelectorAll("form[data-busy]")) setBusy(form, false);
});

// Filters carry along what stands in the search by now, not what stood there when the page came.
document.addEventListener("formdata", (event) => {
  const words = $("#search-words")?.value;
  if (words === undefined || !event.target.dataset.keep?.split(" ").includes("q")) return;
  if (words) event.formData.set("q", words);
  else event.formData.delete("q");
});

// --- A refused form: focus goes to the box that says why -------------------------------------------------------------

function showErrors(root) {
  const box = $("[data-error-summary]", root);
  if (!box) return;
  box.focus();
  // The words were not saved, so leaving is still losing them.
  for (const form of document.querySelectorAll("form[data-guard]")) form.dataset.dirty = "yes";
}

// --- htmx ----------------------------------------------------------------------------------------------------------

// What a page asks for by itself must not disturb: no message when it fails, no reload when the session is over.
const isBackground = (event) => event.detail.requestConfig?.headers["X-Background"] !== undefined;

document.addEventListener("htmx:beforeSwap", (event) => {
  // The session ended: a partial answer would put the sign-in page inside a table.
  if (event.detail.serverResponse?.includes('data-page="sign-in"')) {
    event.detail.shouldSwap = false;
    if (!isBackground(event)) location.reload();
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  const said = target.matches("[data-announce]") ? target : $("[data-announce]", target);
  if (said) announce(said.dataset.announce);
  showErrors(target);
});

document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt.closest("form");
  if (!form) return;
  setBusy(form, false);
  if (!event.detail.successful && form.matches("[data-guard]")) form.dataset.dirty = "yes";
});

for (const kind of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(kind, (event) => {
    if (isBackground(event)) return;
    const reads = event.detail.requestConfig?.verb === "get";
    sayFailed(reads ? announcer.dataset.unreachable : announcer.dataset.failed);
  });
}

// --- Tabs ----------------------------------------------------------------------------------------------------------

// On a telephone they are wider than the page: the one that is open comes into sight.
for (const here of document.querySelectorAll(".tabs [aria-current]")) {
  const tabs = here.closest(".tabs");
  tabs.scrollLeft = here.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
}

showTheme(document.documentElement.dataset.theme || "auto");
showErrors(document);
