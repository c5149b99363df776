// The brush: soft stamps of a colour, of another picture (to clone, and to erase down to the frame), or of nothing.
import { fillArea } from "../shared/fill.js";
import { canvasOf, contextOf, copyBox } from "./pictures.js";

const EMPTY = () => [Infinity, Infinity, -Infinity, -Infinity];

export class Brush {
  constructor() {
    this.stampCanvas = canvasOf(2, 2);
    this.maskCanvas = canvasOf(2, 2);
    this.size = 24;
    this.hardness = 0.7;
    this.opacity = 1;
    this.stroke = null;
  }

  // paint: a colour, { picture, dx, dy }: what lies there in another picture of the same size, or null: nothing.
  begin(canvas, point, paint) {
    const context = contextOf(canvas);
    this.stroke = { canvas, context, paint, last: point, box: EMPTY(), fresh: EMPTY(), before: context.getImageData(0, 0, canvas.width, canvas.height) };
    this.makeMask();
    this.stamp(point);
  }

  extend(point) {
    const { stroke } = this;
    if (!stroke) return;
    const step = Math.max(1, this.size / 8), { last } = stroke;
    const length = Math.hypot(point.x - last.x, point.y - last.y), count = Math.floor(length / step);
    for (let n = 1; n <= count; n += 1) {
      const share = (n * step) / length, mixed = (a, b) => a + share * (b - a);
      this.stamp({ x: mixed(last.x, point.x), y: mixed(last.y, point.y), pressure: mixed(last.pressure ?? 1, point.pressure ?? 1) });
    }
    if (count) {
      const share = (count * step) / length;
      stroke.last = { ...point, x: last.x + share * (point.x - last.x), y: last.y + share * (point.y - last.y) };
    }
  }

  // The box that changed since the last call, to show it; null if nothing did.
  takeFresh() {
    const { stroke } = this, box = inside(stroke.fresh, stroke.canvas);
    stroke.fresh = EMPTY();
    return box;
  }

  // End the stroke: the box that it changed, and its pixels before and after; null if it changed nothing.
  end() {
    const { stroke } = this;
    this.stroke = null;
    const box = stroke && inside(stroke.box, stroke.canvas);
    return box && { box, before: crop(stroke.before, box), after: copyBox(box, stroke.canvas) };
  }

  // Take the stroke back that is being painted; return the canvas.
  cancel() {
    const { stroke } = this;
    this.stroke = null;
    stroke?.context.putImageData(stroke.before, 0, 0);
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
    const { paint, context: layer, box, fresh } = this.stroke, side = this.stampCanvas.width, half = (side / 2) * pressure;
    const context = this.stampCanvas.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, side, side);
    if (paint?.picture) {
      context.drawImage(paint.picture, x + paint.dx - half, y + paint.dy - half, 2 * half, 2 * half, 0, 0, side, side);
    } else {
      context.fillStyle = paint ?? "#000";
      context.fillRect(0, 0, side, side);
    }
    context.globalCompositeOperation = "destination-in";
    context.drawImage(this.maskCanvas, 0, 0);
    layer.globalAlpha = this.opacity;
    layer.globalCompositeOperation = paint === null ? "destination-out" : "source-over";
    layer.drawImage(this.stampCanvas, x - half, y - half, 2 * half, 2 * half);
    layer.globalAlpha = 1;
    layer.globalCompositeOperation = "source-over";
    for (const each of [box, fresh]) {
      each[0] = Math.min(each[0], x - half - 1);
      each[1] = Math.min(each[1], y - half - 1);
      each[2] = Math.max(each[2], x + half + 1);
      each[3] = Math.max(each[3], y + half + 1);
    }
  }

  // Fill, on a layer, the area of one colour around a point of what is seen; what differs little counts as the same.
  fill(canvas, seen, x, y, colour, tolerance = 40) {
    const { width, height } = canvas, context = contextOf(canvas), image = context.getImageData(0, 0, width, height);
    const before = new ImageData(new Uint8ClampedArray(image.data), width, height);
    const box = fillArea(contextOf(seen).getImageData(0, 0, width, height), x, y, colour, tolerance, image);
    const filled = box && inside(box, canvas);
    if (!filled) return null;
    context.putImageData(image, 0, 0);
    return { box: filled, before: crop(before, filled), after: crop(image, filled) };
  }
}

export function colourAt(canvas, x, y) {
  const [r, g, b] = contextOf(canvas).getImageData(Math.floor(x), Math.floor(y), 1, 1).data;
  return `#${[r, g, b].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

// The box of whole pixels around edges, within a canvas; null if it is empty.
function inside([left, top, right, bottom], canvas) {
  const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
  const width = Math.min(canvas.width, Math.ceil(right)) - x, height = Math.min(canvas.height, Math.ceil(bottom)) - y;
  return width > 0 && height > 0 ? [x, y, width, height] : null;
}

function crop(image, [x, y, width, height]) {
  const made = new ImageData(width, height);
  for (let row = 0; row < height; row += 1) {
    const from = 4 * ((y + row) * image.width + x);
    made.data.set(image.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return made;
}
