// Pictures and excerpts: loaded as whole frames, so that both sides play in step and a timed one is gone to the frame.

import { request } from "/page/server.js";

const FIXATION_MS = 400; // before the first of a timed pair
const GAP_MS = 200; // between the two
const HALF_REFRESH_MS = 8;

// Return the frames of one side of a trial, { frames: [ImageBitmap], rate }. The format: vidtrans/voting/poll.py.
export async function load(key, trial, side) {
  const answer = await request(`/stimulus?key=${encodeURIComponent(key)}&trial=${trial}&side=${side}`);
  const data = await answer.arrayBuffer();
  const header = new DataView(data);
  const count = header.getUint32(0, true);
  let place = 8 + 4 * count;
  const files = Array.from({ length: count }, (_, n) => {
    const size = header.getUint32(8 + 4 * n, true);
    place += size;
    return new Blob([data.slice(place - size, place)]);
  });
  return { frames: await Promise.all(files.map((file) => createImageBitmap(file))), rate: header.getFloat32(4, true) };
}

function draw(canvas, stimulus, number) {
  const frame = stimulus.frames[Math.min(number, stimulus.frames.length - 1)];
  if (canvas.width !== frame.width || canvas.height !== frame.height) Object.assign(canvas, { width: frame.width, height: frame.height });
  canvas.getContext("2d").drawImage(frame, 0, 0);
  canvas.classList.remove("blank");
}

const refresh = () => new Promise(requestAnimationFrame);

// Both sides at once, until stopped: an excerpt in a loop, or once.
export class Loop {
  constructor(canvases, both, repeats) {
    Object.assign(this, { canvases, both, repeats, isOver: false });
    this.restart();
  }

  stop() { this.isOver = true; }

  restart() {
    this.began = performance.now();
    this.drawn = -1;
    if (!this.isRunning) this.run();
  }

  async run() {
    this.isRunning = true;
    const [{ frames, rate }] = this.both;
    while (!this.isOver) {
      const number = Math.floor(((performance.now() - this.began) / 1000) * rate);
      const frame = this.repeats ? number % frames.length : Math.min(number, frames.length - 1);
      if (frame !== this.drawn) this.canvases.forEach((canvas, n) => draw(canvas, this.both[n], frame));
      this.drawn = frame;
      if (frames.length === 1 || (!this.repeats && number >= frames.length)) break;
      await refresh();
    }
    this.isRunning = false;
  }
}

// One side after the other, each for some seconds, then gone.
export class Exposure {
  constructor(canvases, both, seconds) { Object.assign(this, { canvases, both, seconds, isOver: false }); }

  stop() {
    this.isOver = true;
    for (const canvas of this.canvases) canvas.classList.add("blank");
  }

  // Return the mean of the seconds for which they were on the screen, or null if it was stopped.
  async run(whenShown) {
    let total = 0;
    for (const [n, canvas] of this.canvases.entries()) {
      await this.wait(n ? GAP_MS : FIXATION_MS);
      if (this.isOver) return null;
      const began = await refresh();
      whenShown();
      let now = began;
      for (let number = -1; !this.isOver && now - began < 1000 * this.seconds - HALF_REFRESH_MS; now = await refresh()) {
        const next = Math.floor(((now - began) / 1000) * this.both[n].rate);
        if (next !== number) draw(canvas, this.both[n], (number = next));
      }
      if (this.isOver) return null;
      canvas.classList.add("blank");
      total += (now - began) / 1000;
    }
    return total / this.canvases.length;
  }

  wait(ms) { return new Promise((resolve) => setTimeout(resolve, ms)); }
}
