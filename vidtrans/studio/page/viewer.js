// The viewer: one clip, or two in step: with a wipe, side by side, or their difference; loupe, loop, marks, any speed.
import { clamp, h, post } from "./api.js";
import { Layer } from "./layer.js";
import { state } from "./state.js";
import "./timeline.js";

const MODES = { wipe: "wipe", side: "side by side", difference: "difference", single: "after only", before: "before only" };
const LOUPE = 220, ZOOM = 4, FASTEST = 4;
const KEYS = {
  "J K L": "play backward, stop, play forward; again: twice as fast", "Space": "play or stop", "← →": "one frame; with Shift ten", "↑ ↓": "cut before, cut after", "Home End": "first frame, last frame",
  "I O X": "begin the range, end it, clear it", "C": "begin a shot here", "/": "loop", "Z": "loupe", "\\": "before or after", "W S D": "wipe, side by side, difference", "[ ]": "move the wipe",
};

export class Viewer extends HTMLElement {
  connectedCallback() {
    this.afterLayer = h("div", { className: "layer after" });
    this.beforeLayer = h("div", { className: "layer before" });
    this.line = h("div", { className: "wipe", hidden: true });
    this.glass = h("canvas", { className: "loupe", width: LOUPE, height: LOUPE, hidden: true, "aria-hidden": "true" });
    this.stage = h("div", { className: "stage", "data-mode": "single" }, this.beforeLayer, this.afterLayer, this.line, this.glass);
    this.a = new Layer(this.afterLayer);
    this.b = new Layer(this.beforeLayer);
    this.timeline = document.createElement("studio-timeline");
    const button = (text, label, onclick, more = {}) => h("button", { type: "button", "aria-label": label, title: label, onclick, ...more }, text);
    this.playing = button("▶", "Play (space)", () => this.toggle(), { className: "first" });
    this.looping = button("Loop", "Loop the range (/)", () => this.setLoop(!this.isLoop), { "aria-pressed": "false" });
    this.mode = h("select", { "aria-label": "Comparison", hidden: true, onchange: () => this.setMode(this.mode.value) },
      Object.entries(MODES).map(([value, text]) => h("option", { value }, text)));
    this.speed = h("select", { "aria-label": "Speed", onchange: () => this.setSpeed(Number(this.speed.value)) },
      [0.1, 0.25, 0.5, 1, 2, 4].map((rate) => h("option", { value: rate, selected: rate === 1 }, `${rate}×`)));
    this.loupe = button("Loupe", "Loupe (z)", () => this.setLoupe(!this.isLoupe), { "aria-pressed": "false" });
    this.flickers = button("Flicker", "Measure the flicker of each frame, and draw it under the timeline", () => this.measure(), { hidden: true });
    this.where = h("span", { className: "quiet", role: "status" });
    this.heading = h("h2", {}, "Open a clip or a picture from the files");
    this.made = h("pre", { className: "line", hidden: true, tabIndex: 0, "aria-label": "How it was made" });
    this.uses = h("div", { className: "bar", hidden: true },
      button("Start here (i)", "Begin the range here", () => this.markIn()), button("End here (o)", "End the range here", () => this.markOut()),
      button("Clear range", "Clear the range", () => this.setRange(null, null)),
      button("Cut here (c)", "Begin a shot at this frame, or join it with the one before", () => this.cut()),
      button("Paint this frame", "Paint this frame", () => { if (this.a.facts) state.tell("paint", { name: this.source(), frame: this.sourceFrame() }); }));
    this.help = h("dialog", { "aria-label": "Keys of the viewer" }, h("h2", {}, "Keys"), h("dl", {}, Object.entries(KEYS).flatMap(([keys, what]) => [h("dt", {}, keys.split(" ").map((key) => [h("kbd", {}, key), " "]).flat()), h("dd", {}, what)])),
      h("form", { method: "dialog", className: "bar" }, h("button", {}, "Close")));
    this.where.className = "quiet where";
    this.append(this.heading, h("div", { className: "room" }, this.stage), this.timeline,
      h("div", { className: "bar controls" }, this.playing, button("◀|", "Frame before (left)", () => this.step(-1)), button("|▶", "Next frame (right)", () => this.step(1)),
        this.speed, this.looping, this.loupe, this.mode, this.flickers, button("?", "Keys (?)", () => this.help.showModal()), this.where), this.uses, this.made, this.help);
    this.frame = 0;
    this.isLoop = true;
    this.setLoop(true);
    this.timeline.addEventListener("seek", ({ detail }) => { this.pause(); this.go(detail); });
    this.a.addEventListener("ready", () => this.ready());
    this.b.addEventListener("ready", () => this.go(this.frame));
    for (const layer of [this.a, this.b]) layer.addEventListener("fault", ({ detail }) => state.say(detail, true));
    this.stage.addEventListener("pointermove", (event) => this.pointed(event));
    this.stage.addEventListener("pointerleave", () => { this.glass.hidden = true; });
    this.stage.addEventListener("pointerdown", (event) => { this.isDragging = true; this.pointed(event); });
    addEventListener("pointerup", () => { this.isDragging = false; });
    requestAnimationFrame(() => this.tick());
  }

