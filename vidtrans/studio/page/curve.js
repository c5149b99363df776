// The curve of a control over a clip: drawn over its sound; key frames are added, moved and removed on it.
import { clamp, get, h, post } from "./api.js";
import { state } from "./state.js";

const HEIGHT = 150, REACH = 12; // pixels; how near a point is taken
const EASINGS = ["linear", "ease", "ease-in", "ease-out", "hold"];
const STARTS = { // what one may begin with, from the lowest to the highest value
  "Fade in": (low, high, last) => `0: ${low}, ${Math.round(last / 3)}: ${high} ease`,
  "Fade out": (low, high, last) => `${Math.round((2 * last) / 3)}: ${high}, ${last}: ${low} ease`,
  "With the bass": (low, high) => scaled(low, high, "follow(low, 0.3)"),
  "On each beat": (low, high) => scaled(low, high, "on_beat(0.25)"),
  "With the motion": (low, high) => scaled(low, high, "smooth(motion, 0.5)"),
};
const POLL_MS = 700, WAIT_MS = 350;

export class CurveEditor extends HTMLElement {
  // input: the field that holds the text; clip(): the name of the clip; more(): options that a curve may need.
  edit(input, { low, high, usual, clip, more }) {
    Object.assign(this, { field: input, low, high, usual, clip, more });
    this.canvas = h("canvas", { height: HEIGHT, tabIndex: 0, role: "application", "aria-label": "The curve. Arrow keys move its key frames, Enter adds one, Delete removes it." });
    this.easing = h("select", { "aria-label": "How this key frame is reached", disabled: true, onchange: () => { this.points[this.at].easing = this.easing.value; this.write(); } },
      EASINGS.map((name) => h("option", { value: name }, name)));
    this.where = h("span", { className: "quiet", role: "status" });
    this.starts = h("select", { "aria-label": "Begin with", onchange: () => this.begin() },
      h("option", { value: "" }, "begin with …"), Object.keys(STARTS).map((name) => h("option", { value: name }, name)));
    this.replaceChildren(this.canvas, h("div", { className: "bar" }, this.starts, this.easing,
      h("button", { type: "button", onclick: () => this.add() }, "Add"), h("button", { type: "button", onclick: () => this.remove() }, "Remove"), this.where));
    this.at = -1;
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", () => { this.isMoving = false; });
    this.canvas.addEventListener("dblclick", () => this.remove());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("input", () => { if (this.isConnected) this.read(); });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.learn();
    return this;
  }

  async learn() {
    const name = this.clip();
    clearTimeout(this.poll);
    if (!name) { this.where.textContent = "Choose a clip first."; return; }
    const facts = await get("/facts", { name }).catch((error) => ({ fault: error.message }));
    if (name !== this.clip() || !this.isConnected) return;
    if (facts.known && !this.facts?.peaks.length) { this.facts = facts; this.read(); }
    if (facts.known && facts.ready) return;
    if (facts.fault) this.where.textContent = facts.fault;
    else this.poll = setTimeout(() => this.learn(), POLL_MS);
  }

  get last() { return Math.max(1, this.facts.frames - 1); }

  // Take the text: as key frames where it is some; its values come from the server in any case.
  read() {
    this.points = parsed(this.field.value.trim() || String(this.usual), this.facts);
    this.at = clamp(this.at, -1, (this.points?.length ?? 0) - 1);
    this.values = null;
    this.draw();
    clearTimeout(this.waits);
    this.waits = setTimeout(() => this.ask(), WAIT_MS);
  }

  async ask() {
    const text = this.field.value.trim() || String(this.usual), values = { curve: [text], clip: this.clip(), ...this.more() };
    const found = await post("/api/curve", { values }).catch((error) => ({ problem: error.message, isOvertaken: error.isOvertaken }));
    if (found.isOvertaken || text !== (this.field.value.trim() || String(this.usual))) return;
    this.problem = found.problem ?? "";
    this.values = found.curves?.[0]?.values ?? null;
    this.draw();
  }

