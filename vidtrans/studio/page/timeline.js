// The timeline: sound, cuts, marks, the playhead; it is dragged, and moved by keys.
import { clamp, h } from "./api.js";

export class Timeline extends HTMLElement {
  connectedCallback() {
    this.canvas = h("canvas", { height: 64 });
    this.append(this.canvas);
    this.tabIndex = 0;
    this.setAttribute("role", "slider");
    this.setAttribute("aria-label", "Frame");
    this.setAttribute("aria-valuemin", 0);
    this.facts = null;
    this.curve = null; // values of frames to plot, such as flicker
    this.range = [null, null];
    this.frame = 0;
    new ResizeObserver(() => this.draw()).observe(this);
    const go = (event) => {
      if (!this.facts) return;
      const box = this.canvas.getBoundingClientRect();
      const share = clamp((event.clientX - box.left) / box.width, 0, 1);
      this.dispatchEvent(new CustomEvent("seek", { detail: Math.round(share * (this.facts.frames - 1)) }));
    };
    this.addEventListener("pointerdown", (event) => { this.setPointerCapture(event.pointerId); go(event); });
    this.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
  }

  set(facts) {
    this.facts = facts;
    this.setAttribute("aria-valuemax", facts ? facts.frames - 1 : 0);
    this.draw();
  }

  move(frame) {
    this.frame = frame;
    this.setAttribute("aria-valuenow", frame);
    this.setAttribute("aria-valuetext", `frame ${frame}`);
    this.draw();
  }

  draw() {
    const { canvas, facts } = this;
    canvas.width = Math.max(1, this.clientWidth);
    const context = canvas.getContext("2d"), { width, height } = canvas, style = getComputedStyle(this);
    const colour = (name) => style.getPropertyValue(name);
    context.clearRect(0, 0, width, height);
    if (!facts) return;
    const x = (frame) => (frame / Math.max(1, facts.frames - 1)) * width;
    const [from, to] = this.range;
    if (from !== null || to !== null) {
      context.fillStyle = colour("--range");
      context.fillRect(x(from ?? 0), 0, x(to ?? facts.frames - 1) - x(from ?? 0), height);
    }
    context.fillStyle = colour("--line");
    facts.peaks.forEach((peak, n) => {
      const at = (n / facts.peaks.length) * width, high = peak * height * 0.9;
      context.fillRect(at, (height - high) / 2, Math.max(1, width / facts.peaks.length), high);
    });
    context.fillStyle = colour("--quiet");
    for (const shot of facts.shots) if (shot) context.fillRect(x(shot), 0, 1, height);
    if (this.curve) {
      const top = Math.max(...this.curve, 1e-9);
      context.strokeStyle = colour("--accent");
      context.beginPath();
      this.curve.forEach((value, n) => context.lineTo(x(n), height - 2 - (value / top) * (height - 4)));
      context.stroke();
    }
    context.fillStyle = colour("--accent");
    context.fillRect(x(this.frame) - 1, 0, 2, height);
  }
}

customElements.define("studio-timeline", Timeline);
