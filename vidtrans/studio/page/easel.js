// The easel: a frame to paint on, as a key frame, a correction of a result, or strokes that say what to cut out.
import { get, h, link, post, stem } from "./api.js";
import { Brush, colourAt } from "./brush.js";
import { openSheet, takeBack } from "./easel_sheet.js";
import { controlKey, plainKey } from "./easel_keys.js";
import { EaselView } from "./easel_view.js";
import { Onion } from "./onion.js";
import { canvasOf, contextOf, frameOf, picture } from "./pictures.js";
import { names, PURPOSES } from "./purposes.js";
import { Reference } from "./reference.js";
import { BOTTOM } from "./stack.js";
import { state } from "./state.js";
import "./layers_panel.js";
import "./motion.js";

const TOOLS = { brush: "Brush (b)", eraser: "Eraser: back to the frame, or to the layers below (e)", fill: "Fill (g)", pick: "Pick a colour (p)", clone: "Clone (c)" };
const WATCH_MS = 1000; // between looks at the file, which another program may change

export class Easel extends HTMLElement {
  connectedCallback() {
    this.paint = h("canvas", { tabIndex: 0, role: "application", "aria-label": "The frame. Painted with a pen, a mouse or a finger." });
    this.onionCanvas = h("canvas", { className: "onion", "aria-hidden": "true" });
    this.ring = h("div", { className: "ring", hidden: true });
    this.sheet = h("div", { className: "sheet" }, this.paint, this.onionCanvas);
    this.board = h("div", { className: "board" }, this.sheet, this.ring);
    this.brush = new Brush();
    this.onion = new Onion(this.onionCanvas);
    this.view = new EaselView(this.board, this.sheet, () => this.cancel());
    this.references = { pick: new Reference("Pick", "what is painted"), clone: new Reference("Clone") };
    this.tool = "brush";
    this.layersPanel = document.createElement("easel-layers");
    this.motion = document.createElement("easel-motion");
    this.build();
    for (const [name, act] of [["pointerdown", "down"], ["pointermove", "move"], ["pointerup", "up"], ["pointercancel", "up"]]) this.board.addEventListener(name, (event) => this[act](event));
    this.board.addEventListener("pointerleave", () => { this.ring.hidden = true; });
    document.addEventListener("keyup", (event) => { if (event.key === " ") this.setSpace(false); });
    this.setEnabled(false);
    addEventListener("beforeunload", (event) => { if (this.history?.isPending) event.preventDefault(); });
    setInterval(() => this.watch(), WATCH_MS);
  }

