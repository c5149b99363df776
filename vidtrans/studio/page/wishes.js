// The tasks: a card each, with a picture of the user's clip; then one task: its frame large, its questions beside it.
import { ask, duration, factsOf, h, link, post, size, stem } from "./api.js";
import { draw } from "./cards.js";
import { picture } from "./pictures.js";
import { state } from "./state.js";
import "./compare.js";
import "./form.js";

const TAKEN = { clip: ["clip", "pictures"], clips: ["clip", "pictures"], source: ["clip", "pictures"], look: ["picture"], file: ["clip", "picture"] }; // files, by kind of question
// The looks that suit most clips come first; others follow in the order of the server.
const BEST = ["watercolour", "oil", "ink", "great-wave", "starry-night", "pastel", "pencil", "impasto", "engraving", "gouache", "print", "pointillism", "stained-glass", "charcoal", "coloured-pencil"];
const PREVIEWED = ["picture", "person"]; // tasks whose result can be seen on one frame at once
const LATEST = 8; // results on the first page
const MOST_SAMPLES = 80; // pictures of looks that are kept, the newest ones
const FRAME_LINES = 900; // of the frame that is shown

export class Wishes extends HTMLElement {
  connectedCallback() {
    this.samples = new Map(); // pictures of looks on the user's frames, by clip, frame and options
    state.addEventListener("start", () => this.cards());
    state.addEventListener("items", () => this.renew());
    state.addEventListener("added", ({ detail }) => this.take(detail));
    document.addEventListener("keydown", (event) => { if (event.key === "\\") this.compare?.setWipe(this.compare.share === 1 ? 0 : 1); });
  }

  clips() { return state.items.filter((item) => TAKEN.clip.includes(item.kind)); }

  cards() {
    this.wish = this.compare = null;
    this.asked = (this.asked ?? 0) + 1; // what was asked for a task is not shown any more
    this.round = (this.round ?? 0) + 1;
    const clips = this.clips().map((item) => item.name);
    const clip = this.shown = clips.includes(this.chosen) ? this.chosen : clips.find((name) => !state.maker(name)) ?? clips[0];
    const choice = h("select", { "aria-label": "Clip to work on", onchange: () => { this.chosen = choice.value; this.cards(); } }, clips.map((name) => h("option", { value: name, selected: name === clip }, name)));
    const top = clip ? h("div", { className: "start" }, h("h2", {}, "What do you want to make of"), choice)
      : h("div", { className: "drop" }, h("b", {}, "Drop a clip here"), h("p", { className: "quiet" }, "or choose one. Everything stays in this folder, on this computer."),
        h("button", { type: "button", className: "first", onclick: () => document.querySelector("studio-shelf").input.click() }, "Add files"));
    this.replaceChildren(top, h("div", { className: "wishes" }, state.start.wishes.map((wish) =>
      h("button", { type: "button", className: "wish", "data-wish": wish.name, onclick: () => this.open(wish) },
        clip && h("canvas", { "aria-hidden": "true" }), h("b", {}, wish.title), h("span", {}, wish.text)))), this.latest = h("div", { hidden: true }));
    this.showLatest();
    if (clip) this.illustrate(clip, this.round);
  }

  // The newest results, to look at again.
  showLatest() {
    const results = state.items.filter((item) => ["clip", "picture"].includes(item.kind) && state.maker(item.name)).sort((a, b) => b.modified - a.modified).slice(0, LATEST);
    const names = results.map((item) => item.name).join();
    this.latest.hidden = !results.length;
    if (this.latest.dataset.names === names) return;
    this.latest.dataset.names = names;
    this.latest.replaceChildren(h("h3", {}, "Latest results"), h("div", { className: "looks" }, results.map((item) =>
      h("button", { type: "button", title: item.name, onclick: () => state.tell("open", item) }, h("img", { src: link("/frame", { name: item.name, frame: 0, short: 200 }), alt: "", loading: "lazy" }), h("span", {}, stem(item.name))))));
  }

