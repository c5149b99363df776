// How the sheet lies on the board: zoomed about the pointer, moved and turned, by wheel, keys, mouse and fingers.
import { clamp } from "./api.js";

const LEAST = 0.05, MOST = 40, UPRIGHT = 4; // degrees within which fingers leave the sheet upright

export class EaselView {
  // board: what is seen; sheet: the element that is placed in it; cancel: takes back the stroke that two fingers began.
  constructor(board, sheet, cancel) {
    Object.assign(this, { board, sheet, cancel, zoom: 1, x: 0, y: 0, angle: 0, size: [1, 1], isSpace: false, drag: null });
    this.fingers = new Map();
    this.isFit = true;
    new ResizeObserver(() => { if (this.isFit) this.fit(); }).observe(board);
    board.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  // The place of an event on the board, in its pixels.
  on(event) {
    const box = this.board.getBoundingClientRect();
    return { x: event.clientX - box.left - this.board.clientLeft, y: event.clientY - box.top - this.board.clientTop };
  }

  // The place of an event on the sheet, in pixels of the frame.
  at(event) {
    const place = this.on(event), turn = (-this.angle * Math.PI) / 180, x = place.x - this.x, y = place.y - this.y;
    return { x: (x * Math.cos(turn) - y * Math.sin(turn)) / this.zoom, y: (x * Math.sin(turn) + y * Math.cos(turn)) / this.zoom };
  }

  get middle() { return { x: this.board.clientWidth / 2, y: this.board.clientHeight / 2 }; }

  fit(size = this.size) {
    this.size = size;
    const { clientWidth, clientHeight } = this.board, [width, height] = size;
    this.zoom = Math.min(clientWidth / width, clientHeight / height) || 1;
    Object.assign(this, { angle: 0, x: (clientWidth - this.zoom * width) / 2, y: (clientHeight - this.zoom * height) / 2 });
    this.place();
    this.isFit = true;
  }

  // Zoom and turn so that what lies at a place of the board stays there.
  change(factor, degrees, { x, y } = this.middle) {
    const zoom = clamp(this.zoom * factor, LEAST, MOST), scale = zoom / this.zoom, turn = (degrees * Math.PI) / 180;
    const left = (this.x - x) * scale, top = (this.y - y) * scale;
    this.x = x + left * Math.cos(turn) - top * Math.sin(turn);
    this.y = y + left * Math.sin(turn) + top * Math.cos(turn);
    this.zoom = zoom;
    this.angle = (this.angle + degrees) % 360;
    this.place();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.place();
  }

  place() {
    this.isFit = false;
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) rotate(${this.angle}deg) scale(${this.zoom})`;
    this.sheet.classList.toggle("near", this.zoom >= 3);
  }

  wheel(event) {
    event.preventDefault();
    if (event.shiftKey) this.move(-event.deltaX - event.deltaY, 0);
    else this.change(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), 0, this.on(event)); // pinches on a touchpad come with Ctrl
  }

  // These take the events of pointers; each returns whether the event moved the sheet instead of painting.
  down(event) {
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, this.on(event));
      if (this.fingers.size === 2) this.cancel();
      if (this.fingers.size > 1) return true;
    }
    if (event.button !== 1 && !event.altKey && !this.isSpace) return false;
    this.drag = this.on(event);
    return true;
  }

  moved(event) {
    const place = this.on(event);
    if (this.fingers.size > 1 && this.fingers.has(event.pointerId)) {
      this.pinch(event.pointerId, place);
      return true;
    }
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, place);
    if (!this.drag) return false;
    this.move(place.x - this.drag.x, place.y - this.drag.y);
    this.drag = place;
    return true;
  }

  pinch(finger, place) {
    const before = this.fingers.get(finger), [, other] = [...this.fingers].find(([id]) => id !== finger);
    this.fingers.set(finger, place);
    const [a, b] = [before, place].map(({ x, y }) => ({ length: Math.hypot(x - other.x, y - other.y), angle: Math.atan2(y - other.y, x - other.x) }));
    if (!a.length || !b.length) return;
    const turn = ((b.angle - a.angle) * 180) / Math.PI;
    this.change(b.length / a.length, turn - 360 * Math.round(turn / 360), other);
  }

  up(event) {
    const wasPinch = this.fingers.size > 1;
    this.fingers.delete(event.pointerId);
    const upright = 90 * Math.round(this.angle / 90);
    if (wasPinch && Math.abs(this.angle - upright) < UPRIGHT) this.change(1, upright - this.angle);
    const wasDrag = this.drag !== null || wasPinch;
    this.drag = null;
    return wasDrag;
  }
}
