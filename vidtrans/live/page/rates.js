// Frames a second, and how long it took from the capture of a frame until its picture was on the canvas.

const KEPT = 200;

export class Rates {
  constructor() {
    this.latencies = [];
    this.times = [];
  }

  add(latency, now = performance.now()) {
    this.times.push(now);
    if (this.times.length > KEPT) this.times.shift();
    if (latency === null) return;
    this.latencies.push(latency);
    if (this.latencies.length > KEPT) this.latencies.shift();
  }

  forget() { this.latencies.length = this.times.length = 0; }

  // {fps, median, late}: over the last seconds; null where there is nothing to say.
  summary(now = performance.now()) {
    const recent = this.times.filter((time) => now - time < 3000);
    const span = recent.length > 1 ? (recent.at(-1) - recent[0]) / 1000 : 0;
    const sorted = [...this.latencies].sort((a, b) => a - b);
    const at = (share) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : null);
    return { fps: span > 0 ? (recent.length - 1) / span : 0, median: at(0.5), late: at(0.95) };
  }
}