  // Draw the cards with frames of the clip, then those whose result can be computed with that result.
  async illustrate(clip, round) {
    const { frames = 1 } = await factsOf(clip);
    const at = this.frameOf(clip, frames), numbers = [at, Math.min(frames - 1, at + 6), Math.min(frames - 1, at + 12)];
    const pictures = await Promise.all(numbers.map((frame) => picture(link("/frame", { name: clip, frame, kind: "jpeg", short: 300 })))).catch(() => null);
    if (!pictures || round !== this.round) return;
    const canvas = (name) => this.querySelector(`[data-wish=${name}] canvas`);
    for (const { name } of state.start.wishes) draw(canvas(name), name, pictures);
    const [look] = this.ranked();
    for (const [name, more] of [["picture", {}], ["person", { mask: ["person"] }]]) {
      const made = await this.sample({ video: [clip], look, ...more }, at).catch(() => null);
      if (round !== this.round) return;
      if (made) draw(canvas(name), name, pictures, await createImageBitmap(made));
    }
  }

  // The frame of a clip to look at first: not the very first one, which is often black.
  frameOf(clip, frames) { return this.frames?.[clip] ?? Math.floor(frames / 3); }

  // A frame in a look, as a Blob; each is asked for once, in turn, beside the picture that the user waits for.
  sample(values, frame) {
    const key = JSON.stringify([values, frame, state.item(values.video[0])?.modified]);
    if (!this.samples.has(key)) {
      const made = (this.last ?? Promise.resolve()).catch(() => {}).then(async () => (await ask("/api/preview", { command: "stylize", values, frame, is_sample: true })).blob());
      this.samples.set(key, this.last = made);
      made.catch(() => this.samples.delete(key));
      if (this.samples.size > MOST_SAMPLES) this.samples.delete(this.samples.keys().next().value);
    }
    return this.samples.get(key);
  }

  ranked() { return Object.keys(state.looks).sort((a, b) => (BEST.indexOf(a) + 1 || 99) - (BEST.indexOf(b) + 1 || 99)); }

