// The wishes: a card each, its few questions, a first picture, what it takes, and every option behind "more".
import { ask, duration, h, link, post, size, stem } from "./api.js";
import { state } from "./state.js";
import { hang } from "./wall.js";
import "./form.js";
import "./making.js";

const AT_ONCE = 4; // looks of the wall that are made at once
const TAKEN = { clip: ["clip", "pictures"], source: ["clip", "pictures"], look: ["picture"], file: ["clip", "picture"] }; // files, by kind of question

export class Wishes extends HTMLElement {
  connectedCallback() {
    state.addEventListener("start", () => this.cards());
    state.addEventListener("items", () => this.renew());
    state.addEventListener("added", ({ detail }) => this.take(detail));
  }

  cards() {
    this.wish = null;
    this.making ??= document.createElement("studio-making");
    this.replaceChildren(this.making, h("div", { className: "wishes" }, state.start.wishes.map((wish) =>
      h("button", { type: "button", className: "wish", "data-wish": wish.name, onclick: () => this.open(wish) },
        h("b", {}, wish.title), h("span", {}, wish.text)))));
  }

  open(wish) {
    this.wish = wish;
    this.inputs = new Map();
    const questions = wish.questions.map((question) => this.question(question));
    this.picture = h("img", { alt: "The first picture", hidden: true });
    this.cost = h("p", { className: "quiet", role: "status" });
    this.line = h("pre", { className: "line", tabIndex: 0, "aria-label": "The commands" });
    this.go = h("button", { type: "submit", className: "first" }, wish.easel ? "Choose frames to paint" : "Make it");
    this.forms = h("div", {});
    const more = h("details", {}, h("summary", {}, "More: every option"), this.forms);
    more.addEventListener("toggle", () => { if (more.open) this.showForms(); });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.make(); }, onchange: (event) => this.changed(event) },
      questions, h("div", { className: "bar" }, this.go,
        h("button", { type: "button", onclick: () => this.estimate() }, "How long?"),
        h("button", { type: "button", onclick: () => this.cards() }, "Back")),
      this.cost, this.picture, this.line, more);
    this.replaceChildren(h("h2", {}, wish.title), h("p", { className: "quiet" }, wish.text), form);
    this.changed();
    form.querySelector("select, input")?.focus();
  }

  question(question) {
    const id = `question-${question.name}`;
    let input;
    if (question.kind === "number") {
      input = h("input", { id, type: "number", value: question.default, min: question.low, max: question.high, required: true });
    } else {
      input = h("select", { id, required: true }, Object.entries(question.choices).map(([value, text]) =>
        h("option", { value, selected: value === question.default }, text)));
    }
    const small = question.kind in TAKEN ? h("img", { className: "small", alt: "The file that is chosen", hidden: true }) : null;
    const one = { input, small, kind: question.kind, choices: question.choices };
    input.addEventListener("change", () => { one.isAnswered = true; });
    this.inputs.set(question.name, one);
    return h("div", { className: "option" }, h("label", { for: id }, question.label), small ? h("div", { className: "chosen" }, input, small) : input, question.kind === "look" && this.looks(input));
  }

  // Paintings and media, to choose by eye; and a wall of all media on a frame of the clip.
  looks(input) {
    const choose = (name) => { input.value = name; this.changed(); };
    const wall = h("div", { className: "wall" });
    return h("div", { className: "looks" }, Object.entries(state.looks).map(([name, shown]) =>
      h("button", { type: "button", title: name, "data-look": name, "aria-label": `The look ${name}`, onclick: () => choose(name) },
        shown ? h("img", { src: link("/medium", { name }), alt: "", loading: "lazy" }) : h("span", {}, name))),
    h("button", { type: "button", onclick: () => this.hang(wall, choose) }, "All media on my clip"), wall);
  }

  // Fill the wall, some looks at a time; a click on a picture chooses its look.
  async hang(wall, choose) {
    const clip = this.inputs.get("clip").input.value, looks = Object.keys(state.start.media);
    const number = this.hanging = (this.hanging ?? 0) + 1;
    wall.replaceChildren();
    for (let first = 0; first < looks.length; first += AT_ONCE) {
      const some = looks.slice(first, first + AT_ONCE), waits = h("p", { className: "quiet" }, `${some.join(", ")} …`);
      wall.append(waits);
      const row = await hang({ values: { video: clip }, name: "look", choices: some, before: 1, choose });
      if (!row || number !== this.hanging || !wall.isConnected) { waits.remove(); return; }
      waits.replaceWith(row);
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
      const looks = kind === "look" ? Object.keys(state.looks) : [], own = Object.entries(choices);
      const chosen = (kind !== "source" || isAnswered ? input.value : "") || this.usual(kind, names, answered) || own[0]?.[0] || looks[0] || "";
      if (kind !== "look") answered.push(chosen);
      input.replaceChildren(...(chosen ? [] : [h("option", { value: "" }, "drop a file on the page, or choose one")]),
        ...own.map(([value, text]) => h("option", { value }, text)), ...names.map((name) => h("option", { value: name }, name)),
        ...(looks.length ? [h("optgroup", { label: "media" }, looks.map((name) => h("option", { value: name }, name)))] : []));
      input.value = chosen;
    }
    this.showChosen();
  }

  // Files came or went: the answers may be others now.
  renew() {
    if (!this.wish) return;
    const before = JSON.stringify(this.answers());
    this.offer();
    if (JSON.stringify(this.answers()) !== before) this.changed();
  }

  // The usual answer: the newest file, or the clip that was opened. What is asked twice is answered by two files.
  usual(kind, names, answered) {
    const isPicture = (name) => state.item(name).kind === "picture";
    if (kind === "file") return names.filter(isPicture).slice(0, 2).reverse()[answered.length]; // the one before the grade came first
    if (kind === "source") return names.find((name) => name !== answered[0] && stem(answered[0] ?? "").startsWith(stem(name)));
    if (kind === "clip" && !answered.length && names.includes(this.chosen)) return this.chosen;
    return names.find((name) => !answered.includes(name)) ?? names[0];
  }

  // Show what was chosen: a small picture of each file, and the look that is pressed.
  showChosen() {
    for (const { input, small } of this.inputs.values()) {
      if (!small) continue;
      small.hidden = !state.item(input.value);
      if (!small.hidden && small.dataset.name !== input.value) small.src = link("/thumb", { name: input.value });
      small.dataset.name = input.value;
    }
    for (const look of this.querySelectorAll("[data-look]")) look.setAttribute("aria-pressed", String(look.dataset.look === this.inputs.get("look").input.value));
  }

  // What was just dropped is what is meant, by the first question of its kind that nobody has answered.
  take(name) {
    if (!this.wish) return;
    const kind = state.item(name)?.kind;
    const fits = (one) => one.kind === kind || (one.kind === "look" && kind === "picture") || (one.kind === "source" && kind === "clip") || (one.kind === "file" && kind === "picture");
    const all = [...this.inputs.values()].filter(fits), question = all.find((one) => !one.isAnswered) ?? all[0];
    if (!question) return;
    question.isAnswered = true;
    question.input.value = name;
    this.changed();
  }

  // A clip that was opened on the shelf is the one that is meant.
  use(name) { this.chosen = state.maker(name)?.outcome.source ?? name; }

  answers() { return Object.fromEntries([...this.inputs].map(([name, { input }]) => [name, input.value])); }

  async changed(event) {
    if (event?.target.closest?.("command-form")) { this.showLines(); return; }
    this.built = null;
    this.forms.replaceChildren();
    this.picture.hidden = true;
    this.cost.textContent = "";
    this.line.textContent = "";
    this.offer(); // what one answer leaves open may be clear by another
    const missing = this.wish.questions.find(({ name }) => !this.inputs.get(name).input.value);
    if (missing) { this.go.disabled = true; this.line.textContent = `${missing.label}: drop a file on the page, or choose one.`; return; }
    this.go.disabled = false;
    const wish = this.wish.name, answers = this.answers(), number = this.asked = (this.asked ?? 0) + 1;
    this.steps = null;
    const told = await state.trying(() => post("/api/lines", { wish, answers }));
    if (!told || number !== this.asked || this.wish?.name !== wish) return;
    this.steps = told.steps;
    this.line.textContent = told.problem || told.lines.join("\n");
    this.go.disabled = told.problem !== "";
    if (told.problem) return;
    if (this.forms.parentElement.open) this.showForms();
    if (this.wish.name === "picture") this.preview(answers);
  }

  // The first picture: one frame, in the look as it is without training.
  async preview(answers) {
    const values = { ...this.steps.at(-1).values, video: [answers.clip], look: answers.look };
    delete values.model;
    this.cost.textContent = "The first picture comes …";
    const number = this.asked;
    const response = await state.trying(() => ask("/api/preview", { command: "stylize", values, frame: 0 }));
    if (number !== this.asked || !this.wish) return;
    this.cost.textContent = "";
    if (!response) return;
    URL.revokeObjectURL(this.picture.src);
    this.picture.src = URL.createObjectURL(await response.blob());
    this.picture.hidden = false;
    this.cost.textContent = answers.how === "now" || answers.look in state.start.media ? "One frame, as it will be." : "One frame at once; learned, it comes closer.";
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
    const lines = [], number = this.shown = (this.shown ?? 0) + 1;
    for (const step of this.changedSteps()) {
      const told = await state.trying(() => post("/api/lines", step));
      if (told) lines.push(...(told.problem ? [told.problem] : told.lines));
    }
    if (number === this.shown) this.line.textContent = lines.join("\n");
  }

  async estimate() {
    const steps = this.changedSteps(), number = this.asked;
    if (!steps) return;
    this.cost.textContent = "Estimating …";
    const minutes = steps.reduce((sum, step) => sum + (step.values.minutes ?? 0), 0);
    const told = await state.trying(async () => (await post("/api/estimate", steps[0])));
    if (number !== this.asked) return;
    const learning = minutes ? `${minutes} minutes to learn` : "";
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
    this.making.follow(wish, made.jobs);
    scrollTo({ top: 0 });
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
