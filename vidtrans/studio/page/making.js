// What was wished for last, while it is made: which step, how far it is, and where it will open.
import { clamp, duration, h } from "./api.js";
import { state } from "./state.js";

export class Making extends HTMLElement {
  connectedCallback() {
    if (this.heading) return; // it is shown again
    this.heading = h("b", {});
    this.bar = h("progress", { max: 1, "aria-label": "Progress of the wish" });
    this.text = h("p", { className: "quiet" });
    this.hidden = true;
    this.append(this.heading, this.bar, this.text);
    state.addEventListener("jobs", () => this.show());
  }

  follow(wish, numbers) {
    Object.assign(this, { wish, numbers });
    this.show();
  }

  show() {
    if (!this.numbers) return;
    const jobs = this.numbers.map((number) => state.jobs.find((job) => job.number === number));
    const at = jobs.findIndex((job) => job?.state !== "done"), job = jobs[at];
    this.hidden = at < 0 || (job !== undefined && !["queued", "running"].includes(job.state));
    if (this.hidden) { this.numbers = null; return; }
    const { total = 0, done = 0, left_s: left } = job?.progress ?? {};
    this.heading.textContent = `${jobs.length > 1 ? `Step ${at + 1} of ${jobs.length}: ` : ""}${job?.title ?? this.wish.title}`;
    if (job?.state === "running" && total > 0) this.bar.value = clamp(done / total, 0, 1); else this.bar.removeAttribute("value");
    const time = left ? `${duration(left)} left${at + 1 < jobs.length ? " of this step" : ""}. ` : "";
    this.text.textContent = `${time}${this.wish.easel ? "The easel opens" : "It opens here"} when it is done. You can close the page meanwhile.`;
  }
}

customElements.define("studio-making", Making);