  build() {
    const range = (label, low, high, step, value, changed) => {
      const input = h("input", { type: "range", min: low, max: high, step, value, "aria-label": label, oninput: () => changed(Number(input.value)) });
      return [h("label", {}, label, " ", input), input];
    };
    const button = (text, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, text);
    this.heading = h("h2", {}, "Choose a clip from the files: ⋯, then “Paint on its frames”");
    this.tools = h("div", { className: "bar", role: "group", "aria-label": "Tools" }, Object.entries(TOOLS).map(([name, text]) =>
      h("button", { type: "button", "data-tool": name, "aria-pressed": String(name === this.tool), title: text, onclick: () => this.use(name) }, text.split(/[:(]/)[0].trim())));
    this.colour = h("input", { type: "color", value: "#c83232", "aria-label": "Colour" });
    const [sizeLabel, size] = range("size", 1, 200, 1, 24, (value) => { this.brush.size = value; });
    this.size = size;
    const [hardLabel] = range("hardness", 0, 1, 0.05, 0.7, (value) => { this.brush.hardness = value; });
    const [opacityLabel] = range("opacity", 0.05, 1, 0.05, 1, (value) => { this.brush.opacity = value; });
    this.number = h("input", { type: "number", min: 0, value: 0, "aria-label": "Frame", onchange: () => this.open(this.clip, Number(this.number.value)) });
    this.purpose = h("select", { "aria-label": "What it is for", onchange: () => this.choosePurpose() },
      Object.entries(PURPOSES).map(([value, { text }]) => h("option", { value }, text)));
    this.strip = h("div", { className: "bar strip", role: "group", "aria-label": "Painted frames" });
    this.own = button("Open in my program", () => this.openOwn(), { hidden: true, title: "Opens the file in this machine's program for PNG. What you save there is taken back." });
    this.unsaved = h("span", { className: "quiet" });
    this.strokes = h("span", { className: "tool", hidden: true }, button("Green", () => { this.colour.value = "#00ff00"; }), button("Red", () => { this.colour.value = "#ff0000"; }));
    this.append(this.heading,
      h("div", { className: "bar" }, h("label", {}, "frame ", this.number), h("label", {}, "for ", this.purpose), this.strip),
      h("div", { className: "bar" }, this.tools, this.colour, this.strokes, sizeLabel, hardLabel, opacityLabel, this.references.pick.element, this.references.clone.element),
      this.work = h("div", { className: "work" }, h("div", {}, this.board,
        h("div", { className: "bar" }, button("Undo", () => this.undo(), { title: "Undo (Ctrl-Z)" }), button("Redo", () => this.redo(), { title: "Redo (Ctrl-Y)" }), button("Fit", () => this.view.fit(), { title: "Fit (0)" }),
          this.wide = button("Wide", () => this.widen(), { className: "widening", "aria-pressed": "false", title: "Wide: without shelf and queue (f)" }), button("Save", () => this.save(), { title: "Save (Ctrl-S)" }),
          this.go = button("Make the clip", () => this.render(), { className: "first" }), this.own, this.unsaved),
        h("div", { className: "bar" }, this.onion.element)),
        h("div", { className: "side" }, this.layersPanel, this.motion)));
  }

  // Key frames may be learned or moved along: the frame and its folder stay, and the button changes at once.
  choosePurpose() {
    const { folder, go } = PURPOSES[this.purpose.value];
    if (!this.clip || `${stem(this.clip)}${folder}` !== this.folder || this.work.inert) { this.open(this.clip, this.frame); return; }
    this.shownPurpose = this.purpose.value;
    this.go.textContent = go;
  }

  // While a frame is fetched nothing can be painted: it would go to the frame that is still seen.
  setBusy(on) {
    if (on && !this.work.inert) this.focused = this.work.contains(document.activeElement) ? document.activeElement : null;
    this.work.inert = on;
    if (!on) this.focused?.focus({ preventScroll: true });
  }

  get isChanged() { return this.history?.isChanged ?? false; }
  setEnabled(on) { for (const one of this.querySelectorAll("button, input, select")) one.disabled = !on; }
  name(frame) { return `${this.folder}/${String(frame).padStart(6, "0")}.png`; }

  // Show a frame. What is on the easel is saved first, and leaves it only when the new frame is there.
  async open(clip, frame) {
    if (!clip) return;
    const number = this.asked = (this.asked ?? 0) + 1, purpose = this.purpose.value;
    this.setBusy(true);
    if (!this.isChanged || (await this.save())) await this.fetch(clip, frame, purpose, number);
    if (number !== this.asked) return; // the later one ends it
    if (this.clip) { this.number.value = this.frame; this.purpose.value = this.shownPurpose; }
    this.setBusy(false);
  }

  async fetch(clip, frame, purpose, number) {
    await state.trying(async () => {
      const folder = `${stem(clip)}${PURPOSES[purpose].folder}`, file = `${folder}/${String(frame).padStart(6, "0")}.png`;
      const [photo, painted] = await Promise.all([frameOf(clip, frame), names(folder)]);
      const { history, news } = await openSheet(file, photo);
      if (number !== this.asked || this.isChanged) return; // another frame was asked for meanwhile, or a stroke ended on this one
      Object.assign(this, { clip, frame, folder, file, painted, history, stack: history.stack, shownPurpose: purpose });
      this.photo = canvasOf(photo.width, photo.height, photo);
      this.own.hidden = !state.isHere;
      this.number.value = frame;
      this.heading.textContent = `${clip}, frame ${frame}`;
      this.dataset.clip = clip;
      for (const canvas of [this.paint, this.onionCanvas]) Object.assign(canvas, { width: photo.width, height: photo.height });
      this.setEnabled(true);
      this.go.textContent = PURPOSES[purpose].go;
      this.attach(purpose === "matte");
      this.show();
      this.board.style.setProperty("--aspect", photo.width / photo.height);
      this.view.fit([photo.width, photo.height]);
      this.showStrip();
      if (news) state.say(news);
    });
  }

  attach(isMatte) {
    const { clip, frame, photo, history } = this, numbers = this.painted.map((name) => parseInt(name, 10)).sort((a, b) => a - b);
    history.addEventListener("change", () => this.showState());
    this.stack.addEventListener("layers", () => this.show());
    this.layersPanel.hidden = this.motion.hidden = isMatte;
    this.strokes.hidden = !isMatte;
    this.layersPanel.open(history);
    this.onion.open({ clip, frame, photo, painted: numbers, file: (number) => this.name(number) });
    for (const one of Object.values(this.references)) one.open({ clip, frame, width: photo.width, height: photo.height });
    if (isMatte) this.motion.clear(); else this.motion.open(this);
    this.showState();
  }

  // Copy what the layers give together to the canvas that is seen.
  show(box = [0, 0, this.paint.width, this.paint.height]) {
    const [x, y, width, height] = box, context = contextOf(this.paint);
    context.clearRect(x, y, width, height);
    context.drawImage(this.stack.board, x, y, width, height, x, y, width, height);
  }

  compose(box) {
    this.stack.compose(box);
    this.show(box);
  }

  showState() {
    this.unsaved.textContent = this.history.isPending ? "storing …" : this.isChanged ? "not saved in the file yet" : "";
    if (!this.brush.stroke) this.show();
  }

  showStrip() {
    this.strip.replaceChildren(...this.painted.map((name) => {
      const frame = parseInt(name, 10);
      return h("button", { type: "button", "aria-pressed": String(frame === this.frame), onclick: () => this.open(this.clip, frame) }, String(frame));
    }));
  }

  use(tool) {
    this.tool = tool;
    for (const button of this.tools.children) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    for (const [name, reference] of Object.entries(this.references)) reference.show(name === tool);
  }

  down(event) {
    if (!this.history) return;
    this.board.setPointerCapture(event.pointerId);
    this.paint.focus({ preventScroll: true });
    event.preventDefault();
    if (this.view.down(event) || (event.button > 0 && event.button !== 5) || this.history.isBusy) return;
    const point = this.at(event);
    if (this.tool === "pick" && event.button !== 5) { this.pick(point, event.shiftKey); return; }
    if (!this.stack.current.visible) { state.say(`${this.stack.current.name} is hidden: show it, or paint on another layer.`, true); return; }
    const canvas = this.stack.canvas(this.stack.active);
    if (this.tool === "fill" && event.button !== 5) {
      this.finish(this.brush.fill(canvas, this.stack.board, point.x, point.y, this.colour.value));
      return;
    }
    const paint = this.paintOf(this.tool === "eraser" || event.button === 5 ? "eraser" : this.tool);
    if (paint === undefined) return;
    this.brush.begin(canvas, point, paint);
    this.stroked();
  }

  // What the brush lays down; undefined while it is not there yet.
  paintOf(tool) {
    if (tool === "eraser") return this.stack.active === BOTTOM ? { picture: this.photo, dx: 0, dy: 0 } : null;
    if (tool !== "clone") return this.colour.value;
    const { canvas } = this.references.clone;
    return canvas ? { picture: canvas, dx: 0, dy: 0 } : undefined;
  }

  pick({ x, y }, isSource) {
    const other = this.references.pick.isOwn ? this.stack.board : this.references.pick.canvas;
    if (isSource || other) this.colour.value = colourAt(isSource ? this.photo : other, x, y);
  }

  at(event) { return { ...this.view.at(event), pressure: event.pointerType === "pen" ? 0.25 + 0.75 * event.pressure : 1 }; }

  move(event) {
    this.showRing(event);
    if (this.view.moved(event) || !this.brush.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.brush.extend(this.at(one));
    this.stroked();
  }

  stroked() {
    const box = this.brush.takeFresh();
    if (box) this.compose(box);
  }

  up(event) {
    if (this.view.up(event)) return;
    this.finish(this.brush.end());
  }

  finish(change) {
    if (!change) return;
    this.compose(); // all of it: parts may be rounded in another way, and what is seen is what is saved
    this.history.add({ layer: this.stack.active, ...change });
    this.motion.painted();
  }

  cancel() {
    if (!this.brush.stroke) return;
    this.brush.cancel();
    this.compose();
  }

  showRing(event) {
    const { x, y } = this.view.on(event), side = this.brush.size * this.view.zoom;
    this.ring.hidden = event.pointerType === "touch" || !["brush", "eraser", "clone"].includes(this.tool) || !this.history;
    Object.assign(this.ring.style, { width: `${side}px`, height: `${side}px`, transform: `translate(${x - side / 2}px, ${y - side / 2}px)` });
  }

  async step(side) {
    if (!this.history || this.brush.stroke) return;
    await this.history.step(side);
    this.motion.painted();
  }

  undo() { return this.step("before"); }
  redo() { return this.step("after"); }

  async save() {
    const { file, folder, history } = this;
    return state.trying(async () => {
      await history.save();
      const painted = await names(folder);
      if (this.folder === folder) { this.painted = painted; this.showStrip(); }
      state.say(`Saved ${file}.`);
      return true;
    });
  }

  async render() {
    if (!(await this.save())) return;
    const [command, values] = PURPOSES[this.purpose.value].job(this.clip, this.folder, this.painted);
    const made = await state.trying(() => post("/api/run", { command, values, title: `${stem(this.clip)}: ${command}` }));
    if (made) state.tell("made", { jobs: made.jobs, wish: null });
  }

  async openOwn() {
    if (!(await this.save())) return;
    const opened = await state.trying(() => post("/api/easel/open", { name: this.file }));
    if (opened) state.say("Opened in your program. What you save there is taken back here.");
  }

  // Take the file back when another program has written it: once it no longer changes, and no stroke is under way.
  async watch() {
    const { history } = this;
    if (!history || !this.checkVisibility() || document.visibilityState !== "visible" || this.isWatching) return;
    this.isWatching = true;
    try {
      const { stamp } = await get("/easel/stamp", { name: history.name });
      const isDue = () => stamp && stamp !== history.stamp && !this.brush.stroke && !history.isBusy && !history.isSaving && history === this.history;
      const rests = stamp === this.lastStamp;
      this.lastStamp = stamp;
      if (!isDue() || !rests) return;
      const file = await picture(link("/media", { name: history.name, at: stamp }));
      if (!isDue()) return;
      const news = await takeBack(history, file, stamp);
      if (news) { state.say(news); this.motion.painted(); }
    } catch { /* it is being written: the next look finds it */ } finally {
      this.isWatching = false;
    }
  }

  widen() {
    const isWide = document.body.classList.toggle("wide");
    this.wide.setAttribute("aria-pressed", String(isWide));
    this.view.fit();
  }

  resize(factor) {
    this.size.value = Math.max(1, Math.round(Number(this.size.value) * factor));
    this.brush.size = Number(this.size.value);
  }

  setSpace(on) {
    this.view.isSpace = on;
    this.board.classList.toggle("moving", on);
  }

  key(event) {
    if (!this.history || (this.work.inert && ![",", "."].includes(event.key))) return;
    const act = event.ctrlKey || event.metaKey ? controlKey(this, event) : plainKey(this, event);
    if (!act) return;
    act();
    event.preventDefault();
  }
}

customElements.define("studio-easel", Easel);
