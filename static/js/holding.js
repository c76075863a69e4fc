// Keeps the ticked time of the booking page while somebody types (pages/booking.py, hold and release). The seconds come
// from the server and are counted here, so that a wrong clock on the desk changes nothing. Booking works without.

const RENEW_BEFORE = 60;  // seconds: whoever still types then keeps it for longer

class Hold {
  constructor(form) {
    this.form = form;
    this.field = form.elements.namedItem("hold");
    this.line = form.querySelector("[data-hold-line]");
    this.words = this.line.querySelector("[data-hold-words]");
    this.count = this.line.querySelector("[data-hold-count]");
    this.again = this.line.querySelector("[data-hold-again]");
    this.running = null;
    this.wanted = "";  // the time that is kept, or was asked for last
    this.over = 0;  // when it is over, by performance.now()
    this.typed = false;
    this.again.addEventListener("click", () => { if (!this.running) this.keep(); });
    form.addEventListener("change", (event) => {
      if (event.target.name === "slot" || event.target.name === "other_time") this.look();
    });
    form.addEventListener("input", () => this.typing());
    setInterval(() => this.tick(), 1000);
    if (this.field.value) this.begin({ ...this.line.dataset, hold: this.field.value });
    // A page that says why a time was refused does not ask for that time again.
    this.wanted = this.field.value || form.querySelector("[data-error-summary]") ? this.choice : "";
    this.look();
  }

  get choice() {
    const slot = this.form.querySelector("[name=slot]:checked:enabled")?.value || "";
    return slot === "other" ? `other ${this.form.elements.namedItem("other_time").value}` : slot;
  }

  get left() {
    return Math.ceil((this.over - performance.now()) / 1000);
  }

  // What is ticked is kept; where nothing is ticked any more, what was kept is let go.
  look() {
    if (this.running) { this.running.then(() => this.look()); return; }
    const choice = this.choice;
    if (choice === this.wanted) return;
    if (choice && choice !== "other " && this.form.elements.namedItem("patient")) this.keep();
    else this.letGo();
  }

  keep({ byItself = false } = {}) {
    this.wanted = this.choice;
    this.typed = false;
    this.running = this.ask(byItself).finally(() => { this.running = null; });
    return this.running;
  }

  async ask(byItself) {
    try {
      const headers = byItself ? { "X-Background": "1" } : {};
      const answer = await fetch(this.line.dataset.keep, { method: "POST", headers, body: new FormData(this.form) });
      if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) throw new Error(answer.status);
      const said = await answer.json();
      this.field.value = said.hold;
      if (said.hold) this.begin(said);
      else this.end(said.sentence, said.refused);
    } catch {
      this.end(this.line.dataset.failed, false);
    }
  }

  begin({ seconds, sentence }) {
    this.over = performance.now() + Number(seconds) * 1000;
    this.again.hidden = true;
    this.say(sentence);
    this.tick();
  }

  end(sentence, isRefused) {
    this.over = 0;
    this.count.textContent = "";
    this.again.hidden = true;
    this.say(sentence);
    // Somebody else has it: the tiles say so; whatever else was typed stays.
    if (isRefused && window.htmx) window.htmx.trigger(this.form.querySelector(".choose"), "change");
  }

  say(sentence) {
    this.line.hidden = !sentence;
    if (this.words.textContent !== sentence) this.words.textContent = sentence;
  }

  letGo() {
    this.wanted = "";
    const hold = this.field.value;
    if (!hold) return;  // why nothing is kept may still stand there to be read
    this.field.value = "";
    this.end("", false);
    this.send(hold);
  }

  // By a beacon, because the page may be gone before an answer comes.
  send(hold) {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", this.form.elements.namedItem("csrfmiddlewaretoken").value);
    body.set("hold", hold);
    navigator.sendBeacon(this.line.dataset.letGo, body);
  }

  leave() {
    if (this.form.dataset.busy || !this.field.value) return;
    this.send(this.field.value);
    this.field.value = this.wanted = "";
    this.over = 0;
  }

  typing() {
    this.typed = true;
    if (!this.again.hidden && !this.running) this.keep();
  }

  tick() {
    if (!this.over) return;
    const left = this.left;
    this.count.textContent = left > 0 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "";
    if (left <= 0) {
      this.over = 0;
      this.field.value = "";
      this.say(this.line.dataset.over);
      this.again.hidden = false;
      if (this.typed) this.keep({ byItself: true });
    } else if (left <= RENEW_BEFORE && this.typed && !this.running) {
      this.keep({ byItself: true });
    }
  }
}

const form = document.querySelector("#booking:has([data-hold-line])");
const hold = form && new Hold(form);

if (hold) {
  // Saved by the button: no hold may arrive behind it. Before app.js, which would take the second try for a double press.
  addEventListener("submit", (event) => {
    if (event.target !== form || !hold.running) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    hold.running.finally(() => form.requestSubmit(event.submitter));
  }, true);
  document.addEventListener("htmx:afterSwap", () => hold.look());
  addEventListener("pagehide", () => hold.leave());
  addEventListener("pageshow", (event) => { if (event.persisted) hold.look(); });
}