  write() {
    const { points } = this;
    this.field.value = points.map(({ frame, value, easing }) => `${frame}: ${Number(value.toFixed(3))}${easing === "linear" ? "" : ` ${easing}`}`).join(", ");
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    clearTimeout(this.told);
    this.told = setTimeout(() => this.field.dispatchEvent(new Event("change", { bubbles: true })), WAIT_MS);
  }

  begin() {
    const start = STARTS[this.starts.value];
    this.starts.value = "";
    if (!start || !this.facts) return;
    this.field.value = start(this.low, Math.min(this.high, Math.max(1, this.usual)), this.last);
    for (const name of ["input", "change"]) this.field.dispatchEvent(new Event(name, { bubbles: true }));
  }

  // Pixels of a frame and of a value.
  x(frame) { return 8 + (frame / this.last) * (this.canvas.width - 16); }
  y(value) { return HEIGHT - 8 - ((value - this.low) / (this.high - this.low)) * (HEIGHT - 16); }
  frameAt(x) { return Math.round(clamp((x - 8) / (this.canvas.width - 16), 0, 1) * this.last); }
  valueAt(y) { return this.low + clamp((HEIGHT - 8 - y) / (HEIGHT - 16), 0, 1) * (this.high - this.low); }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * HEIGHT];
  }

  down(event) {
    if (!this.facts || !this.points) return;
    const [x, y] = this.place(event);
    const near = this.points.map((point, n) => [Math.hypot(this.x(point.frame) - x, this.y(point.value) - y), n]).sort((a, b) => a[0] - b[0])[0];
    if (near && near[0] <= REACH) this.at = near[1];
    else this.add(this.frameAt(x), this.valueAt(y));
    this.isMoving = true;
    this.canvas.setPointerCapture(event.pointerId);
    this.draw();
  }

  move(event) {
    if (!this.isMoving || !this.points?.[this.at]) return;
    const [x, y] = this.place(event);
    this.shift(this.frameAt(x), this.valueAt(y));
  }

  // Move the chosen key frame; it stays between its neighbours.
  shift(frame, value) {
    const point = this.points[this.at], before = this.points[this.at - 1], after = this.points[this.at + 1];
    point.frame = clamp(frame, before ? before.frame + 1 : 0, after ? after.frame - 1 : this.last);
    point.value = clamp(value, this.low, this.high);
    this.write();
  }

  add(frame, value) {
    if (!this.facts || !this.points) return;
    const where = frame ?? Math.round(((this.points[this.at]?.frame ?? 0) + (this.points[this.at + 1]?.frame ?? this.last)) / 2);
    const at = this.points.findIndex((point) => point.frame >= where);
    if (this.points[at]?.frame === where) { this.at = at; this.draw(); return; }
    const n = at < 0 ? this.points.length : at, beside = this.points[n - 1] ?? this.points[n];
    this.points.splice(n, 0, { frame: where, value: value ?? beside?.value ?? this.low, easing: "linear" });
    this.at = n;
    this.write();
  }

  remove() {
    if (!this.points?.[this.at] || this.points.length < 2) return;
    this.points.splice(this.at, 1);
    this.at = Math.min(this.at, this.points.length - 1);
    this.write();
  }

  key(event) {
    if (!this.points) return;
    const point = this.points[this.at], frames = event.shiftKey ? 10 : 1, step = ((this.high - this.low) / 100) * frames;
    const keys = {
      Enter: () => this.add(), Delete: () => this.remove(), Backspace: () => this.remove(),
      ArrowLeft: () => point && this.shift(point.frame - frames, point.value), ArrowRight: () => point && this.shift(point.frame + frames, point.value),
      ArrowUp: () => point && this.shift(point.frame, point.value + step), ArrowDown: () => point && this.shift(point.frame, point.value - step),
      PageUp: () => this.choose(this.at - 1), PageDown: () => this.choose(this.at + 1), Home: () => this.choose(0), End: () => this.choose(this.points.length - 1),
    };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  choose(at) { this.at = clamp(at, 0, this.points.length - 1); this.draw(); }

  // The highest and the lowest value, and the last frame.
  drawScale(context, colour) {
    context.fillStyle = colour;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(String(this.high), 4, 12);
    context.fillText(String(this.low), 4, HEIGHT - 3);
    context.textAlign = "right";
    context.fillText(`frame ${this.last}`, context.canvas.width - 4, HEIGHT - 3);
  }

  draw() {
    const { canvas, facts, points, values } = this;
    if (!canvas) return;
    canvas.width = Math.max(1, canvas.clientWidth);
    const context = canvas.getContext("2d"), style = getComputedStyle(this), colour = (name) => style.getPropertyValue(name);
    context.clearRect(0, 0, canvas.width, HEIGHT);
    if (!facts) return;
    const { width } = canvas, { peaks } = facts;
    context.fillStyle = colour("--line");
    for (let x = 8; x < width - 8; x += 1) {
      const first = Math.floor(((x - 8) * peaks.length) / (width - 16)), next = Math.floor(((x - 7) * peaks.length) / (width - 16)) + 1;
      const high = Math.max(0, ...peaks.slice(first, next)) * (HEIGHT - 16) * 0.8;
      context.fillRect(x, (HEIGHT - high) / 2, 1, high);
    }
    for (const shot of facts.shots) if (shot) context.fillRect(this.x(shot), 0, 1, HEIGHT);
    this.drawScale(context, colour("--quiet"));
    context.strokeStyle = context.fillStyle = colour("--accent");
    context.lineWidth = 2;
    context.beginPath();
    if (values) values.forEach((value, frame) => context.lineTo(this.x(frame), this.y(clamp(value, this.low, this.high))));
    else if (points) [{ ...points[0], frame: 0 }, ...points, { ...points.at(-1), frame: this.last }].forEach(({ frame, value }) => context.lineTo(this.x(frame), this.y(value)));
    context.stroke();
    points?.forEach(({ frame, value }, n) => {
      context.beginPath();
      context.arc(this.x(frame), this.y(value), n === this.at ? 7 : 5, 0, 7);
      context.fill();
    });
    const point = points?.[this.at];
    this.easing.disabled = !point || this.at === 0;
    this.easing.value = point?.easing ?? "linear";
    const time = point && facts.times[point.frame];
    this.where.textContent = this.problem || (point ? `frame ${point.frame}, ${time?.toFixed(2)} s: ${Number(point.value.toFixed(3))}` : points ? "Click to add a key frame, drag it, double-click to remove it." : "An expression: change its text above.");
  }
}

// A signal from 0 to 1 between two values.
function scaled(low, high, signal) {
  const times = high - low === 1 ? signal : `${high - low}*${signal}`;
  return low === 0 ? times : `${low} + ${times}`;
}

// The key frames of a text, where it is a number, or numbers at moments; else null.
function parsed(text, facts) {
  const number = String.raw`-?(?:\d+\.?\d*|\.\d+)`;
  if (new RegExp(`^${number}$`).test(text)) return [{ frame: 0, value: Number(text), easing: "linear" }];
  const form = new RegExp(`^\\s*(?:(\\d+)|(\\d+\\.?\\d*)s)\\s*:\\s*(${number})(?:\\s+(${EASINGS.join("|")}))?\\s*$`);
  const points = [];
  for (const part of text.split(",")) {
    const found = part.match(form);
    if (!found) return null;
    const frame = found[1] !== undefined ? Number(found[1]) : facts.times.findIndex((time) => time >= Number(found[2]) - 1e-6);
    points.push({ frame: clamp(frame < 0 ? facts.frames - 1 : frame, 0, facts.frames - 1), value: Number(found[3]), easing: found[4] ?? "linear" });
  }
  return points;
}

customElements.define("curve-editor", CurveEditor);