  open(wish) {
    this.wish = wish;
    this.round += 1;
    this.inputs = new Map();
    this.compare = document.createElement("studio-compare");
    this.compare.addEventListener("frame", ({ detail }) => { this.frames = { ...this.frames, [this.clip()]: detail }; this.changed(); });
    this.strip = h("div", { className: "strip", hidden: true });
    const questions = wish.questions.map((question) => this.question(question));
    this.cost = h("p", { className: "quiet", role: "status" });
    this.line = h("pre", { className: "line", tabIndex: 0, "aria-label": "The commands" });
    this.go = h("button", { type: "submit", className: "first" }, wish.easel ? "Choose frames to paint" : "Make it");
    this.forms = h("div", {});
    const more = h("details", {}, h("summary", {}, "All options, and the command"), this.line, this.forms);
    more.addEventListener("toggle", () => { if (more.open) this.showForms(); });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.make(); }, onchange: (event) => this.changed(event) },
      h("div", { className: "asks" }, h("h2", {}, h("button", { type: "button", "aria-label": "Back to all tasks", title: "Back to all tasks", onclick: () => this.cards() }, "←"), wish.title),
        h("p", { className: "quiet" }, wish.text), questions, more),
      h("div", { className: "bar go" }, this.cost, this.go, h("button", { type: "button", onclick: () => this.estimate() }, "How long?")));
    this.replaceChildren(h("div", { className: "task" }, h("div", { className: "show" }, this.compare, this.strip), form));
    this.changed();
    form.querySelector(".ask:not([hidden]) :is(select, input)")?.focus();
  }

  question(question) {
    const id = `question-${question.name}`, { name, kind, label } = question;
    let input, shown = null;
    if (kind === "number") {
      input = h("input", { id, type: "number", value: question.default, min: question.low, max: question.high, required: true });
    } else if (kind === "slider") {
      return this.slide(question, id);
    } else {
      input = h("select", { id, required: true }, Object.entries(question.choices).map(([value, text]) => h("option", { value, selected: value === question.default }, text)));
    }
    if (kind === "file") shown = h("img", { className: "small", alt: "The file that is chosen", hidden: true });
    const one = { input, shown, kind, choices: question.choices };
    input.addEventListener("change", () => { one.isAnswered = true; });
    this.inputs.set(name, one);
    if (kind === "look") this.offerLooks(input);
    return h("div", { className: "ask", hidden: kind === "look" }, h("label", { for: id }, label), input, shown); // looks are chosen by eye
  }

  // A slider, whose default may be a word ("auto"). A double click, or Delete, brings the default back.
  slide({ name, label, default: usual, low, high, step }, id) {
    const number = Number(usual), range = h("input", { id, type: "range", min: low, max: high, step, value: Number.isNaN(number) ? (low + high) / 2 : number });
    const told = h("output", { for: id }, usual), input = { value: usual };
    const set = (value) => { input.value = value; told.textContent = value; };
    const reset = () => { range.value = Number.isNaN(number) ? (low + high) / 2 : number; set(usual); this.changed(); };
    range.addEventListener("input", () => set(range.value));
    range.addEventListener("dblclick", reset);
    range.addEventListener("keydown", ({ key }) => { if (key === "Delete") reset(); });
    this.inputs.set(name, { input, kind: "slider" });
    return h("div", { className: "slide", title: "Double-click for the default" }, h("label", { for: id }, label), told, range);
  }

  // The looks as they come out on the user's frame, named, those first that suit most clips.
  offerLooks(input) {
    const choose = (name) => { input.value = name; this.changed(); };
    const tile = (name, source) => h("button", { type: "button", title: name, "data-look": name, "aria-label": `The look ${name}`, onclick: () => choose(name) },
      source && h("img", { src: source, alt: "", loading: "lazy" }), h("span", {}, stem(name).replaceAll("-", " ")));
    this.drawLooks = () => {
      const pictures = state.items.filter((item) => item.kind === "picture").map(({ name }) => tile(name, link("/media", { name })));
      const shipped = this.ranked().map((name) => tile(name, state.looks[name] && link("/medium", { name })));
      const add = h("button", { type: "button", onclick: () => document.querySelector("studio-shelf").input.click() }, h("span", {}, "+ any picture"));
      this.strip.replaceChildren(h("div", { className: "looks", role: "group", "aria-label": "Looks" }, add, pictures, shipped));
      for (const one of this.strip.querySelectorAll("[data-look]")) if (state.item(one.dataset.look)) one.dataset.own = "";
      this.strip.hidden = false;
    };
  }

  // Replace the samples of the tiles that can be seen by the user's frame in that look, one after another.
  async fillTiles(round) {
    const clip = this.clip(), frame = Number(this.compare.slider.value);
    for (const tile of this.strip.querySelectorAll("[data-look]:not([data-own])")) {
      if (round !== this.asked || !tile.isConnected) return;
      const box = tile.getBoundingClientRect(), view = this.strip.getBoundingClientRect();
      if (box.top > view.bottom + 200) return; // it is asked for when it is scrolled to
      const made = await this.sample({ video: [clip], look: tile.dataset.look }, frame).catch(() => null);
      if (!made || !tile.isConnected || round !== this.asked) continue;
      tile.querySelector("img")?.remove();
      const shown = h("img", { src: URL.createObjectURL(made), alt: "" });
      shown.onload = () => URL.revokeObjectURL(shown.src);
      tile.prepend(shown);
      tile.dataset.own = "";
    }
  }

  // Offer the files that are there. An answer stands until another one is chosen.
  offer() {
    if (!this.wish) return;
    const answered = [];
    for (const question of this.inputs.values()) {
      const { input, kind, choices, isAnswered } = question;
      if (!(kind in TAKEN)) continue;
      const names = state.items.filter((item) => TAKEN[kind].includes(item.kind)).map((item) => item.name);
      if (this.wish.name !== "flicker") names.sort((x, y) => Boolean(state.maker(x)) - Boolean(state.maker(y))); // sources before results
      const looks = kind === "look" ? this.ranked() : [], own = Object.entries(choices);
      const sources = names.filter((name) => !state.maker(name)), all = kind === "clips" && sources.length > 1 ? sources.join("\n") : "";
      const chosen = (kind !== "source" || isAnswered ? input.value : "") || this.usual(kind, names, answered) || own[0]?.[0] || looks[0] || "";
      if (kind !== "look") answered.push(chosen);
      input.replaceChildren(...(chosen ? [] : [h("option", { value: "" }, "drop a file on the page, or choose one")]),
        ...own.map(([value, text]) => h("option", { value }, text)), ...names.map((name) => h("option", { value: name }, name)),
        ...(all ? [h("option", { value: all }, `all ${sources.length} clips`)] : []),
        ...(looks.length ? [h("optgroup", { label: "looks" }, looks.map((name) => h("option", { value: name }, name)))] : []));
      input.value = chosen;
    }
    this.showChosen();
  }

  // Files came or went: the answers may be others now.
  renew() {
    if (!this.wish) { if (state.start.wishes.length && !this.clips().some((item) => item.name === this.shown)) this.cards(); else if (this.latest) this.showLatest(); return; }
    const before = JSON.stringify(this.answers());
    this.offer();
    if (JSON.stringify(this.answers()) !== before) this.changed();
  }

  // The usual answer: the newest file, or the clip that was opened. What is asked twice is answered by two files.
  usual(kind, names, answered) {
    const isPicture = (name) => state.item(name).kind === "picture";
    if (kind === "file") return names.filter(isPicture).slice(0, 2).reverse()[answered.length]; // the one before the grade came first
    if (kind === "source") return names.find((name) => name !== answered[0] && stem(answered[0] ?? "").startsWith(stem(name)));
    if (kind === "clips" || kind === "clip") { for (const name of [this.chosen, this.wish.name === "flicker" ? "" : this.shown]) if (!answered.length && names.includes(name)) return name; }
    return names.find((name) => !answered.includes(name)) ?? names[0];
  }

  // Show what was chosen: a small picture of each file, and the look that is pressed.
  showChosen() {
    for (const { input, shown } of this.inputs.values()) {
      if (!shown) continue;
      shown.hidden = !state.item(input.value);
      if (!shown.hidden && shown.dataset.name !== input.value) shown.src = link("/frame", { name: input.value, frame: 0, short: 200 });
      shown.dataset.name = input.value;
    }
    const known = this.looksShown ?? "", now = state.items.filter((item) => item.kind === "picture").map((item) => item.name).join();
    if (this.drawLooks && this.inputs.has("look") && (known !== now || !this.strip.childElementCount)) { this.looksShown = now; this.drawLooks(); }
    for (const look of this.strip.querySelectorAll("[data-look]")) look.setAttribute("aria-pressed", String(look.dataset.look === this.inputs.get("look").input.value));
  }

  // What was just dropped is what is meant, by the first question of its kind that nobody has answered.
  take(name) {
    if (!this.wish) { if (TAKEN.clip.includes(state.item(name)?.kind)) { this.use(name); this.cards(); } return; }
    const kind = state.item(name)?.kind;
    const all = [...this.inputs.values()].filter((one) => TAKEN[one.kind]?.includes(kind)), question = all.find((one) => !one.isAnswered) ?? all[0];
    if (!question) return;
    question.isAnswered = true;
    question.input.value = name;
    this.changed();
  }

  // A clip that was opened in the files is the one that is meant.
  use(name) { this.chosen = state.maker(name)?.outcome.source ?? name; }

  answers() { return Object.fromEntries([...this.inputs].map(([name, { input }]) => [name, input.value])); }

  // The clip whose frame is shown: the first answer that is one.
  clip() {
    for (const { kind, input } of this.inputs.values()) if (["clip", "clips"].includes(kind) && input.value) return input.value.split("\n")[0];
    return "";
  }

  async changed(event) {
    if (event?.target.closest?.("command-form")) { this.showLines(); return; }
    this.built = null;
    this.forms.replaceChildren();
    this.cost.textContent = "";
    this.line.textContent = "";
    this.offer(); // what one answer leaves open may be clear by another
    const wish = this.wish.name, answers = this.answers(), number = this.asked = (this.asked ?? 0) + 1;
    const missing = this.wish.questions.find(({ name }) => !this.inputs.get(name).input.value);
    this.steps = null;
    this.go.disabled = Boolean(missing);
    if (missing) this.cost.textContent = `${missing.label}: drop a file on the page, or choose one.`;
    else {
      const told = await state.trying(() => post("/api/lines", { wish, answers }));
      if (!told || number !== this.asked || this.wish?.name !== wish) return;
      this.steps = told.steps;
      this.line.textContent = told.problem || told.lines.join("\n");
      this.go.disabled = told.problem !== "";
      if (told.problem) { this.cost.textContent = told.problem; return; }
      if (this.forms.parentElement.open) this.showForms();
    }
    await this.showFrame(number);
    if (!missing && number === this.asked && PREVIEWED.includes(wish)) await this.preview(number, answers);
  }

  // The clip's frame, large.
  async showFrame(number) {
    const clip = this.clip();
    if (!clip) return;
    const { frames = 1 } = await factsOf(clip);
    if (number !== this.asked) return;
    const frame = Math.min(this.frameOf(clip, frames), Math.max(0, frames - 1));
    const address = link("/frame", { name: clip, frame, kind: "jpeg", short: FRAME_LINES });
    if (this.compare.before.dataset.address !== address) this.compare.result(null);
    this.compare.show(address, frame, frames);
  }

  // The same frame as it will be; of a look that is to be learned, as it is without training.
  async preview(number, answers) {
    const values = { ...this.steps.at(-1).values, video: [this.clip()], look: answers.look };
    delete values.model;
    this.compare.say("The preview is being made …");
    const frame = Number(this.compare.slider.value);
    const response = await state.trying(() => ask("/api/preview", { command: "stylize", values, frame }));
    if (number !== this.asked || !this.compare) return;
    this.compare.say("");
    if (!response) return;
    this.compare.result(await response.blob());
    if (answers.how && answers.how !== "now" && !(answers.look in state.looks)) this.cost.textContent = "The preview is made without training. After training it comes closer to the picture.";
    this.strip.onscroll = () => this.fillTiles(number);
    await this.fillTiles(number);
  }

  async showForms() {
    if (this.built || !this.steps) return;
    const { steps } = this;
    const built = await Promise.all(steps.map(async (step) => document.createElement("command-form").build(step.command, step.values)));
    if (steps !== this.steps) return;
    this.built = built;
    this.forms.replaceChildren(...this.built.flatMap((form) => [h("h3", {}, `vidtrans ${form.command}`), form]));
  }

  changedSteps() { return this.built ? this.steps.map((step, n) => ({ ...step, values: this.built[n].values() })) : this.steps; }

  async showLines() {
    const lines = [], number = this.shownLines = (this.shownLines ?? 0) + 1;
    for (const step of this.changedSteps()) {
      const told = await state.trying(() => post("/api/lines", step));
      if (told) lines.push(...(told.problem ? [told.problem] : told.lines));
    }
    if (number === this.shownLines) this.line.textContent = lines.join("\n");
  }

  async estimate() {
    const steps = this.changedSteps(), number = this.asked;
    if (!steps) return;
    this.cost.textContent = "Estimating …";
    const minutes = steps.reduce((sum, step) => sum + (step.values.minutes ?? 0), 0);
    const told = await state.trying(async () => (await post("/api/estimate", steps[0])));
    if (number !== this.asked) return;
    const learning = minutes ? `${minutes} minutes of training` : "";
    const first = told ? describe(told) : "";
    this.cost.textContent = [first && steps.length > 1 ? `first step: ${first}` : first, learning].filter(Boolean).join("; ");
  }

  async make() {
    const wish = this.wish, answers = this.answers();
    const steps = this.built ? { steps: this.changedSteps() } : {};
    this.go.disabled = true; // a second click would make a second job
    const made = await state.trying(() => post("/api/wish", { wish: wish.name, answers, ...steps }));
    this.go.disabled = false;
    if (!made) return;
    state.tell("made", { wish, answers, jobs: made.jobs });
    this.cards();
    state.say(`In the queue. ${wish.easel ? "The frames" : "The result"} will open here.`);
  }
}

export function describe(table) {
  const parts = [];
  if (table.frames) parts.push(`${table.frames} frames`);
  const told = table.estimate ?? {};
  if (told.seconds) parts.push(`about ${duration(told.seconds)}`);
  if (told.disk_bytes) parts.push(`${size(told.disk_bytes + (told.cache_bytes ?? 0))} of disk`);
  if (told.memory_bytes) parts.push(`${size(told.memory_bytes)} of memory`);
  return parts.join(", ") || "There is no estimate for this.";
}

customElements.define("studio-wishes", Wishes);
