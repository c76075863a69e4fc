// Warns two minutes before the session of this browser falls asleep, and locks the page when it does.
// The server is the truth: every page says how many seconds are left, and before anything is shown it is asked again.
// Several tabs tell each other; what they tell is a number of seconds, nothing about anybody.

const WARN = 120;
const PING_EVERY = 60_000;
const SAID_AT = [60, 30, 10];

const warning = document.getElementById("session-warning");
const entrance = document.querySelector('[data-page="sign-in"]');
const channel = "BroadcastChannel" in window ? new BroadcastChannel("carewright-session") : null;

// --- The sign-in page: when somebody signs in in another tab, this one goes on as well -------------------------------

if (entrance && channel) {
  const shownAt = Number(entrance.dataset.shownAt);
  channel.addEventListener("message", ({ data }) => {
    if (data.kind !== "alive" || data.opened < shownAt) return;
    location.replace(entrance.dataset.goesTo);  // the server has looked where that leads
  });
}

// --- Signed in -------------------------------------------------------------------------------------------------------

if (warning) {
  const find = (selector) => warning.querySelector(selector);
  const token = () => JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] ?? "";
  const opened = Number(warning.dataset.opened);
  let idleAt, endsAt, contactAt, pinging = false, understood = false, locked = false;

  const left = () => Math.ceil((Math.min(idleAt, endsAt) - Date.now()) / 1000);
  const isLastCall = () => endsAt <= idleAt;

  function take({ idle, absolute }) {
    contactAt = Date.now();
    idleAt = contactAt + idle * 1000;
    endsAt = contactAt + absolute * 1000;
  }

  function tell(kind) {
    channel?.postMessage({ kind, opened, idle: (idleAt - Date.now()) / 1000, absolute: (endsAt - Date.now()) / 1000 });
  }

  // Asks how much is left. Without `awake` it is the script that asks, which is no activity of anybody.
  async function ask({ awake }) {
    const headers = awake ? { "X-CSRFToken": token() } : { "X-Background": "1" };
    const answer = await fetch(warning.dataset.keepAlive, { method: awake ? "POST" : "GET", headers, cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) return false;
    if (!answer.ok) throw new Error(`keep-alive answered ${answer.status}`);
    const times = await answer.json();
    if (!times.opened) return false;
    if (times.opened !== opened) {  // somebody else has signed in here meanwhile: their page, not ours
      location.reload();
      return true;
    }
    take(times);
    if (awake) tell("alive");
    return true;
  }

  // Typing, pressing and scrolling are activity, though they ask nothing of the server: once a minute they do.
  async function noteActivity() {
    if (warning.open || locked || pinging || Date.now() - contactAt < PING_EVERY || left() <= 0) return;
    pinging = true;
    try {
      if (!(await ask({ awake: true }))) await lock();
    } catch { /* the next key tries again */ } finally { pinging = false; }
  }
  for (const kind of ["keydown", "pointerdown", "wheel", "touchstart"]) {
    addEventListener(kind, noteActivity, { capture: true, passive: true });
  }

  // --- The warning ---------------------------------------------------------------------------------------------------

  function show(phase) {
    for (const part of warning.querySelectorAll("[data-phase]")) part.hidden = part.dataset.phase !== phase;
    find("[data-stay]").hidden = phase !== "idle";
    find("[data-understood]").hidden = phase !== "absolute";
    find("[data-retry]").hidden = phase !== "offline";
    find("[data-countdown]").hidden = phase === "offline";
    const title = find(`[data-phase="${phase}"] h2`), text = find(`[data-phase="${phase}"] p`);
    title.id ||= `session-warning-title-${phase}`;
    text.id ||= `session-warning-text-${phase}`;
    warning.setAttribute("aria-labelledby", title.id);
    warning.setAttribute("aria-describedby", text.id);
    for (const menu of document.querySelectorAll("[popover]")) if (menu.matches(":popover-open")) menu.hidePopover();
    if (!warning.open) warning.showModal();
    find("button:not([hidden])").focus();
  }

  function count() {
    const seconds = Math.max(0, left());
    find("[data-countdown]").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (SAID_AT.includes(seconds)) find("[data-countdown-said]").textContent = `${seconds} ${warning.dataset.seconds}`;
  }

  async function stay() {
    try {
      if (await ask({ awake: true })) warning.close();
      else await lock();
    } catch { count(); }
  }
  find("[data-stay]").addEventListener("click", stay);
  find("[data-retry]").addEventListener("click", () => lock());
  find("[data-understood]").addEventListener("click", () => { understood = true; warning.close(); });
  warning.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (locked) return;
    find("button:not([hidden])").click();
  });

  // --- The lock ------------------------------------------------------------------------------------------------------

  function cover(covered) {
    document.documentElement.toggleAttribute("data-locked", covered);
    if (!covered) return;
    for (const dialog of document.querySelectorAll("dialog[open]")) if (dialog !== warning) dialog.close();
    document.title = warning.dataset.lockedTitle;
  }

  // Drafts are kept first (drafts.js puts its promises into `kept`), then the page makes room for the sign-in page.
  async function lock() {
    if (locked && !warning.open) return;
    locked = true;
    cover(true);
    const kept = [];
    document.dispatchEvent(new CustomEvent("carewright:lock", { detail: { kept } }));
    try {
      await Promise.all(kept);
      await fetch(warning.dataset.keepAlive, { headers: { "X-Background": "1" }, cache: "no-store" });
    } catch {
      show("offline");
      return;
    }
    for (const form of document.querySelectorAll("form[data-dirty]")) delete form.dataset.dirty;
    tell("ended");
    const next = encodeURIComponent(location.pathname + location.search);
    location.replace(`${warning.dataset.signIn}?locked&next=${next}`);
  }

  let asking = false;
  async function look() {
    if (locked) return;
    if (warning.open) count();
    if (left() > WARN) {
      if (warning.open) warning.close();
      return;
    }
    if (asking || (warning.open && left() > 0) || (understood && left() > 0)) return;
    asking = true;
    try {
      // Another tab may have been busy, and this one asleep: only the server knows.
      if (!(await ask({ awake: false }))) await lock();
      else if (left() <= 0) await lock();
      else if (left() <= WARN) {
        document.dispatchEvent(new CustomEvent("carewright:warned"));
        count();
        show(isLastCall() ? "absolute" : "idle");
      }
    } catch {
      if (left() <= 0) await lock();
    } finally { asking = false; }
  }

  channel?.addEventListener("message", ({ data }) => {
    if (data.kind === "ended" && data.opened === opened) ask({ awake: false }).then((alive) => alive || lock(), () => {});
    else if (data.kind === "alive" && data.opened === opened) {
      take(data);
      look();
    }
    else if (data.kind === "alive" && data.opened > opened) ask({ awake: false }).catch(() => {});
  });

  // Back by the browser's cache: nothing is seen before the server has said that this is still our session.
  addEventListener("pageshow", async (event) => {
    if (!event.persisted) return;
    const title = document.title;
    cover(true);
    try {
      if (!(await ask({ awake: false }))) return location.reload();
    } catch { return lock(); }
    document.title = title;
    cover(false);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

  take({ idle: Number(warning.dataset.idle), absolute: Number(warning.dataset.absolute) });
  tell("alive");
  setInterval(look, 1000);
  look();
}
