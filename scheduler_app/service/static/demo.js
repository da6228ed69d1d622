// Everything on the page works without this: it counts down, renews the two lists, and notices a server that is gone.
"use strict";

const live = document.getElementById("live");
const gone = document.getElementById("gone");
const message = document.getElementById("message");
let ahead = 0; // seconds by which the server's clock is ahead of this one
let shown = live.innerHTML;

function setClock() {
  ahead = Number(live.querySelector("[data-now]").dataset.now) - Date.now() / 1000;
}

// As in_words in page.py.
function inWords(seconds) {
  const [unit] = [["days", 172800], ["h", 7200], ["min", 120], ["s", 0]].find(([, least]) => seconds >= least);
  return `${Math.ceil(seconds / { days: 86400, h: 3600, min: 60, s: 1 }[unit])} ${unit}`;
}

function countDown() {
  const now = Date.now() / 1000 + ahead;
  for (const time of live.querySelectorAll("[data-due]")) {
    const left = Number(time.dataset.due) - now;
    time.textContent = left > 0 ? `in ${inWords(left)}` : gone.hidden ? "now" : "due";
  }
}

// What a person is about to press stays under the hand: the focused button is found again by its label.
function replace(html) {
  const label = live.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  live.innerHTML = shown = html;
  if (label) live.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
}

async function renew() {
  try {
    const answer = await fetch(live.dataset.from, { signal: AbortSignal.timeout(3000) });
    if (!answer.ok) return;
    const html = await answer.text();
    if (!gone.hidden && !message.value) return location.reload(); // another process now: the page names it
    gone.hidden = true;
    if (withoutClock(html) !== withoutClock(shown)) replace(html);
    setClock();
  } catch {
    gone.hidden = false;
  }
}

// The countdown is drawn here, so that only a change of the lists themselves replaces them.
function withoutClock(html) {
  return html.replace(/data-now="[^"]*"|>(in \d+ \w+|now|due)</g, "").trim();
}

async function keepRenewing() {
  if (!document.hidden) await renew();
  setTimeout(keepRenewing, 500);
}

// Stay here when the plug is pulled, to see the reminders come back.
document.querySelector(".plug form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await fetch(event.target.action, { method: "POST", headers: { Accept: "application/json" } });
  } catch {
    // It may be gone before its answer is here; the next look says so.
  }
});

setClock();
countDown();
setInterval(countDown, 200);
keepRenewing();
