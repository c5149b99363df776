// The easel: a frame to paint on, as a key frame, a correction of a result, or strokes that say what to cut out.
import { clamp, get, h, link, post, stem, upload } from "./api.js";
import { Brush } from "./brush.js";
import { state } from "./state.js";

const TOOLS = { brush: "Brush (b)", eraser: "Eraser: back to the frame (e)", fill: "Fill (g)", pick: "Pick a colour (p)", clone: "Clone (c)" };
// What the painted frames are for: the folder that they go to, and the command that takes it.
const PURPOSES = {
  paint: { text: "key frames: the others follow", folder: ".keyframes", job: (clip, folder) => ["propagate", { video: [clip], keyframes: folder, preview: true }] },
  quick: { text: "key frames, along the motion only", folder: ".keyframes", job: (clip, folder) => ["propagate", { video: [clip], keyframes: folder, minutes: 0, output: `${stem(clip)}.quick.mp4`, overwrite: true }] },
  fix: { text: "corrections of this result", folder: ".corrections", job: (clip, folder) => ["fix", { render: clip, painted: folder }] },
  matte: { text: "strokes: green on the thing, red off it", folder: ".strokes", job: (clip, folder, frames) => ["matte", { video: [clip], frame: frames.map((name) => `${parseInt(name, 10)}=${folder}/${name}`) }] },
};

