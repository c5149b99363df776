// A vote: join by name, answer one trial after another by ← and →, see the scores at the end. Which condition a picture
// is of never comes here before the last vote. A vote counts when the server has written it.

import { Exposure, load, Loop } from "/page/stimulus.js";
import { ask, Problem } from "/page/server.js";

const $ = (id) => document.getElementById(id);
const TOO_SOON_MS = 300; // an answer sooner than this after the pictures appear is a key pressed twice
const FEEDBACK_MS = 900;
const RETRY_MS = 2000;
const ANSWER_S = 2; // of most people
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
const sides = ["left", "right"];

const study = { is_real: false, is_motion: false, seconds: 1, num_trials: 0, forced_s: 0 };
let state = null; // of the voter, from the server
let key = "";
let phase = "welcome"; // ready, watching, answering, sending, done
let player = null; // an Exposure or a Loop
let since = 0; // when answering began
let exposure = null; // seconds, of the pictures of this trial
const loaded = new Map(); // trial → promise of its two stimuli

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Ask until the server answers; a key that it does not know, as after its restart, is renewed by the name.
async function surely(path, message) {
  for (;;) {
    try {
      const answer = await ask(path, message && { ...message, ...(path === "/join" ? {} : { key }) });
      problem("");
      return answer;
    } catch (error) {
      if (!(error instanceof Problem)) {
        problem("The server does not answer. All votes so far are saved; this page tries again.");
        await pause(RETRY_MS);
      } else if (error.status === 409 && path !== "/join" && state) {
        const back = await surely("/join", { name: state.name, sure: true });
        key = back.key;
        state = back;
        return { ...back, stale: true };
      } else {
        problem(error.message);
        if (error.status !== 503) throw error;
        await pause(RETRY_MS);
      }
    }
  }
}

async function join(name, sure) {
  const answer = await surely("/join", { name, sure });
  $("taken").hidden = !answer.taken;
  if (answer.taken) {
    $("taken-text").textContent = `${answer.name} has given ${answer.given} of ${answer.total} votes. Is that you?`;
    $("resume").textContent = answer.finished ? "Yes" : `Yes, go on as ${answer.name}`;
    $("resume").focus();
    return;
  }
  key = answer.key;
  state = answer;
  sessionStorage.setItem("name", answer.name);
  loaded.clear();
  wait();
}

// Wait for Space before the first trial, after a reload, and after a pause.
function wait(text = "") {
  if (state.finished) return finish();
  phase = "ready";
  show("trial");
  clear();
  $("cue").className = "";
  const first = study.is_real ? `You see one picture for ${span()}, then another. One of them is real.` : "";
  $("cue").textContent = text || (state.given || state.practice === 0 ? first : `${first} The first ${state.practice} are practice, and you see whether you were right.`);
  $("go").hidden = false;
  $("go").focus({ preventScroll: true });
  progress();
  stimuli(state.trial).catch(() => {});
}

const span = () => (study.seconds === 1 ? "a second" : `${study.seconds} seconds`);

function progress() {
  $("progress").textContent = state.practice ? `practice, ${state.practice} to go` : `${Math.min(state.given + 1, state.total)} of ${state.total}`;
  $("undo").hidden = study.is_real || state.given === 0;
  $("again").hidden = !(study.is_motion && isCalm.matches && !study.is_real);
  const open = phase === "answering";
  for (const side of sides) $(`choose-${side}`).disabled = !open;
}

function stimuli(trial) {
  if (!loaded.has(trial)) {
    const both = Promise.all(sides.map((side) => load(key, trial, side)));
    both.catch(() => loaded.delete(trial));
    loaded.set(trial, both);
  }
  for (const old of loaded.keys()) if (old < trial - 1) loaded.delete(old);
  return loaded.get(trial);
}

function clear() {
  player?.stop();
  player = null;
  for (const side of sides) $(side).classList.add("blank");
}

async function begin() {
  const trial = state.trial;
  phase = "watching";
  clear();
  $("go").hidden = true;
  $("cue").textContent = study.is_real ? "+" : "";
  $("cue").className = "cross";
  progress();
  let both;
  try {
    both = await stimuli(trial);
  } catch (error) {
    if (!(error instanceof Problem)) problem("The server does not answer. All votes so far are saved; this page tries again.");
    await pause(error instanceof Problem ? 0 : RETRY_MS);
    state = { ...state, ...(await surely("/join", { name: state.name, sure: true })) };
    key = state.key;
    return state.finished ? finish() : begin();
  }
  if (phase !== "watching" || state.trial !== trial) return;
  if (study.is_real) {
    player = new Exposure(sides.map($), both, study.seconds);
    exposure = await player.run(() => ($("cue").textContent = ""));
    if (exposure === null) return; // it was stopped
    $("cue").className = "";
    $("cue").textContent = "Which one was real?";
  } else {
    player = new Loop(sides.map($), both, !isCalm.matches);
    exposure = null;
  }
  phase = "answering";
  since = performance.now();
  progress();
  if (trial + 1 < state.trials) stimuli(trial + 1).catch(() => {});
}

