// The onion skin: the frame of the clip, its neighbours, or painted neighbours, shining through what is painted.
import { h, link } from "./api.js";
import { contextOf, frameOf, picture } from "./pictures.js";
import { state } from "./state.js";

const CHOICES = {
  source: "the frame of the clip", "painted-before": "painted before", "painted-after": "painted after", painted: "painted before and after",
  before: "clip: frame before", after: "clip: frame after",
};

export class Onion {
  constructor(canvas) {
    this.canvas = canvas;
    this.choice = h("select", { "aria-label": "Onion skin", onchange: () => this.show() }, Object.entries(CHOICES).map(([value, text]) => h("option", { value }, text)));
    this.strength = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, "aria-label": "Strength of the onion skin", oninput: () => this.show() });
    this.element = h("span", { className: "tool" }, h("label", {}, "onion skin ", this.choice), this.strength);
    this.shown = "";
  }

  // frame: the number; painted: the numbers of painted frames; file: the name of the painted frame of a number.
  open({ clip, frame, painted, file, photo }) {
    Object.assign(this, { clip, frame, painted, file, photo, shown: "" });
    this.show();
  }

  toggle() {
    this.strength.value = Number(this.strength.value) > 0 ? 0 : 0.4;
    this.show();
  }

  // What lies under the skin, as functions that read it.
  sources() {
    const before = this.painted.filter((frame) => frame < this.frame).at(-1), after = this.painted.find((frame) => frame > this.frame);
    const of = (frame) => (frame === undefined ? [] : [() => picture(link("/media", { name: this.file(frame), at: Date.now() }))]);
    switch (this.choice.value) {
      case "painted-before": return of(before);
      case "painted-after": return of(after);
      case "painted": return [...of(before), ...of(after)];
      case "before": return this.frame > 0 ? [() => frameOf(this.clip, this.frame - 1)] : [];
      case "after": return [() => frameOf(this.clip, this.frame + 1)];
      default: return [() => this.photo];
    }
  }

  async show() {
    const strength = Number(this.strength.value), { canvas } = this;
    canvas.style.opacity = strength;
    const wanted = `${this.clip} ${this.frame} ${this.choice.value}`;
    if (!this.photo || strength === 0 || this.shown === wanted) return;
    this.shown = wanted;
    const sources = this.sources(), context = contextOf(canvas);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!sources.length) state.say("There is no such frame to shine through.");
    const found = await state.trying(() => Promise.all(sources.map((read) => read())));
    if (!found || this.shown !== wanted) return;
    for (const [n, each] of found.entries()) {
      context.globalAlpha = 1 / (n + 1);
      context.drawImage(each, 0, 0, canvas.width, canvas.height);
    }
    context.globalAlpha = 1;
  }
}
