// A training: its held-out picture as a film, its scores, how good it is in words, and what to try next.
import { clamp, get, h, link, post, stem } from "./api.js";
import { scorePlot } from "./score_plot.js";
import { state } from "./state.js";

const PICTURE_MS = 110, LAST_MS = 1200, RELOAD_MS = 2000;
const NEXT = { more: "Train longer", enough: "Good enough", render: "Render a clip" };
const count = (step) => step.toLocaleString("en");
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// Queue the job that continues the run of a job: "on", of a model that was taken as it is, or "longer".
export const trainFurther = (job, action) => state.trying(async () => {
  await post("/api/train", { job: job.number, action });
  state.say("In the queue.");
});

export class TrainingPanel extends HTMLElement {
  connectedCallback() {
    this.heading = h("h2", {}, "Training");
    this.choice = h("select", { "aria-label": "Training to watch", hidden: true, onchange: () => this.open(this.choice.value) });
    this.empty = h("p", { className: "quiet" }, "No model has been trained here yet. You can watch a training here from its first step.");
    this.steps = h("b", {});
    this.words = h("span", { role: "status" }); // without the step, which would be read aloud every two seconds
    this.warnings = h("ul", { className: "warned", "aria-label": "Warnings", hidden: true });
    this.output = h("img", { alt: "A held-out picture", decoding: "sync" });
    this.caption = h("figcaption", {});
    this.sides = h("div", { className: "sides" });
    this.pictures = h("div", { className: "learning" }, h("figure", {}, this.output, this.caption), this.sides);
    this.playing = h("button", { type: "button", "aria-label": "Play the film", onclick: () => this.toggle() }, "▶");
    this.slider = h("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "Step of the training", oninput: () => { this.pause(); this.go(Number(this.slider.value)); } });
    this.slider.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); this.toggle(); } });
    this.film = h("div", { className: "film-bar" }, this.playing, this.slider);
    this.plots = h("div", { className: "plots" });
    this.next = h("section", { hidden: true, "aria-label": "What to try next" });
    this.more = h("details", {}, h("summary", {}, "More held-out pictures"), this.sheet = h("img", { alt: "Input, output and target of held-out pictures", className: "sheet-now", loading: "lazy" }));
    this.files = h("p", { className: "quiet" });
    this.body = h("div", { hidden: true }, h("p", { className: "quality" }, this.steps, " ", this.words), this.warnings, this.pictures, this.film, this.next, this.plots, this.more, this.files);
    this.append(h("div", { className: "bar" }, this.heading, this.choice), this.empty, this.body);
    this.loaded = new Map(); // pictures by address, so that scrubbing does not wait
    state.addEventListener("items", () => this.list());
    state.addEventListener("jobs", () => this.follow());
  }

  // The newest job of the training that is watched.
  job() { return state.jobs.find((job) => job.training === this.name); }

  list() {
    const names = state.items.filter((item) => item.kind === "training").map((item) => item.name);
    if (this.name && !names.includes(this.name)) names.unshift(this.name);
    this.choice.replaceChildren(...names.map((name) => h("option", { value: name, selected: name === this.name }, name.replace(/\.train$/, ""))));
    this.choice.hidden = names.length < 2;
    if (!this.name && names.length) this.open(names[0]);
    else if (this.status) this.suggest(this.status, this.job()); // its model may be there now
  }

  async open(name) {
    if (name !== this.name) { this.pause(); this.loaded.clear(); this.at = this.status = null; }
    this.name = name;
    this.heading.textContent = `How ${stem(name)} learns`;
    this.list();
    await this.load();
  }

  // While it trains, look again every few seconds; at once where its job has changed.
  follow() {
    const job = this.job(), mark = job && [job.state, job.as_is, job.can_take].join();
    const isDue = job?.state === "running" && !this.hidden && Date.now() - this.loadedAt > RELOAD_MS;
    if (this.name && (isDue || mark !== this.mark)) this.load();
  }

  async load() {
    const name = this.name, job = this.job();
    this.loadedAt = Date.now();
    this.mark = job && [job.state, job.as_is, job.can_take].join();
    const known = await state.trying(() => get("/api/training", { name }));
    if (!known || name !== this.name) return;
    this.empty.hidden = true;
    this.body.hidden = false;
    this.show(known, job);
  }

  show({ status, film, files }, job) {
    this.status = status;
    const { step, total } = status;
    const isKnown = isNumber(step) && isNumber(total);
    this.total = isKnown ? total : 0;
    const words = isKnown ? (status.quality ?? []).join(" ") : "It has not begun to learn.";
    this.steps.textContent = isKnown ? `Step ${count(step)} of ${count(total)}.` : "";
    if (this.words.dataset.text !== words) this.words.dataset.text = this.words.textContent = words;
    const warned = status.warnings ?? [];
    this.warnings.hidden = !warned.length;
    this.warnings.replaceChildren(...warned.map(([at, text]) => h("li", {}, h("b", {}, `Step ${at}: `), text)));
    const sides = ["input", "target"].filter((side) => files[side]);
    this.sides.replaceChildren(...sides.map((side) => h("figure", {}, h("img", { src: link("/media", { name: files[side] }), alt: side }), h("figcaption", {}, side))));
    this.setFilm(film);
    this.drawPlots(status);
    this.suggest(status, job);
    this.more.hidden = !files.preview;
    if (files.preview) this.sheet.src = `${link("/media", { name: files.preview })}&step=${step}`;
    this.files.replaceChildren(...[
      files.training && h("button", { type: "button", onclick: () => state.tell("open", { name: files.training, kind: "picture" }) }, "The sheet of its milestones"), " ",
      files.report && h("a", { href: link("/media", { name: files.report, download: 1 }), download: "" }, "Download the whole report"),
    ].filter(Boolean));
  }

  setFilm(film) {
    const follows = this.at === null || this.at === undefined || this.at === this.pictureList?.length - 1;
    this.pictureList = film;
    this.pictures.hidden = this.film.hidden = !film.length;
    if (!film.length) return;
    this.slider.max = film.length - 1;
    for (const [, name, version] of film) {
      const src = link("/media", { name, version });
      if (!this.loaded.has(src)) this.loaded.set(src, Object.assign(new Image(), { src }));
    }
    this.go(follows && !this.timer ? film.length - 1 : Math.min(this.at, film.length - 1));
  }

  go(at) {
    this.at = clamp(at, 0, this.pictureList.length - 1);
    const [step, name, version] = this.pictureList[this.at];
    this.output.src = link("/media", { name, version });
    this.output.alt = `A held-out picture as painted at step ${count(step)}`;
    this.caption.textContent = `painted at step ${count(step)}`;
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", `step ${count(step)}`);
    for (const plot of this.plots.querySelectorAll("svg")) plot.mark(step);
  }

  // The picture nearest to a step.
  goTo(step) {
    if (!this.pictureList?.length) return;
    this.pause();
    const distances = this.pictureList.map(([at]) => Math.abs(at - step));
    this.go(distances.indexOf(Math.min(...distances)));
  }

  toggle() { if (this.timer) this.pause(); else this.play(); }
  pause() { clearTimeout(this.timer); this.timer = null; this.playing.textContent = "▶"; this.playing.setAttribute("aria-label", "Play the film"); }
  play() {
    if (!this.pictureList?.length) return;
    this.playing.textContent = "❚❚";
    this.playing.setAttribute("aria-label", "Pause the film");
    if (this.at === this.pictureList.length - 1) this.go(0);
    const tick = () => {
      if (this.hidden) { this.pause(); return; }
      const next = (this.at + 1) % this.pictureList.length;
      this.go(next);
      this.timer = setTimeout(tick, next === this.pictureList.length - 1 ? LAST_MS : PICTURE_MS);
    };
    this.timer = setTimeout(tick, PICTURE_MS);
  }

  drawPlots({ plots = [], best }) {
    const known = plots.map((plot) => ({ ...plot, points: (plot.points ?? []).filter((point) => point.every(isNumber)) })).filter(({ points }) => points.length > 1);
    this.plots.replaceChildren(...known.map((plot) => h("figure", {},
      h("figcaption", {}, h("b", {}, plot.name), plot.unit ? `, ${plot.unit}` : "", ". ", plot.hint),
      scorePlot(plot, this.total, best, (step) => this.goTo(step)))));
    if (this.pictureList?.length) this.go(this.at);
  }

  // What may be done now: what the run suggests, as far as its job allows it.
  suggest({ next = [], hints = [] }, job) {
    const model = state.item(this.name.replace(/\.train$/, ".safetensors"));
    const isDone = !job || job.state === "done";
    const acts = {
      more: isDone && job && !job.outcome.of_steps && (() => trainFurther(job, "longer")),
      enough: job?.can_take && (() => this.enough(job)),
      render: isDone && model && (() => state.tell("command", { command: "stylize", values: { model: [model.name] } })),
    };
    const wanted = next.filter(({ action }) => acts[action]);
    if (acts.enough && !wanted.some(({ action }) => action === "enough")) wanted.push({ action: "enough", text: "Stop when you like what you see: the model is delivered as it is, and can train on later." });
    if (isDone && job?.outcome.of_steps && acts.render && !wanted.some(({ action }) => action === "render")) wanted.push({ action: "render", text: "Render a clip with the model as it is." });
    const rows = wanted.map(({ action, text }) => h("li", {}, h("button", { type: "button", className: "first", onclick: acts[action] }, NEXT[action]), h("span", {}, text)));
    if (job?.can_train_on) rows.unshift(h("li", {}, h("button", { type: "button", onclick: () => trainFurther(job, "on") }, "Go on training"), h("span", {}, "The model was taken before its last step. The same run goes on from there.")));
    rows.push(...(isDone ? hints : []).map((text) => h("li", {}, h("span", {}, text))));
    this.next.hidden = !rows.length;
    this.next.replaceChildren(h("h3", {}, "What to try next"), h("ul", { className: "next" }, rows));
  }

  enough(job) { state.trying(() => post("/api/job", { job: job.number, action: "enough" })); }
}

customElements.define("studio-training", TrainingPanel);