async function choose(side) {
  const now = performance.now();
  if (phase !== "answering" || now - since < TOO_SOON_MS) return;
  phase = "sending";
  progress();
  const message = { trial: state.trial, side, answer_s: (now - since) / 1000, exposure_s: exposure };
  const answer = await surely("/vote", message);
  state = { ...state, ...answer };
  if ("was_right" in answer) {
    $("cue").textContent = answer.was_right ? "Right, that one was real." : "No, the other one was real.";
    await pause(FEEDBACK_MS);
  }
  if (state.finished) return finish();
  return begin();
}

async function undo() {
  if (study.is_real || !["answering", "ready"].includes(phase) || !state?.given) return;
  phase = "sending";
  state = { ...state, ...(await surely("/undo", { trial: state.trial - 1 })) };
  loaded.clear();
  return begin();
}

function finish() {
  phase = "done";
  clear();
  $("scores").hidden = true;
  $("thanks").textContent = `Thank you, ${state.name}: ${state.given} votes.`;
  show("done");
  $("thanks").focus();
}

const percent = (share) => `${Math.round(100 * share)} %`;

async function showScores() {
  const table = await ask(`/scores?key=${encodeURIComponent(key)}`);
  const isReal = table.question === "real";
  const cell = (row, tag, text) => (row.append(Object.assign(document.createElement(tag), { textContent: text })), row);
  const head = ["", isReal ? "taken for real" : "preferred in", isReal ? "95 %" : "score", "votes"];
  $("scores").querySelector("thead").replaceChildren(head.reduce((row, text) => cell(row, "th", text), document.createElement("tr")));
  const rows = table.conditions.map((one) => {
    const wide = one.low === null ? "–" : isReal ? `${percent(one.low)} to ${percent(one.high)}` : `${one.value.toFixed(2)}, ${one.low.toFixed(2)} to ${one.high.toFixed(2)}`;
    const share = one.whole ? percent(one.part / one.whole) : "–";
    return [one.name, share, wide, one.whole].reduce((row, text) => cell(row, "td", text), document.createElement("tr"));
  });
  $("scores").querySelector("tbody").replaceChildren(...rows);
  $("verdict").textContent = `${table.verdict}.`;
  $("scores").hidden = false;
}

function onKey(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  const doings = { ArrowLeft: () => choose("left"), ArrowRight: () => choose("right"), Backspace: undo,
    r: () => player?.restart?.(), R: () => player?.restart?.(), " ": () => phase === "ready" && begin() };
  const doing = doings[event.key];
  if (!doing || $("trial").hidden) return;
  event.preventDefault();
  doing();
}

// A timed picture that nobody could see is shown again.
function onHidden() {
  if (document.hidden && study.is_real && phase === "watching") wait("Paused: this one is shown again.");
}

async function start() {
  Object.assign(study, await surely("/study"));
  const question = study.is_real ? "Which one is real?" : "Which one do you prefer?";
  for (const heading of document.querySelectorAll(".question")) heading.textContent = question;
  const what = study.is_motion ? "clip" : "picture";
  $("explanation").textContent = study.is_real
    ? `Each time you see two ${what}s, one after the other, for ${span()} each. One is real, the other was generated. Say which one is real.`
    : `Each time you see two ${what}s of the same thing. Choose the one that you prefer; there is no right answer.`;
  const minutes = Math.ceil((study.forced_s + ANSWER_S * study.num_trials) / 60);
  $("effort").textContent = `${study.num_trials} times, about ${minutes} min, by the keys ← and → or by a tap. You can stop at any time and go on later.`;
  for (const side of sides) {
    if (study.is_real) $(`choose-${side}`).lastElementChild.textContent = side === "left" ? "first" : "second";
    $(`choose-${side}`).addEventListener("click", () => choose(side));
    $(side).addEventListener("click", () => choose(side));
  }
  $("go").addEventListener("click", () => phase === "ready" && begin());
  $("undo").addEventListener("click", undo);
  $("again").addEventListener("click", () => player?.restart?.());
  $("join").addEventListener("submit", (event) => { event.preventDefault(); join($("name").value, false).catch(() => {}); });
  $("resume").addEventListener("click", () => join($("name").value, true).catch(() => {}));
  $("other").addEventListener("click", () => { $("taken").hidden = true; $("name").select(); });
  $("show-scores").addEventListener("click", () => showScores().catch((error) => problem(error.message)));
  $("next-person").addEventListener("click", () => { sessionStorage.removeItem("name"); location.reload(); });
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", onHidden);
  const name = sessionStorage.getItem("name");
  if (name) return join(name, true);
  show("welcome");
  $("name").focus();
}

start();
