// Another picture than what is painted: a frame of the clip, or of a result of it, to clone from and to pick colours of.
import { h } from "./api.js";
import { canvasOf, frameOf } from "./pictures.js";
import { state } from "./state.js";

export class Reference {
  // own: the name of the choice that stands for what is painted; '' where it is none.
  constructor(label, own = "") {
    this.own = own;
    this.source = h("select", { "aria-label": `${label} from`, onchange: () => this.load() });
    this.number = h("input", { type: "number", min: 0, value: 0, "aria-label": `Frame to ${label.toLowerCase()} from`, onchange: () => { this.isNumbered = true; this.load(); } });
    this.element = h("span", { className: "tool", hidden: true }, h("label", {}, `${label.toLowerCase()} from `, this.source), h("label", {}, "frame ", this.number));
    this.canvas = null;
  }

  get isOwn() { return this.source.value === ""; }

  open({ clip, frame, width, height }) {
    Object.assign(this, { clip, width, height, canvas: null });
    const results = state.jobs.filter((job) => job.state === "done" && job.outcome.source === clip && state.item(job.outcome.output)?.kind === "clip");
    const { value } = this.source;
    this.results = new Map(results.map((job) => [job.outcome.output, job.outcome.source_part?.[0] ?? 0]));
    this.source.replaceChildren(...(this.own ? [h("option", { value: "" }, this.own)] : []), h("option", { value: clip }, "the clip"),
      ...[...this.results.keys()].map((name) => h("option", { value: name }, name)));
    if ([...this.source.options].some((one) => one.value === value)) this.source.value = value;
    if (!this.isNumbered || this.own) this.number.value = frame;
    if (!this.element.hidden) this.load();
  }

  show(on) {
    this.element.hidden = !on;
    if (on && !this.canvas) this.load();
  }

  load() {
    this.number.disabled = this.isOwn;
    const { value } = this.source, frame = Number(this.number.value) - (this.results.get(value) ?? 0);
    this.canvas = null;
    this.loading = this.isOwn ? null : state.trying(async () => {
      const found = canvasOf(this.width, this.height, await frameOf(value, Math.max(0, frame)));
      if (this.source.value === value) this.canvas = found;
    });
    return this.loading;
  }
}
