// The queue: jobs with their progress, their line to copy, and what may be done with each.
import { ago, clamp, duration, get, h, post } from "./api.js";
import { state } from "./state.js";
import { trainFurther } from "./training.js";

const ACTIONS = {
  queued: [["pause", "Pause"], ["cancel", "Cancel"]],
  running: [["pause", "Pause"], ["cancel", "Cancel"]],
  paused: [["resume", "Resume"], ["cancel", "Cancel"]],
  failed: [["resume", "Try again"], ["remove", "Remove"]],
  cancelled: [["resume", "Go on"], ["remove", "Remove"]],
  done: [["remove", "Remove"]],
};

const SHOWN = ["clip", "picture", "pictures", "training"]; // kinds of files that the page can show
const kindOf = (name) => (/\.(mp4|webm|mov|mkv)$/i.test(name) ? "clip" : /\.(png|jpe?g|webp)$/i.test(name) ? "picture" : "");

// At which step a model was taken as it is.
const takenAt = ({ outcome }) => (outcome.of_steps ? `, at step ${outcome.steps.toLocaleString("en")} of ${outcome.of_steps.toLocaleString("en")}` : "");
const isContinued = (job) => state.jobs.some((other) => other.number > job.number && other.training === job.training);
const button = (job, text, onclick) => h("button", { type: "button", "aria-label": `${text}: ${job.title}`, onclick }, text);

export class Queue extends HTMLElement {
  connectedCallback() {
    this.entries = new Map();
    this.list = h("ol", { className: "jobs", "aria-label": "Jobs" });
    this.notify = h("button", { type: "button", hidden: !("Notification" in window) || Notification.permission !== "default",
      onclick: async () => { await Notification.requestPermission(); this.notify.hidden = true; } }, "Notify me when a job ends");
    this.append(this.list, this.notify);
    for (const name of ["jobs", "items"]) state.addEventListener(name, () => this.show());
    state.addEventListener("ended", ({ detail }) => this.tell(detail));
  }

  show() {
    if (!state.jobs.length) { this.list.replaceChildren(h("li", { className: "quiet" }, "Nothing to do yet.")); return; }
    const made = state.jobs.map((job) => this.entry(job));
    if (made.some((one, n) => this.list.children[n] !== one) || this.list.children.length !== made.length) this.list.replaceChildren(...made);
  }

  entry(job) {
    const { preview } = job.progress, hasResult = Boolean(state.item(job.outcome.output ?? ""));
    const mark = JSON.stringify([job.progress.note, job.state, job.wanted, job.waits, job.outcome, preview, hasResult, job.training, job.as_is, job.can_take, isContinued(job)]);
    let entry = this.entries.get(job.number);
    if (!entry || entry.dataset.mark !== mark) {
      entry = this.build(job, mark);
      this.entries.get(job.number)?.replaceWith(entry);
      this.entries.set(job.number, entry);
    }
    const { progress } = job, bar = entry.querySelector("progress"), text = entry.querySelector(".progress");
    if (bar && job.state === "running") {
      const isKnown = progress.total > 0;
      if (isKnown) bar.value = clamp(progress.done / progress.total, 0, 1); else bar.removeAttribute("value");
      const left = progress.left_s ? `, ${duration(progress.left_s)} left` : "";
      text.textContent = progress.task ? `${progress.task}${isKnown ? ` ${progress.done} of ${progress.total}` : ""}${progress.detail ? `, ${progress.detail.trim()}` : ""}${left}` : "starting …";
    }
    return entry;
  }

  build(job, mark) {
    const act = (action) => state.trying(() => post("/api/job", { job: job.number, action }));
    const stopping = job.state === "running" && job.wanted !== "run";
    const { output, error } = job.outcome;
    const words = stopping ? "saving what is done …" : job.waits ?? (job.state === "done" ? `done ${ago(job.finished)}${takenAt(job)}` : job.as_is ? `${job.state}, to deliver the model as it is` : job.state);
    const kill = h("button", { type: "button", "aria-label": `End at once: ${job.title}`, onclick: () => act("kill") }, "End at once");
    const buttons = stopping ? [kill] : ACTIONS[job.state].map(([action, text]) =>
      h("button", { type: "button", "data-action": action, "aria-label": `${text}: ${job.title}`, onclick: () => act(action) }, text));
    const { preview } = job.progress;
    if (job.training) buttons.unshift(button(job, "Watch it learn", () => state.tell("training", job.training)));
    if (job.can_take && !stopping) buttons.push(button(job, "Good enough", () => act("enough")));
    if (job.can_train_on && !isContinued(job)) buttons.push(button(job, "Go on training", () => trainFurther(job, "on")));
    if (preview && !job.training && job.state !== "done" && kindOf(preview)) {
      buttons.unshift(h("button", { type: "button", "aria-label": `See what there is of ${job.title}`, onclick: () => state.tell("open", { name: preview, kind: kindOf(preview) }) }, "See what there is"));
    }
    if (job.state === "done" && SHOWN.includes(state.item(output ?? "")?.kind)) {
      buttons.unshift(h("button", { type: "button", className: "first", "aria-label": `Look at ${output}`, onclick: () => state.tell("open", state.item(output)) }, "View"));
    }
    const log = h("pre", { className: "log" });
    const details = h("details", {}, h("summary", {}, "Line and log"), h("pre", { className: "line" }, job.line),
      h("button", { type: "button", onclick: () => navigator.clipboard?.writeText(job.line) }, "Copy the line"), log);
    details.addEventListener("toggle", async () => { if (details.open) log.textContent = (await get("/api/log", { job: job.number })).log; });
    return h("li", { "data-mark": mark, "data-state": job.state, "data-number": job.number },
      h("b", {}, job.title), " ", h("span", { className: "quiet" }, words),
      job.state === "running" && h("progress", { max: 1, "aria-label": `Progress of ${job.title}` }),
      job.state === "running" && h("p", { className: "progress quiet" }),
      error && h("p", { className: "bad" }, error),
      job.progress.note && h("p", { className: "quiet" }, job.progress.note),
      h("div", { className: "bar" }, buttons), details);
  }

  tell(job) {
    const text = job.state === "done" ? `${job.title} is done.` : `${job.title}: ${job.state}.`;
    state.say(text, job.state === "failed");
    if ("Notification" in window && Notification.permission === "granted" && document.visibilityState !== "visible") new Notification("vidtrans", { body: text });
  }
}

customElements.define("studio-queue", Queue);
