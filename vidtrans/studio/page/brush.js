// The brush: soft stamps of a colour, or of another picture (to erase, and to clone), and a history of what they changed.
const MOST_BYTES = 512 << 20; // of the history

export class Brush {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.stampCanvas = document.createElement("canvas");
    this.maskCanvas = document.createElement("canvas");
    this.size = 24;
    this.hardness = 0.7;
    this.opacity = 1;
    this.undone = [];
    this.done = [];
    this.stroke = null;
  }

  // paint: a colour, or { picture, dx, dy }: what lies there in another picture of the same size.
  begin(point, paint) {
    this.before = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.stroke = { paint, last: point, box: [Infinity, Infinity, -Infinity, -Infinity] };
    this.makeMask();
    this.stamp(point);
  }

  extend(point) {
    const { stroke } = this;
    if (!stroke) return;
    const step = Math.max(1, this.size / 8), { last } = stroke;
    const length = Math.hypot(point.x - last.x, point.y - last.y), count = Math.floor(length / step);
    for (let n = 1; n <= count; n += 1) {
      const share = (n * step) / length;
      this.stamp({ x: last.x + share * (point.x - last.x), y: last.y + share * (point.y - last.y), pressure: point.pressure });
    }
    if (count) {
      const share = (count * step) / length;
      stroke.last = { ...point, x: last.x + share * (point.x - last.x), y: last.y + share * (point.y - last.y) };
    }
  }

  end() {
    if (!this.stroke) return false;
    const [left, top, right, bottom] = this.stroke.box;
    this.stroke = null;
    this.remember(this.before, left, top, right, bottom);
    this.before = null;
    return true;
  }

  // Keep the pixels of a box as they were, for undo.
  remember(before, left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
    const width = Math.min(this.canvas.width, Math.ceil(right)) - x, height = Math.min(this.canvas.height, Math.ceil(bottom)) - y;
    if (width <= 0 || height <= 0) return;
    const kept = new ImageData(width, height);
    for (let row = 0; row < height; row += 1) {
      const from = 4 * ((y + row) * before.width + x);
      kept.data.set(before.data.subarray(from, from + 4 * width), 4 * row * width);
    }
    this.done.push({ x, y, pixels: kept });
    this.undone = [];
    for (let total = this.done.reduce((sum, one) => sum + one.pixels.data.length, 0); total > MOST_BYTES && this.done.length > 1;) {
      total -= this.done.shift().pixels.data.length;
    }
  }

  undo() { this.swap(this.done, this.undone); }
  redo() { this.swap(this.undone, this.done); }

  swap(from, to) {
    const last = from.pop();
    if (!last) return;
    const { x, y, pixels } = last;
    to.push({ x, y, pixels: this.context.getImageData(x, y, pixels.width, pixels.height) });
    this.context.putImageData(pixels, x, y);
  }

  makeMask() {
    const side = Math.max(2, Math.ceil(this.size * 1.7) + 2), context = this.maskCanvas.getContext("2d");
    this.maskCanvas.width = this.maskCanvas.height = this.stampCanvas.width = this.stampCanvas.height = side;
    const radius = this.size / 2, middle = side / 2;
    const soft = context.createRadialGradient(middle, middle, radius * Math.min(this.hardness, 0.98), middle, middle, radius);
    soft.addColorStop(0, "#000f");
    soft.addColorStop(1, "#0000");
    context.fillStyle = soft;
    context.fillRect(0, 0, side, side);
  }

  stamp({ x, y, pressure = 1 }) {
    const { paint, box } = this.stroke, side = this.stampCanvas.width, half = (side / 2) * pressure;
    const context = this.stampCanvas.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, side, side);
    if (typeof paint === "string") {
      context.fillStyle = paint;
      context.fillRect(0, 0, side, side);
    } else {
      context.drawImage(paint.picture, x + paint.dx - half, y + paint.dy - half, 2 * half, 2 * half, 0, 0, side, side);
    }
    context.globalCompositeOperation = "destination-in";
    context.drawImage(this.maskCanvas, 0, 0);
    this.context.globalAlpha = this.opacity;
    this.context.drawImage(this.stampCanvas, x - half, y - half, 2 * half, 2 * half);
    this.context.globalAlpha = 1;
    box[0] = Math.min(box[0], x - half - 1);
    box[1] = Math.min(box[1], y - half - 1);
    box[2] = Math.max(box[2], x + half + 1);
    box[3] = Math.max(box[3], y + half + 1);
  }

  // Fill the area of one colour around a point; what differs little counts as the same.
  fill(x, y, colour, tolerance = 40) {
    const { width, height } = this.canvas, image = this.context.getImageData(0, 0, width, height);
    const before = new ImageData(new Uint8ClampedArray(image.data), width, height);
    const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const start = Math.floor(y) * width + Math.floor(x), { data } = image;
    if (!(start >= 0 && start < width * height)) return;
    const old = [0, 1, 2].map((c) => data[4 * start + c]), seen = new Uint8Array(width * height), queue = [start];
    while (queue.length) {
      const at = queue.pop();
      if (seen[at]) continue;
      seen[at] = 1;
      if ([0, 1, 2].some((c) => Math.abs(data[4 * at + c] - old[c]) > tolerance)) continue;
      for (let c = 0; c < 3; c += 1) data[4 * at + c] = wanted[c];
      data[4 * at + 3] = 255;
      const column = at % width;
      if (column > 0) queue.push(at - 1);
      if (column < width - 1) queue.push(at + 1);
      if (at >= width) queue.push(at - width);
      if (at < width * (height - 1)) queue.push(at + width);
    }
    this.context.putImageData(image, 0, 0);
    this.remember(before, 0, 0, width, height);
  }

  colourAt(x, y, context = this.context) {
    const [r, g, b] = context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data;
    return `#${[r, g, b].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  }
}
