// Flood fill, for the drawing of the live page and the easel of the studio.

// Fill the area of one colour around a pixel of an ImageData with a colour, "#rrggbb"; what differs by at most the
// tolerance counts as the same. Return whether the pixel lies in the picture.
export function fillArea(image, x, y, colour, tolerance) {
  const { width, height, data } = image;
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return false;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const start = y * width + x, old = [0, 1, 2].map((channel) => data[4 * start + channel]);
  const seen = new Uint8Array(width * height), queue = [start];
  while (queue.length) {
    const at = queue.pop();
    if (seen[at]) continue;
    seen[at] = 1;
    if (old.some((value, channel) => Math.abs(data[4 * at + channel] - value) > tolerance)) continue;
    data.set([red, green, blue, 255], 4 * at);
    const column = at % width;
    if (column > 0) queue.push(at - 1);
    if (column < width - 1) queue.push(at + 1);
    if (at >= width) queue.push(at - width);
    if (at < width * (height - 1)) queue.push(at + width);
  }
  return true;
}
