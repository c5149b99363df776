// Flood fill, for the drawing of the live page, and for the easel of the studio.

// Fill an area of one colour around a pixel with "#rrggbb". seen: the ImageData in which the area is found; what
// differs by at most the tolerance counts as the same. target: the ImageData of the same size that is painted.
// Return the edges of the area, [left, top, right, bottom], or null if the pixel lies outside.
export function fillArea(seen, x, y, colour, tolerance, target = seen) {
  const { width, height, data } = seen, box = [Infinity, Infinity, -Infinity, -Infinity];
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return null;
  const paint = [...[1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)), 255];
  const start = Math.floor(y) * width + Math.floor(x), old = data.slice(4 * start, 4 * start + 4);
  const checked = new Uint8Array(width * height), queue = [start];
  while (queue.length) {
    const at = queue.pop();
    if (checked[at]) continue;
    checked[at] = 1;
    if (old.some((value, channel) => Math.abs(data[4 * at + channel] - value) > tolerance)) continue;
    target.data.set(paint, 4 * at);
    const column = at % width, row = (at - column) / width;
    box[0] = Math.min(box[0], column);
    box[1] = Math.min(box[1], row);
    box[2] = Math.max(box[2], column + 1);
    box[3] = Math.max(box[3], row + 1);
    if (column > 0) queue.push(at - 1);
    if (column < width - 1) queue.push(at + 1);
    if (row > 0) queue.push(at - width);
    if (row < height - 1) queue.push(at + width);
  }
  return box;
}
