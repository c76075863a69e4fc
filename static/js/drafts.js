// Keeps what is typed into a form with data-draft on the server, a few seconds after the last key (components/draft_line.html).
// Nothing of it stays in the browser.

const AFTER = 3000;  // milliseconds after the last key
const AT_LEAST = 15000;  // and that often while somebody types without a rest

class Draft {
  constructor(form) {
    this.form = form;
    this.line = form.querySelector("[data-draft-saved]");
    this.kept = this.words().toString();
    this.timer = this.since = 0;
    this.running = null;
    for (const kind of ["input", "change"]) form.addEventListener(kind, () => this.soon());
  }

  // What the form would send, without what no draft may hold.
  words() {
    const words = new URLSearchParams();
    for (const [name, value] of new FormData(this.form)) {
      const field = this.form.elements[name];
      if (name === "csrfmiddlewaretoken" || value instanceof File || field?.type === "password") continue;
      words.append(name, value);
    }
    return words;
  }

  get changed() {
    return this.form.isConnected && this.words().toString() !== this.kept;
  }

  soon() {
    const now = Date.now();
    if (!this.timer) this.since = now;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), Math.max(0, Math.min(AFTER, this.since + AT_LEAST - now)));
  }

  // One save at a time; what was typed meanwhile is saved right after. `byItself`: the clock asks, and not a key.
  save({ byItself = false } = {}) {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.running) return this.running.then(() => this.save({ byItself }));
    if (!this.changed) return Promise.resolve();
    this.running = this.send(byItself).finally(() => { this.running = null; });
    return this.running;
  }

  async send(byItself) {
    const words = this.words();
    const headers = { "X-CSRFToken": this.form.querySelector("[name=csrfmiddlewaretoken]").value };
    if (byItself) headers["X-Background"] = "1";
    try {
      const answer = await fetch(this.line.dataset.save, { method: "POST", headers, body: words });
      if (!answer.ok) throw new Error(`drafts answered ${answer.status}`);
      this.kept = words.toString();
      this.line.textContent = (await answer.json()).sentence;
    } catch (error) {
      this.line.textContent = this.line.dataset.failed;
      throw error;
    }
  }
}

const drafts = [...document.querySelectorAll("form[data-draft]")].map((form) => new Draft(form));
const quietly = (promise) => promise.catch(() => {});  // the line has said it

// Saved by the button: no draft may arrive behind it. Before app.js, which would take the second try for a double press.
addEventListener("submit", (event) => {
  const draft = drafts.find(({ form }) => form === event.target);
  if (!draft) return;
  clearTimeout(draft.timer);
  draft.timer = 0;
  if (!draft.running) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  quietly(draft.running).then(() => draft.form.requestSubmit(event.submitter));
}, true);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) for (const draft of drafts) if (!draft.form.dataset.busy) quietly(draft.save({ byItself: true }));
});
document.addEventListener("carewright:warned", () => {
  for (const draft of drafts) quietly(draft.save({ byItself: true }));
});
document.addEventListener("carewright:lock", (event) => {
  for (const draft of drafts) event.detail.kept.push(draft.save({ byItself: true }));
});