  // Show a file; where a job made it, beside its source, in step.
  open(item) {
    const maker = state.maker(item.name);
    const source = maker && state.item(maker.outcome.source ?? "");
    this.item = item;
    this.isPlaying = false;
    this.heading.textContent = item.name;
    this.made.hidden = !maker;
    this.made.textContent = maker?.line ?? "";
    this.uses.hidden = item.kind === "picture";
    this.frame = 0;
    this.setRange(null, null);
    this.timeline.set(null);
    this.a.show(item);
    this.compare(source && source.kind === item.kind ? source : null, maker?.outcome.source_part?.[0] ?? 0);
  }

  compare(item, first = 0) {
    this.other = item;
    this.mode.hidden = !item;
    this.flickers.hidden = item?.kind !== "clip";
    this.timeline.flicker = null;
    if (item) this.b.show(item, { first, muted: true }); else this.b.clear();
    this.setMode(item ? "wipe" : "single");
  }

  // Measure the flicker of the clip against the other one, which it was made from.
  async measure() {
    const output = this.item.name, source = this.other.name;
    this.flickers.disabled = true;
    state.say(`Measuring the flicker of ${output} …`);
    const found = await state.trying(() => post("/api/flicker", { output, source, start: this.b.first }));
    this.flickers.disabled = false;
    if (!found || output !== this.item.name || source !== this.other?.name) return;
    state.say("Flicker is drawn on the timeline: bright the result's, dim its source's.");
    this.timeline.flicker = found;
    this.timeline.draw();
  }

  ready() {
    if (this.a.isClip) this.timeline.set(this.a.facts);
    const [width, height] = this.a.isClip ? [this.a.facts.width, this.a.facts.height] : [this.a.element.naturalWidth, this.a.element.naturalHeight];
    this.stage.style.setProperty("--aspect", width / height);
    if (this.a.isClip) this.frame = this.a.frameAt(this.a.element.currentTime);
    this.go(this.frame);
  }

  // The clip to paint on, and its frame: the source of what is shown, if it is known.
  source() { return this.other?.kind === "clip" ? this.other.name : this.item?.name; }
  sourceFrame() { return this.other && this.b.facts ? this.b.frameAt(this.inB()) : this.frame; }

  // The time in the other clip that belongs to this frame: by time, as rates may differ.
  inB() { return (this.a.facts.times[this.frame] ?? 0) + (this.b.facts.times[this.b.first] ?? 0); }

  setMode(mode) {
    this.mode.value = mode;
    this.stage.dataset.mode = mode;
    this.line.hidden = mode !== "wipe";
    this.wipe ??= 0.5;
    this.setWipe(mode === "wipe" ? this.wipe : null);
  }

  setWipe(share) {
    if (share !== null) this.wipe = share;
    this.afterLayer.style.clipPath = share === null ? "" : `inset(0 0 0 ${100 * share}%)`;
    this.line.style.left = `${100 * (share ?? 0)}%`;
  }

