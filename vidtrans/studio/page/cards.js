// Pictures for the cards of the tasks: a frame of the user's own clip, drawn on as the task would change it.
const WIDTH = 480, HEIGHT = 300;

// Fill a canvas with the middle of a picture; scale enlarges it, x moves it.
function cover(context, picture, { scale = 1, x = 0, alpha = 1, filter = "none" } = {}) {
  const size = Math.max(WIDTH / picture.width, HEIGHT / picture.height) * scale;
  context.save();
  Object.assign(context, { globalAlpha: alpha, filter });
  context.drawImage(picture, (WIDTH - size * picture.width) / 2 + x, (HEIGHT - size * picture.height) / 2, size * picture.width, size * picture.height);
  context.restore();
}

function right(context, draw) {
  context.save();
  context.beginPath();
  context.rect(WIDTH / 2, 0, WIDTH / 2, HEIGHT);
  context.clip();
  draw();
  context.restore();
  context.fillStyle = "#fff";
  context.fillRect(WIDTH / 2 - 1, 0, 2, HEIGHT);
}

// Dabs of the frame's own colours over its left part, as of somebody who has begun to paint.
function dabs(context) {
  const { data } = context.getImageData(0, 0, WIDTH, HEIGHT);
  let seed = 7;
  const random = () => { seed = (seed * 48271) % 2147483647; return seed / 2147483647; };
  for (let n = 0; n < 900; n += 1) {
    const x = Math.floor(random() ** 1.6 * WIDTH * 0.72), y = Math.floor(random() * HEIGHT), at = 4 * (y * WIDTH + x);
    context.fillStyle = `rgb(${data[at]} ${data[at + 1]} ${data[at + 2]})`;
    context.beginPath();
    context.ellipse(x, y, 12 + 8 * random(), 4 + 3 * random(), 3 * random(), 0, 7);
    context.fill();
  }
}

// The lines of the frame on its left half, from which a network paints the right one.
function lines(context) {
  const found = context.getImageData(0, 0, WIDTH / 2, HEIGHT), { data, width } = found, grey = new Float32Array(data.length / 4);
  for (let n = 0; n < grey.length; n += 1) grey[n] = (data[4 * n] + 2 * data[4 * n + 1] + data[4 * n + 2]) / 4;
  for (let n = 0; n < grey.length; n += 1) {
    const edge = Math.hypot((grey[n + 1] ?? 0) - (grey[n - 1] ?? 0), (grey[n + width] ?? 0) - (grey[n - width] ?? 0));
    data.fill(Math.max(0, 255 - 5 * Math.max(0, edge - 12)), 4 * n, 4 * n + 3);
  }
  context.putImageData(found, 0, 0);
  context.fillStyle = "#fff";
  context.fillRect(WIDTH / 2 - 1, 0, 2, HEIGHT);
}

const DRAW = {
  paint: (context) => dabs(context),
  film: (context) => lines(context),
  time: (context, frames) => {
    context.fillStyle = "#111";
    context.fillRect(0, 0, WIDTH, HEIGHT);
    frames.forEach((picture, n) => { // a fan of moments
      const width = WIDTH * 0.6, height = HEIGHT * 0.6, x = WIDTH * (0.02 + 0.18 * n), y = HEIGHT * (0.04 + 0.16 * n);
      context.fillStyle = "#fff";
      context.fillRect(x - 3, y - 3, width + 6, height + 6);
      context.drawImage(picture, x, y, width, height);
    });
  },
  person: (context, [first]) => {
    cover(context, first, { filter: "grayscale(1) brightness(.45)" });
    context.save();
    context.beginPath();
    context.ellipse(WIDTH / 2, HEIGHT * 0.62, WIDTH * 0.17, HEIGHT * 0.5, 0, 0, 7);
    context.clip();
    cover(context, first);
    context.restore();
  },
  flicker: (context, [first]) => {
    for (let n = 0; n < 5; n += 1) {
      context.save();
      context.beginPath();
      context.rect((n * WIDTH) / 10, 0, WIDTH / 10, HEIGHT);
      context.clip();
      cover(context, first, { filter: `brightness(${[0.6, 1.35, 0.8, 1.5, 0.7][n]})` });
      context.restore();
    }
    right(context, () => cover(context, first));
  },
  grade: (context, [first]) => right(context, () => cover(context, first, { filter: "sepia(.45) saturate(1.6) contrast(1.12) hue-rotate(-12deg)" })),
  dream: (context, [first, second, third]) => { [second, third, first].forEach((picture, n) => cover(context, picture, { scale: 1.25 + 0.4 * n, alpha: 0.42, filter: `hue-rotate(${40 * n}deg) blur(${n}px)` })); },
};

// Draw the card of a task with three frames of a clip; "result": the first one as it is rendered.
export function draw(canvas, task, frames, result = null) {
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  cover(context, frames[0]);
  if (result) cover(context, result);
  else DRAW[task]?.(context, frames);
}
