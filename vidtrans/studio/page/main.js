// The page: its rooms, what opens in which, keys, and messages.
import { state } from "./state.js";
import "./command.js";
import "./easel.js";
import "./live.js";
import "./phone.js";
import "./queue.js";
import "./shelf.js";
import "./training.js";
import "./viewer.js";
import "./wishes.js";

const $ = (id) => document.getElementById(id);
const ROOMS = ["wishes", "viewer", "easel", "training", "live", "command"];
let room = "wishes";

function enter(name) {
  room = name;
  for (const one of ROOMS) {
    $(one).hidden = one !== name;
    $(`to-${one}`).setAttribute("aria-selected", String(one === name));
    $(`to-${one}`).tabIndex = one === name ? 0 : -1;
  }
}

for (const name of ROOMS) $(`to-${name}`).addEventListener("click", () => enter(name));
$("to-easel").addEventListener("click", () => { // who has a clip at hand paints on that one
  const clip = $("wishes").shown;
  if (!$("easel").clip && state.item(clip)?.kind === "clip") $("easel").open(clip, $("wishes").frames?.[clip] ?? 0);
});
$("rooms").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = ROOMS[(ROOMS.indexOf(room) + step + ROOMS.length) % ROOMS.length];
  enter(next);
  $(`to-${next}`).focus();
  event.stopPropagation();
});

state.addEventListener("start", () => {
  $("folder").textContent = state.start.folder;
  document.title = `${state.start.folder} – vidtrans studio`;
});
state.addEventListener("connection", ({ detail }) => {
  $("connection").textContent = detail ? "connected" : "no connection; trying again …";
  $("connection").toggleAttribute("data-lost", !detail);
});
let hiding = null;
state.addEventListener("message", ({ detail: { text, isProblem } }) => {
  clearTimeout(hiding);
  const shown = isProblem ? $("problem") : $("news");
  $("problem").hidden = !isProblem;
  shown.textContent = text;
  if (!isProblem) hiding = setTimeout(() => { $("news").textContent = ""; }, 8000);
});
$("problem").addEventListener("click", () => { $("problem").hidden = true; });

state.addEventListener("open", ({ detail: item }) => {
  if (["clip", "picture", "pictures"].includes(item.kind)) {
    $("viewer").open(item);
    if (item.kind !== "picture") $("wishes").use(item.name);
    enter("viewer");
  } else if (item.kind === "training") state.tell("training", item.name);
  else state.say(`${item.name} is a ${item.kind}.`);
});
state.addEventListener("training", ({ detail: name }) => {
  enter("training");
  $("middle").scrollTo({ top: 0 });
  $("training").open(name);
});
state.addEventListener("command", ({ detail: { command, values } }) => {
  enter("command");
  $("middle").scrollTo({ top: 0 });
  $("command").open(command, values);
});
state.addEventListener("compare", ({ detail: item }) => {
  if ($("viewer").item?.kind !== item.kind) { state.say("Open a file of the same kind first.", true); return; }
  $("viewer").compare(item);
  enter("viewer");
});
state.addEventListener("paint", ({ detail: { name, frame = 0 } }) => {
  enter("easel");
  $("easel").open(name, frame);
});
const waiting = new Map(); // jobs after which something opens
state.addEventListener("made", ({ detail: { wish, answers, jobs } }) => {
  showQueue(true);
  waiting.set(jobs.at(-1), { wish, answers });
});
state.addEventListener("ended", async ({ detail: job }) => {
  const what = waiting.get(job.number);
  waiting.delete(job.number);
  if (!what || job.state !== "done") return;
  await state.refresh();
  if (what.wish?.easel) {
    enter("easel");
    $("easel").open(what.answers.clip, job.outcome.keyframes?.[0] ?? 0);
  } else if ((room === "wishes" || (room === "easel" && !$("easel").isChanged)) && state.item(job.outcome.output)) { // who works is not disturbed
    state.tell("open", state.item(job.outcome.output));
    $("viewer").timeline.focus({ preventScroll: true }); // space plays, and presses no button
  }
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=range], [type=color], [type=checkbox]), textarea, select") !== null;
  const isPressed = event.key === " " && event.target.closest("button, summary, a") !== null;
  if (isTyping || isPressed) return;
  if (room === "viewer" && !event.ctrlKey && !event.metaKey) $("viewer").key(event);
  if (room === "easel") $("easel").key(event);
});

// The queue is a drawer; its button shows how far the job that runs is.
function showQueue(on) {
  $("right").hidden = !on;
  $("to-queue").setAttribute("aria-expanded", String(on));
}
$("to-queue").addEventListener("click", () => showQueue($("right").hidden));
state.addEventListener("jobs", () => {
  const open = state.jobs.filter((job) => ["queued", "running"].includes(job.state)), job = open.find((one) => one.state === "running"), button = $("to-queue");
  const { done = 0, total = 0 } = job?.progress ?? {}, share = total > 0 ? Math.min(100, Math.round((100 * done) / total)) : 0;
  button.toggleAttribute("data-at", Boolean(job));
  button.style.setProperty("--done", `${share}%`);
  button.textContent = open.length ? `Queue: ${open.length}${job && total > 0 ? `, ${share} %` : ""}` : "Queue";
});

const THEMES = ["dark", "light", "system"];
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").setAttribute("aria-label", `Theme: ${name}`);
  $("viewer").timeline?.draw();
  try { localStorage.setItem("vidtrans-theme", name); } catch { /* the browser keeps nothing */ }
}
const themeKept = () => { try { return localStorage.getItem("vidtrans-theme"); } catch { return null; } };
setTheme(THEMES.includes(themeKept()) ? themeKept() : "dark");
$("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));

enter("wishes");
state.trying(() => state.open());
window.studio = state; // for tests, and for the curious