  setSpeed(rate) { for (const layer of [this.a, this.b]) if (layer.isClip) layer.element.playbackRate = rate; this.speed.value = rate; }
  setLoop(on) { this.isLoop = on; this.looping.setAttribute("aria-pressed", on); }
  setLoupe(on) { this.isLoupe = on; this.loupe.setAttribute("aria-pressed", on); if (!on) this.glass.hidden = true; }
  setRange(from, to) { this.timeline.range = [from, to]; this.timeline.draw?.(); state.tell("range", this.range()); }
  range() { const [from, to] = this.timeline.range; return { start: from, end: to === null ? null : to + 1 }; }
  markIn() {
    if (!this.a.facts) return;
     this.setRange(this.frame, this.timeline.range[1] !== null && this.timeline.range[1] > this.frame ? this.timeline.range[1] : null);
  }
  markOut() {
    if (!this.a.facts) return;
     this.setRange(this.timeline.range[0] !== null && this.timeline.range[0] < this.frame ? this.timeline.range[0] : null, this.frame);
  }

  // Begin a shot at this frame, or no longer; the list is a file of the folder, which commands take with --cuts.
  async cut() {
    const { facts, name: clip } = this.a;
    if (!facts || this.frame === 0) return;
    const shots = facts.shots.includes(this.frame) ? facts.shots.filter((shot) => shot !== this.frame) : [...facts.shots, this.frame].sort((a, b) => a - b);
    const made = await state.trying(() => post("/api/cuts", { clip, cuts: shots }));
    if (!made || this.a.name !== clip) return;
    this.a.facts.shots = this.timeline.facts.shots = shots;
    this.timeline.draw();
    state.tell("cuts", made.name);
    state.say(`${shots.length - 1} cuts are in ${made.name}.`);
  }

  toggle() { if (this.isPlaying || this.backward) this.pause(); else this.play(); } // a clip that has just ended, and begins again, plays
  play() {
    if (!this.a.isClip) return;
    this.backward = 0;
    this.isPlaying = true;
    this.setSpeed(Number(this.speed.value));
    this.a.element.play().catch(() => {}); // it was interrupted by another source
    if (this.b.isClip) this.b.element.play().catch(() => {});
  }
  pause() { this.isPlaying = false; this.backward = 0; for (const layer of [this.a, this.b]) if (layer.isClip) layer.element.pause(); this.go(this.frame); }
  step(frames) { this.pause(); this.go(this.frame + frames); }

  // As editors have it: L plays, and again faster; J the same backward, which browsers cannot play, so that frames are stepped.
  shuttle(forward) {
    if (!this.a.facts) return;
    if (forward) {
      this.setSpeed(this.isPlaying ? Math.min(FASTEST, 2 * this.a.element.playbackRate) : 1);
      if (!this.isPlaying) this.play();
      return;
    }
    const backward = this.backward ? Math.min(FASTEST, 2 * this.backward) : 1;
    this.pause();
    Object.assign(this, { backward, from: { time: performance.now(), frame: this.frame } });
  }
  rewind() {
    const { time, frame } = this.from, passed = ((performance.now() - time) / 1000) * this.a.facts.fps * this.backward;
    const at = Math.max(0, frame - Math.floor(passed));
    if (at !== this.frame) this.go(at);
    if (at === 0) this.backward = 0;
  }
  toCut(direction) {
    const shots = [0, ...(this.a.facts?.shots ?? [])], next = direction < 0 ? shots.filter((shot) => shot < this.frame).at(-1) : shots.find((shot) => shot > this.frame);
    this.pause();
    this.go(next ?? (direction < 0 ? 0 : Infinity));
  }

  go(frame) {
    if (!this.a.isClip || !this.a.facts) return;
    this.frame = clamp(frame, 0, this.a.facts.frames - 1);
    this.a.element.currentTime = this.a.timeOf(this.frame);
    if (this.b.isClip && this.b.facts) this.b.element.currentTime = this.b.timeOf(this.b.frameAt(this.inB()));
    this.timeline.move(this.frame);
  }

