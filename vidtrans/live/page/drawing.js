// The drawing: pen with pressure, eraser, straight lines, fill, undo, and pictures to start from or to trace.
import { fillArea } from "../shared/fill.js";
import { encode } from "./capture.js";

const KEPT = 30; // steps of undo
const STEP = 6; // pixels that an arrow key moves the pen

export class Drawing {
  constructor(elements, connection, size) {
    Object.assign(this, elements); // canvas, onion, cursor
    this.connection = connection;
    this.size = size;
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.small = document.createElement("canvas");
    this.tool = "pen";
    this.colour = "#000000";
    this.paper = "#ffffff";
    this.width = 6;
    this.history = [];
    this.stroke = null;
    this.isActive = false;
    this.fresh = null;
    this.blank();
    this.listen();
    connection.addEventListener("free", () => this.send());
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => { if (event.isPrimary) this.up(); });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.liftKeys());
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.canvas.width,
      y: ((event.clientY - box.top) / box.height) * this.canvas.height,
      // A mouse says .5 while a button is down, a finger often 0.
      pressure: event.pointerType === "pen" ? 0.3 + 1.4 * event.pressure : 1,
    };
  }

  down(event) {
    if (!event.isPrimary || (event.button > 0 && event.button !== 5)) return; // one finger draws
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.at(event);
    this.remember();
    if (this.tool === "fill") {
      this.fill(Math.floor(point.x), Math.floor(point.y));
      this.changed();
      return;
    }
    const erases = this.tool === "eraser" || event.button === 5 || (event.buttons & 32) !== 0;
    this.begin(point, erases, this.tool === "line" || event.shiftKey);
  }

  begin(point, erases, isStraight) {
    this.stroke = { last: point, first: point, erases, isStraight, before: isStraight ? this.pixels() : null };
    this.segment(point, point);
    this.changed();
  }

  move(event) {
    if (!this.stroke || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.extend(this.at(one));
    this.changed();
  }

  extend(point) {
    const { stroke } = this;
    if (stroke.isStraight) {
      this.context.putImageData(stroke.before, 0, 0);
      this.segment(stroke.first, point);
    } else {
      this.segment(stroke.last, point);
    }
    stroke.last = point;
  }

  up() { this.stroke = null; }

  segment(from, to) {
    const { context, stroke } = this;
    context.strokeStyle = stroke.erases ? this.paper : this.colour;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Math.max(1, this.width * (stroke.erases ? 3 : 1) * to.pressure * (this.canvas.width / 512));
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y); // a point is a line, too
    context.stroke();
  }

  // Fill the area of one colour around a point. What differs little counts as the same: rims of strokes are soft.
  fill(x, y) {
    const image = this.pixels();
    if (fillArea(image, x, y, this.colour, 48)) this.context.putImageData(image, 0, 0);
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { width, height } = this.canvas;
    this.pen ??= { x: width / 2, y: height / 2, pressure: 1 };
    if (event.key === " ") {
      if (this.stroke) this.up();
      else if (this.tool === "fill") { this.remember(); this.fill(Math.floor(this.pen.x), Math.floor(this.pen.y)); this.changed(); }
      else { this.remember(); this.begin(this.pen, this.tool === "eraser", this.tool === "line"); }
    } else if (event.key in moves) {
      const [x, y] = moves[event.key], far = event.shiftKey ? 4 * STEP : STEP;
      this.pen = { x: Math.min(width - 1, Math.max(0, this.pen.x + far * x)), y: Math.min(height - 1, Math.max(0, this.pen.y + far * y)), pressure: 1 };
      if (this.stroke) { this.extend(this.pen); this.changed(); }
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.cursor.hidden = false;
    this.cursor.style.left = `${(100 * this.pen.x) / width}%`;
    this.cursor.style.top = `${(100 * this.pen.y) / height}%`;
  }

  liftKeys() {
    this.cursor.hidden = true;
    this.up();
  }

  pixels() { return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height); }

  remember() {
    this.history.push(this.pixels());
    if (this.history.length > KEPT) this.history.shift();
  }

  undo() {
    const before = this.history.pop();
    if (!before) return;
    this.resize(before.width, before.height);
    this.context.putImageData(before, 0, 0);
    this.changed();
  }

  clear() {
    this.remember();
    this.blank();
    this.changed();
  }

  blank() {
    this.context.fillStyle = this.paper;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // Give the sheet another shape, which makes it blank.
  resize(width, height) {
    if (width === this.canvas.width && height === this.canvas.height) return;
    for (const canvas of [this.canvas, this.onion]) Object.assign(canvas, { width, height });
    this.pen = null;
    this.blank();
  }

  // Take the shape of a picture: 512 pixels on the short side, and at most 1024 on the long one.
  shape(picture) {
    const scale = Math.min(512 / Math.min(picture.width, picture.height), 1024 / Math.max(picture.width, picture.height));
    this.resize(...[picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale))));
  }

  startFrom(picture, { isNegative = false } = {}) {
    this.remember();
    this.shape(picture);
    this.context.filter = isNegative ? "invert(1)" : "none";
    this.context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
    this.context.filter = "none";
    this.changed();
  }

  trace(picture) {
    const isEmpty = this.history.length === 0;
    if (isEmpty) this.shape(picture);
    const context = this.onion.getContext("2d");
    context.clearRect(0, 0, this.onion.width, this.onion.height);
    context.drawImage(picture, 0, 0, this.onion.width, this.onion.height);
  }

  changed() {
    this.fresh = performance.now();
    this.send();
  }

  send() {
    if (!this.isActive || this.fresh === null || !this.connection.isFree) return;
    const timestamp = this.fresh;
    this.fresh = null;
    const scale = Math.min(1, this.size() / Math.min(this.canvas.width, this.canvas.height));
    this.small.width = Math.round(this.canvas.width * scale);
    this.small.height = Math.round(this.canvas.height * scale);
    const context = this.small.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, 0, 0, this.small.width, this.small.height);
    this.connection.sendFrame("drawing", encode(this.small, "image/png"), timestamp);
  }
}
