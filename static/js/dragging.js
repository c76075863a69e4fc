// Moving a visit by dragging its card: an extra beside the page "Another time", which is the rule (WCAG 2.5.7). By mouse
// and pen only: a finger scrolls. Nothing is moved before the change stands there in words and somebody says yes.

const STARTS_AFTER = 6;  // pixels: less is a click
const ROW_MINUTES = 5;

const dialog = document.querySelector("#drag");
const twoDigits = (number) => String(number).padStart(2, "0");
const clockOf = (minutes) => `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;

class Drag {
  constructor(card, event) {
    this.card = card;
    this.from = card.closest("[data-drop]");
    this.start = { x: event.clientX, y: event.clientY };
    this.grip = event.clientY - card.getBoundingClientRect().top;
    this.moving = false;
    this.target = null;
    this.mark = document.createElement("li");
    this.mark.setAttribute("aria-hidden", "true");
  }

  move(event) {
    const x = event.clientX - this.start.x, y = event.clientY - this.start.y;
    if (!this.moving && Math.hypot(x, y) < STARTS_AFTER) return;
    this.moving = true;
    this.card.classList.add("is-dragged");
    this.card.style.transform = `translate(${x}px, ${y}px)`;
    const column = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-drop]");
    this.target = column ? this.placeIn(column, event.clientY) : null;
    this.show();
  }

  // The time under the upper edge of the card, by the steps of that column.
  placeIn(column, y) {
    const { first, last, step } = column.dataset;
    const ground = column.querySelector(".ground").getBoundingClientRect();
    const perMinute = ground.height / (last - first);
    const wanted = Number(first) + (y - this.grip - ground.top) / perMinute;
    const minutes = Math.round(wanted / step) * step;
    const latest = last - Math.min(this.card.dataset.minutes, last - first);
    return { column, minutes: Math.max(Number(first), Math.min(minutes, latest)) };
  }

  show() {
    if (!this.target) { this.mark.remove(); return; }
    const { column, minutes } = this.target;
    const row = (minutes - column.dataset.first) / ROW_MINUTES + 1;
    this.mark.className = `drop-mark r${Math.floor(row)} s${Math.max(3, Math.ceil(this.card.dataset.minutes / ROW_MINUTES))}`;
    this.mark.textContent = clockOf(minutes);
    if (this.mark.parentElement !== column) column.append(this.mark);
  }

  get isSomewhereElse() {
    if (!this.target) return false;
    return this.target.column !== this.from || clockOf(this.target.minutes) !== this.card.dataset.clock;
  }

  putBack() {
    this.mark.remove();
    this.card.classList.remove("is-dragged");
    this.card.style.transform = "";
  }

  // The dialog says what would change; its form is the one of the page "Another time".
  ask() {
    const form = dialog.querySelector(".drag-form"), { column, minutes } = this.target;
    const clock = clockOf(minutes);
    form.action = this.card.dataset.drag;
    form.reset();
    const fields = { version: this.card.dataset.version, other_time: clock };
    for (const name of ["practitioner", "location", "day"]) fields[name] = column.dataset[name];
    for (const [name, value] of Object.entries(fields)) form.elements.namedItem(name).value = value;
    dialog.querySelector("[data-drag-name]").textContent = this.card.dataset.name;
    dialog.querySelector("[data-drag-from]").textContent = `${this.card.dataset.clock} · ${this.from.dataset.words}`;
    dialog.querySelector("[data-drag-to]").textContent = `${clock} · ${column.dataset.words}`;
    dialog.querySelector("[data-drag-refused]").hidden = true;
    dialog.querySelector("[data-drag-other]").href =
      `${this.card.dataset.drag}?practitioner=${fields.practitioner}&day=${fields.day}`;
    dialog.showModal();
  }
}

let drag = null;

document.addEventListener("pointerdown", (event) => {
  const card = event.target.closest?.("[data-drag]");
  if (card && event.button === 0 && event.pointerType !== "touch") drag = new Drag(card, event);
});

document.addEventListener("pointermove", (event) => drag?.move(event));

document.addEventListener("pointerup", () => {
  const done = drag;
  drag = null;
  if (!done?.moving) return;
  // The click that follows is no wish to open the visit.
  const swallow = (click) => { click.preventDefault(); click.stopPropagation(); };
  addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => removeEventListener("click", swallow, true));
  if (done.isSomewhereElse) done.ask();
  done.putBack();
});

function abandon() {
  drag?.putBack();
  drag = null;
}

document.addEventListener("pointercancel", abandon);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") abandon(); });
document.addEventListener("dragstart", (event) => { if (event.target.closest?.("[data-drag]")) event.preventDefault(); });

// --- Saying yes ----------------------------------------------------------------------------------------------------

async function send(form) {
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" });
  if (answer.type === "opaqueredirect") return "";  // done; the next page says so
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("[data-error-summary] .notice-title, .field-error")?.textContent.trim() || document.title;
}

// On window: before app.js, which marks the form as busy; here nothing is loaded.
addEventListener("submit", async (event) => {
  if (!dialog?.contains(event.target) || event.target.method !== "post") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const form = event.target, refused = dialog.querySelector("[data-drag-refused]");
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  let sentence;
  try {
    sentence = await send(form);
  } catch {
    sentence = document.querySelector("#announcer").dataset.failed;
  } finally {
    delete form.dataset.busy;
  }
  if (sentence) {
    refused.querySelector("[data-drag-sentence]").textContent = sentence;
    refused.hidden = false;
    return;
  }
  dialog.close();
  window.htmx.trigger(document.querySelector("[data-moved]"), "moved");
}, true);
