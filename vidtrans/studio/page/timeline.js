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
    this.wave = null;
    this.setAttribute("aria-valuemax", facts ? facts.frames - 1 : 0);
    this.draw();
  }

  // The flicker of each frame, and of the source there, on one scale from the bottom up.
  plot(context, x, colour) {
    const { frame, flicker, flicker_source: source } = this.flicker, { height } = this.canvas;
    const full = Math.max(...flicker, ...source, 1e-6);
    for (const [values, name, wide] of [[source, "--quiet", 1], [flicker, "--accent", 2]]) {
      context.strokeStyle = colour(name);
      context.lineWidth = wide;
      context.beginPath();
      values.forEach((value, n) => { if (value !== null) context.lineTo(x(frame[n]), height - 2 - (value / full) * (height - 6)); });
      context.stroke();
    }
  }

  move(frame) {
    this.frame = frame;
    this.setAttribute("aria-valuenow", frame);
    this.setAttribute("aria-valuetext", `frame ${frame}`);
    this.draw();
  }

  // The sound, drawn once for each width.
  waveform(width, height, colour) {
    const mark = `${width} ${colour} ${this.facts.peaks.length}`;
    if (this.wave?.mark === mark) return this.wave.canvas;
    const canvas = h("canvas", { width, height }), context = canvas.getContext("2d"), { peaks } = this.facts;
    context.fillStyle = colour;
    for (let x = 0; x < width; x += 1) {
      const part = peaks.slice(Math.floor((x * peaks.length) / width), Math.floor(((x + 1) * peaks.length) / width) + 1);
      const high = Math.max(0, ...part) * height * 0.9;
      context.fillRect(x, (height - high) / 2, 1, high);
    }
    this.wave = { mark, canvas };
    return canvas;
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
    context.drawImage(this.waveform(width, height, colour("--line")), 0, 0);
    context.fillStyle = colour("--quiet");
    for (const shot of facts.shots) if (shot) context.fillRect(x(shot), 0, 1, height);
    if (this.flicker) this.plot(context, x, colour);
    context.fillStyle = colour("--accent");
    context.fillRect(x(this.frame) - 1, 0, 2, height);
  }
}

customElements.define("studio-timeline", Timeline);
