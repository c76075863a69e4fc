// How long a time is still kept, by the server's clock: the page is told the seconds that are left, and counts on from
// there, so that a telephone whose clock is wrong shows the right thing. Without script the page names the time.

const notice = document.querySelector("#kept");
const $ = (selector) => notice?.querySelector(selector);
const announcer = document.querySelector("#announcer");

if (notice) {
  const end = performance.now() + Number(notice.dataset.seconds) * 1000;
  let isWarned = false;
  const show = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    $("[data-left]").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left <= 60 && left > 0 && !isWarned) {
      isWarned = true;
      notice.classList.replace("notice-info", "notice-warn");
      if (announcer) announcer.textContent = notice.dataset.soon;
    }
    if (left > 0) return;
    clearInterval(clock);
    notice.classList.remove("notice-info");
    notice.classList.add("notice-warn");
    notice.setAttribute("role", "alert");
    $("[data-kept]").hidden = true;
    $("[data-lapsed]").hidden = false;
  };
  const clock = setInterval(show, 1000);
  show();
  // A telephone that slept: look at once.
  document.addEventListener("visibilitychange", () => document.hidden || show());
}
