// The page: what the server says is shown, and what a person does is sent.
import { Connection, PAINTED, Screen } from "../shared/connection.js";
import { Controls } from "./controls.js";
import { Looks } from "./looks.js";
import { Mapping } from "./mapping.js";
import { Osc } from "./osc.js";
import { Rates } from "./rates.js";
import { Sound } from "./sound.js";
import { Sources } from "./sources.js";
import { Steering } from "./steer.js";
import { Studio } from "./studio.js";

const $ = (id) => document.getElementById(id);
const say = (text) => { $("news").textContent = text; };
// Each part of the page takes back its own problems alone: a camera that has begun says nothing of a slip in a curve.
const warner = () => {
  let own = "";
  return (text) => {
    if (text || $("problem").dataset.text === own) { // the text that is shown may be translated
      $("problem").textContent = $("problem").dataset.text = text;
      $("problem").hidden = !text;
    }
    own = text;
  };
};
const warn = warner();
const SERVER_PROBLEM_MS = 10000;

let models = [];
let state = null;
let outputSize = 480; // where the controls give none
let isNew = false; // the connection: nothing was said on it yet
let formerNumber = 0; // of the last connection
const connection = new Connection();
const isKiosk = new URLSearchParams(location.search).has("kiosk");
document.body.classList.toggle("kiosk", isKiosk);
const model = () => models.find((one) => one.name === state?.controls.model) ?? models[0];
const size = () => state?.controls.size || model()?.size || 512;
// The short side of a camera's frames: with the detail of the pictures that come back.
const frameSize = () => Math.max(size(), state?.controls.upscale === "off" ? 0 : state?.controls.output_size || outputSize);
const set = (values) => connection.send({ type: "controls", values });

const output = new Screen($("output")), input = new Screen($("input"));
const rates = new Rates();
const sources = new Sources(connection, size, frameSize, say, warner(), isKiosk);
const studio = new Studio(sources.drawing, warner());
const controls = new Controls(set, (name) => mapping.learn(name));
const sound = new Sound(connection, say, warner());
new Osc(connection);
const looks = new Looks(connection, (name) => set({ model: name }), say, warner());
const toggle = (id) => set({ [id]: $(id).getAttribute("aria-pressed") !== "true" });
const record = () => connection.send({ type: "record", on: !state?.recording });
const actions = {
  r: record, s: snapshot, f: fullScreen, m: () => toggle("mirror"), " ": () => toggle("freeze"),
  d: () => sources.choose("drawing"), c: () => sources.choose("camera"),
};
for (let n = 1; n <= 9; n += 1) actions[n] = () => { if (models[n - 1]) set({ model: models[n - 1].name }); };
const mapping = new Mapping(controls, actions, say);
let wasDream = false;
const isTaken = (key) => mapping.learning !== null || `key ${key}` in mapping.maps;
const isDream = () => state?.source === "dream" && !isNew;
const steering = new Steering($("output"), set, isDream, () => state.controls, isTaken, say);

connection.addEventListener("closed", ({ detail }) => {
  $("connection").textContent = `no connection${detail ? ` (${detail})` : ""}; trying again …`;
  rates.forget();
});
connection.addEventListener("hello", ({ detail }) => {
  models = detail.models;
  outputSize = detail.output;
  controls.build(detail.controls, models);
  steering.commands = detail.commands;
  steering.bounds = detail.controls;
  looks.show(models);
  connection.send({ type: "input", show: $("input-view").open });
  isNew = true;
});
connection.addEventListener("models", ({ detail }) => { // a look was added or removed; the state follows
  models = detail.models;
  controls.offer(models);
  looks.show(models);
  if (state) looks.press(state.controls.model);
});
connection.addEventListener("state", ({ detail }) => {
  state = detail;
  controls.update(detail.controls, detail.curves);
  for (const id of ["freeze", "mirror"]) press($(id), detail.controls[id]);
  press($("record"), detail.recording);
  $("record").textContent = detail.recording ? "Stop recording" : "Record";
  looks.press(detail.controls.model);
  suit();
  sources.capture.adapt();
  listPresets(detail.presets);
  const wasNew = isNew, begins = detail.source === "dream" && (isNew || !wasDream);
  if (isNew) sources.rejoin(detail, formerNumber);
  isNew = false;
  wasDream = detail.source === "dream";
  $("output").classList.toggle("steered", wasDream);
  if (begins) steering.begin();
  formerNumber = connection.number;
  sources.follow(detail);
  showEmpty();
  if (wasNew) $("connection").textContent = "connected"; // now that the page has the layout that the model in use gives it
});
connection.addEventListener("picture", ({ detail }) => {
  $("empty")?.remove();
  output.show(detail.file, () => {
    rates.add(detail.isOwn && detail.kind === PAINTED ? performance.now() - detail.timestamp : null);
  });
  if (detail.input.length) input.show(detail.input);
});
connection.addEventListener("moving", ({ detail }) => controls.moves.show(controls.rows, detail.values));
connection.addEventListener("drawing", ({ detail }) => sources.drawing[detail.do === "undo" ? "undo" : "clear"]());
connection.addEventListener("replaced", ({ detail }) => sources.replaced(detail.by));
connection.addEventListener("problem", ({ detail }) => {
  if (isKiosk) return; // people see pictures there, and the other pages say it
  warn(detail.text);
  setTimeout(() => { if ($("problem").dataset.text === detail.text) warn(""); }, SERVER_PROBLEM_MS);
});
connection.addEventListener("recorded", ({ detail }) => say(`Recorded ${detail.frames} pictures: ${detail.file}`));