export class Easel extends HTMLElement {
  connectedCallback() {
    this.paint = h("canvas", { tabIndex: 0, role: "application", "aria-label": "The frame. Painted with a pen or a mouse." });
    this.photo = h("canvas");
    this.onion = h("canvas", { className: "onion", "aria-hidden": "true" });
    this.sheet = h("div", { className: "sheet" }, this.paint, this.onion);
    this.view = h("div", { className: "board" }, this.sheet);
    this.brush = new Brush(this.paint);
    this.tool = "brush";
    this.transform = { zoom: 1, x: 0, y: 0, angle: 0 };
    this.heading = h("h2", {}, "Choose a clip on the shelf: “Paint on its frames”");
    const range = (label, low, high, step, value, changed) => {
      const input = h("input", { type: "range", min: low, max: high, step, value, "aria-label": label, oninput: () => changed(Number(input.value)) });
      return [h("label", {}, label, input), input];
    };
    this.tools = h("div", { className: "bar", role: "group", "aria-label": "Tools" }, Object.entries(TOOLS).map(([name, text]) =>
      h("button", { type: "button", "data-tool": name, "aria-pressed": String(name === this.tool), title: text, onclick: () => this.use(name) }, text.split(/[:(]/)[0].trim())));
    this.colour = h("input", { type: "color", value: "#c83232", "aria-label": "Colour" });
    const [sizeLabel, size] = range("size", 1, 200, 1, 24, (value) => { this.brush.size = value; });
    this.size = size;
    const [hardLabel] = range("hardness", 0, 1, 0.05, 0.7, (value) => { this.brush.hardness = value; });
    const [opacityLabel] = range("opacity", 0.05, 1, 0.05, 1, (value) => { this.brush.opacity = value; });
    const [onionLabel] = range("frame shows through", 0, 1, 0.05, 0, (value) => { this.onion.style.opacity = value; });
    this.other = h("input", { type: "number", min: 0, value: 0, "aria-label": "Frame to clone from", onchange: () => this.loadClone() });
    this.number = h("input", { type: "number", min: 0, value: 0, "aria-label": "Frame", onchange: () => this.open(this.clip, Number(this.number.value)) });
    this.purpose = h("select", { "aria-label": "What it is for", onchange: () => this.open(this.clip, this.frame) },
      Object.entries(PURPOSES).map(([value, { text }]) => h("option", { value }, text)));
    this.strip = h("div", { className: "bar", role: "group", "aria-label": "Painted frames" });
    const button = (text, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, text);
    this.append(this.heading,
      h("div", { className: "bar" }, h("label", {}, "frame ", this.number), h("label", {}, "for ", this.purpose), this.strip),
      this.tools,
      h("div", { className: "bar" }, this.colour, button("Green", () => { this.colour.value = "#00ff00"; }), button("Red", () => { this.colour.value = "#ff0000"; }),
        sizeLabel, hardLabel, opacityLabel, onionLabel, h("label", {}, "clone from frame ", this.other)),
      this.view,
      h("div", { className: "bar" }, button("Undo", () => this.undo()), button("Redo", () => this.redo()), button("Fit", () => this.fit()),
        button("Save", () => this.save()), this.go = button("Save, and go", () => this.render(), { className: "first" })));
    this.paint.addEventListener("pointerdown", (event) => this.down(event));
    this.paint.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) this.paint.addEventListener(name, () => this.up());
    this.view.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY / 400)); }, { passive: false });
    this.setEnabled(false);
    addEventListener("beforeunload", (event) => { if (this.isChanged) event.preventDefault(); });
  }

  setEnabled(on) { for (const one of this.querySelectorAll("button, input, select")) one.disabled = !on; }

  // Show a frame. What is on the easel is saved first, and leaves it only when the new frame is there.
  async open(clip, frame) {
    if (!clip) return;
    if (this.isChanged && !(await this.save())) return;
    const number = this.asked = (this.asked ?? 0) + 1;
    await state.trying(async () => {
      const folder = `${stem(clip)}${PURPOSES[this.purpose.value].folder}`;
      const file = `${folder}/${String(frame).padStart(6, "0")}.png`;
      const photo = await picture(link("/frame", { name: clip, frame, kind: "png" }));
      const painted = await names(folder);
      const isPainted = painted.includes(file.split("/").pop());
      const shown = isPainted ? await picture(link("/media", { name: file, at: Date.now() })) : photo;
      if (number !== this.asked || this.isChanged) return; // another frame was asked for meanwhile, or this one painted on
      if (clip !== this.clip) this.clone = null;
      Object.assign(this, { clip, frame, folder, file, painted });
      this.number.value = frame;
      this.heading.textContent = `${clip}, frame ${frame}`;
      for (const canvas of [this.paint, this.photo, this.onion]) Object.assign(canvas, { width: photo.width, height: photo.height });
      for (const [canvas, drawn] of [[this.photo, photo], [this.onion, photo], [this.paint, shown]]) canvas.getContext("2d").drawImage(drawn, 0, 0, photo.width, photo.height);
      this.brush.done = [];
      this.brush.undone = [];
      this.isChanged = false;
      this.setEnabled(true);
      this.fit();
      this.showStrip();
    });
    if (this.clip) this.number.value = this.frame;
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
    if (tool === "clone" && !this.clone) this.loadClone();
  }

  async loadClone() {
    await state.trying(async () => {
      const found = await picture(link("/frame", { name: this.clip, frame: Number(this.other.value), kind: "png" }));
      this.clone = h("canvas", { width: found.width, height: found.height });
      this.clone.getContext("2d").drawImage(found, 0, 0);
    });
  }

  at(event) {
    const pressure = event.pointerType === "pen" ? 0.25 + 0.75 * event.pressure : 1;
    return { x: event.offsetX, y: event.offsetY, pressure };
  }

  down(event) {
    if (event.button === 1 || event.altKey) { this.panning = { x: event.clientX, y: event.clientY, ...this.transform, left: this.transform.x, top: this.transform.y }; return; }
    if (event.button > 0 && event.button !== 5) return;
    this.paint.setPointerCapture(event.pointerId);
    const point = this.at(event), erases = this.tool === "eraser" || event.button === 5;
    if (this.tool === "pick") { this.colour.value = this.brush.colourAt(point.x, point.y, (event.shiftKey ? this.photo : this.paint).getContext("2d")); return; }
    if (this.tool === "fill") { this.brush.fill(point.x, point.y, this.colour.value); this.isChanged = true; return; }
    if (this.tool === "clone" && !this.clone) return;
    this.brush.begin(point, erases ? { picture: this.photo, dx: 0, dy: 0 } : this.tool === "clone" ? { picture: this.clone, dx: 0, dy: 0 } : this.colour.value);
  }

  move(event) {
    if (this.panning) {
      this.transform.x = this.panning.left + event.clientX - this.panning.x;
      this.transform.y = this.panning.top + event.clientY - this.panning.y;
      this.place();
      return;
    }
    if (!this.brush.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.brush.extend(this.at(one));
  }

  up() {
    this.panning = null;
    if (this.brush.end()) this.isChanged = true;
  }

  undo() { this.brush.undo(); this.isChanged = true; }
  redo() { this.brush.redo(); this.isChanged = true; }

  fit() {
    const { clientWidth, clientHeight } = this.view;
    const zoom = Math.min(clientWidth / this.paint.width, clientHeight / this.paint.height) || 1;
    this.transform = { zoom, angle: 0, x: (clientWidth - zoom * this.paint.width) / 2, y: (clientHeight - zoom * this.paint.height) / 2 };
    this.place();
  }

  zoom(factor) { this.transform.zoom = clamp(this.transform.zoom * factor, 0.05, 32); this.place(); }

  place() {
    const { zoom, x, y, angle } = this.transform;
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${zoom}) rotate(${angle}deg)`;
  }

  async save() {
    const { file: name, folder } = this;
    const file = await new Promise((done) => { this.paint.toBlob(done, "image/png"); });
    return state.trying(async () => {
      await upload(name, file, { replace: true });
      this.isChanged = false;
      this.painted = await names(folder);
      this.showStrip();
      state.say(`Saved ${name}.`);
      return true;
    });
  }

  async render() {
    if (!(await this.save())) return;
    const [command, values] = PURPOSES[this.purpose.value].job(this.clip, this.folder, this.painted);
    const made = await state.trying(() => post("/api/run", { command, values, title: `${stem(this.clip)}: ${command}` }));
    if (made) state.tell("made", { jobs: made.jobs, wish: null });
  }

  key(event) {
    const isTurn = event.key.toLowerCase() === "r";
    const letters = { b: "brush", e: "eraser", g: "fill", p: "pick", c: "clone" };
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "z") this.undo();
    else if (control && (event.key === "y" || event.key === "Z")) this.redo();
    else if (control && event.key === "s") this.save();
    else if (!control && event.key in letters) this.use(letters[event.key]);
    else if (control) return;
    else if (event.key === "[" || event.key === "]") { this.size.value = Number(this.size.value) * (event.key === "[" ? 0.8 : 1.25); this.brush.size = Number(this.size.value); }
    else if (isTurn) { this.transform.angle += event.shiftKey ? -15 : 15; this.place(); }
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.25 : 0.8);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}

async function names(folder) {
  const found = await get("/api/folder", { name: folder }).catch(() => []);
  return found.filter((name) => /^\d+\.png$/.test(name));
}

async function picture(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? "the frame could not be read");
  return createImageBitmap(await response.blob());
}

customElements.define("studio-easel", Easel);