  // Follow the clip that plays; keep the other one in step, and inside the range.
  tick() {
    requestAnimationFrame(() => this.tick());
    const { a, b } = this, video = a.element;
    this.playing.textContent = a.isClip && !video.paused ? "❚❚" : "▶";
    if (!a.isClip || !a.facts) return;
    if (this.backward) this.rewind();
    if (!video.paused || video.ended) {
      const frame = a.frameAt(video.currentTime), [from, to] = this.timeline.range;
      if (video.ended && !this.isLoop) this.isPlaying = false;
      if (this.isPlaying && this.isLoop && (video.ended || frame > (to ?? Infinity))) {
        this.go(from ?? 0);
        this.play();
        return;
      }
      if (frame !== this.frame) { this.frame = frame; this.timeline.move(frame); }
      if (b.isClip && b.facts && !b.element.seeking) {
        const wanted = b.timeOf(b.frameAt(this.inB())), late = wanted - b.element.currentTime;
        if (Math.abs(late) > 1.5 / b.facts.fps) b.element.currentTime = wanted;
      }
    }
    this.where.textContent = `frame ${this.frame} of ${a.facts.frames}, ${a.facts.times[this.frame]?.toFixed(2) ?? ""} s, ${a.facts.width}×${a.facts.height}${a.isProxy ? ", shown smaller" : ", a quick copy is made …"}`;
  }

  pointed(event) {
    const box = this.stage.getBoundingClientRect();
    const x = clamp((event.clientX - box.left) / box.width, 0, 1), y = clamp((event.clientY - box.top) / box.height, 0, 1);
    if (this.isDragging && this.stage.dataset.mode === "wipe" && !this.isLoupe) this.setWipe(x);
    if (this.isLoupe) this.magnify(x, y, box);
  }

  magnify(x, y, box) {
    const context = this.glass.getContext("2d");
    this.glass.hidden = false;
    this.glass.style.left = `${100 * x}%`;
    this.glass.style.top = `${100 * y}%`;
    const isBefore = this.stage.dataset.mode === "before" || (this.stage.dataset.mode === "wipe" && x < this.wipe);
    const layer = isBefore ? this.b : this.a, shown = layer.element;
    if (!shown) return;
    const [width, height] = layer.isClip ? [shown.videoWidth, shown.videoHeight] : [shown.naturalWidth, shown.naturalHeight];
    const side = (LOUPE / ZOOM) * (width / box.width);
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, LOUPE, LOUPE);
    context.drawImage(shown, x * width - side / 2, y * height - side / 2, side, side, 0, 0, LOUPE, LOUPE);
  }

  key(event) {
    if (event.altKey) return;
    const mode = (name) => () => { if (this.other) this.setMode(name); };
    const keys = {
      " ": () => this.toggle(), ArrowLeft: () => this.step(event.shiftKey ? -10 : -1), ArrowRight: () => this.step(event.shiftKey ? 10 : 1),
      ArrowUp: () => this.toCut(-1), ArrowDown: () => this.toCut(1), Home: () => this.go(0), End: () => this.go(Infinity),
      j: () => this.shuttle(false), k: () => this.pause(), l: () => this.shuttle(true), i: () => this.markIn(), o: () => this.markOut(), x: () => this.setRange(null, null),
      c: () => this.cut(), "/": () => this.setLoop(!this.isLoop), z: () => this.setLoupe(!this.isLoupe), w: mode("wipe"), s: mode("side"), d: mode("difference"),
      "\\": () => mode(this.stage.dataset.mode === "before" ? "single" : "before")(), "?": () => this.help.showModal(),
      "[": () => this.setWipe(clamp(this.wipe - 0.05, 0, 1)), "]": () => this.setWipe(clamp(this.wipe + 0.05, 0, 1)),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { act(); event.preventDefault(); }
  }
}

customElements.define("studio-viewer", Viewer);