// Until the first picture comes, the result offers the sources.
function showEmpty() {
  const empty = $("empty");
  if (!empty) return;
  empty.hidden = isKiosk;
  const offered = [...document.querySelectorAll("[data-source]")].filter((one) => !one.hidden && !one.disabled), mark = `${state.source} ${offered.length}`;
  if (empty.dataset.mark === mark) return;
  empty.dataset.mark = mark;
  empty.replaceChildren(...(state.source === "none" ? [Object.assign(document.createElement("b"), { textContent: "Choose a source" }), ...offered.map((one) =>
    Object.assign(document.createElement("button"), { textContent: one.textContent, onclick: () => one.click() }))] : ["Waiting for the first picture …"]));
}

// Show what the model in use can do.
function suit() {
  const one = model();
  studio.suit(one);
  const inUse = models.filter((m) => [one.name, state.controls.second].includes(m.name));
  for (const m of models) for (const name of Object.keys(m.settings)) controls.show(name, inUse.some((u) => name in u.settings));
  $("pairing-group").hidden = !inUse.some((m) => Object.keys(m.settings).length);
  $("look-group").hidden = !inUse.some((m) => m.looks.length);
  $("dream-group").hidden = !one.dreams;
  controls.suit({ // what controls may need
    models: models.length > 1,
    second: models.length > 1 && state.controls.second !== "",
    enlarging: state.controls.upscale !== "off",
    lerp: state.controls.past === "lerp",
    looks: inUse.some((m) => m.looks.length > 1),
    mask: state.controls.mask !== "",
    taught: inUse.some((m) => m.strokes),
    medium: inUse.some((m) => (state.controls.medium || m.medium || "none") !== "none"),
    clock: one.has_clock,
    "kept frames": one.needs_dream,
    "kept frames alone": one.needs_dream && !one.has_clock,
    shots: one.shots > 1,
  });
  document.querySelector("[data-source=dream]").hidden = !models.some((m) => m.dreams);
  document.querySelector("[data-source=dream]").disabled = !one.dreams;
  $("source-note").textContent = one.guides.length
    ? `This model takes ${one.guides.length} guides side by side in one picture: ${one.guides.join(", ")}.` : "";
}

function listPresets(names) {
  if ($("presets").dataset.names === names.join("\n")) return;
  $("presets").dataset.names = names.join("\n");
  $("presets").replaceChildren(...names.map((name) => {
    const item = document.createElement("li");
    const load = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    const drop = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
    drop.setAttribute("aria-label", `Delete ${name}`);
    load.addEventListener("click", () => connection.send({ type: "preset", do: "load", name }));
    drop.addEventListener("click", () => connection.send({ type: "preset", do: "delete", name }));
    item.append(load, drop);
    return item;
  }));
}

function press(button, on) { button.setAttribute("aria-pressed", String(Boolean(on))); }

function snapshot() {
  $("output").toBlob((file) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `vidtrans-${new Date().toISOString().slice(0, 19).replaceAll(":", ".")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`Saved ${link.download}.`);
  });
}

async function fullScreen() {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await $("output").requestFullscreen();
  } catch {
    warn("This browser shows no element full screen. Open the bare output instead.");
  }
}

$("record").addEventListener("click", record);
$("snapshot").addEventListener("click", snapshot);
$("freeze").addEventListener("click", () => toggle("freeze"));
$("mirror").addEventListener("click", () => toggle("mirror"));
$("fullscreen").addEventListener("click", fullScreen);
$("output").addEventListener("click", () => { if (isKiosk) fullScreen(); });
$("bare").href = `output?token=${connection.token}`;
$("input-view").addEventListener("toggle", () => connection.send({ type: "input", show: $("input-view").open }));
$("save-preset").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.send({ type: "preset", do: "save", name: $("preset-name").value });
  $("preset-name").value = "";
});
$("midi").addEventListener("click", async () => {
  try {
    const names = await mapping.connectMidi();
    say(names.length ? `MIDI: ${names.join(", ")}` : "MIDI is ready; no device is plugged in yet.");
  } catch (error) {
    warn(`MIDI: ${error.message}`);
  }
});
$("forget-maps").addEventListener("click", () => mapping.forget());
$("phone").addEventListener("toggle", () => {
  $("phone-code").src = `phone.svg?token=${connection.token}`;
  $("phone-code").hidden = false;
});

setInterval(() => {
  const { fps, median, late } = rates.summary();
  $("fps").textContent = fps ? fps.toFixed(1) : "–";
  $("median").textContent = median === null ? "–" : Math.round(median);
  $("late").textContent = late === null ? "–" : Math.round(late);
}, 500);

// An installation's screen stays on.
if (navigator.wakeLock) {
  const stayAwake = () => { if (document.visibilityState === "visible") navigator.wakeLock.request("screen").catch(() => {}); };
  document.addEventListener("visibilitychange", stayAwake);
  stayAwake();
}

window.vidtrans = { connection, rates, sources, controls, mapping, steering, sound }; // for tests, and for the curious
