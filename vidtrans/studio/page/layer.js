// One clip or picture of the viewer: the original where the browser plays it, then its proxy, which seeks at once.
import { get, link } from "./api.js";

const POLL_MS = 700;

export class Layer extends EventTarget {
  constructor(holder) {
    super();
    this.holder = holder;
    this.element = null;
    this.name = "";
    this.facts = null;
    this.first = 0; // the frame of this clip that is in step with the other one's frame 0
  }

  get isClip() { return this.element instanceof HTMLVideoElement; }

  clear() {
    this.name = "";
    this.facts = null;
    this.isProxy = false;
    clearTimeout(this.poll);
    if (this.isClip) { this.element.pause(); this.element.removeAttribute("src"); this.element.load(); }
    this.element?.remove();
    this.element = null;
  }

  show(item, { first = 0, muted = false } = {}) {
    this.clear();
    this.name = item.name;
    this.first = first;
    if (item.kind === "picture") {
      this.element = Object.assign(new Image(), { alt: item.name, src: link("/media", { name: item.name }) });
      this.element.onload = () => this.dispatchEvent(new Event("ready"));
    } else {
      this.element = Object.assign(document.createElement("video"), { muted, playsInline: true, preload: "auto" });
      this.element.setAttribute("aria-label", item.name);
      if (item.kind === "clip") this.element.src = link("/media", { name: item.name });
      this.learn(item.name);
    }
    this.holder.append(this.element);
  }

  // Ask until the proxy is ready, and change to it at the same moment.
  async learn(name) {
    const facts = await get("/facts", { name }).catch((error) => ({ fault: error.message }));
    if (name !== this.name) return;
    const isNew = !this.facts && facts.known;
    if (facts.known) this.facts = facts;
    if (facts.ready) {
      const { currentTime, paused, playbackRate } = this.element;
      this.element.src = link("/proxy", { name });
      this.element.currentTime = currentTime;
      this.element.playbackRate = playbackRate;
      if (!paused) this.element.play().catch(() => {});
      this.isProxy = true;
      this.dispatchEvent(new Event("ready"));
    } else if (facts.fault) {
      this.dispatchEvent(new CustomEvent("fault", { detail: facts.fault }));
    } else {
      if (isNew) this.dispatchEvent(new Event("ready"));
      this.poll = setTimeout(() => this.learn(name), POLL_MS);
    }
  }

  // The number of the frame at a time, of this clip.
  frameAt(time) {
    const times = this.facts?.times;
    if (!times) return Math.round(time * 25);
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= time + 1e-4) low = middle; else high = middle - 1;
    }
    return low;
  }

  // The middle of a frame's time, so that rounding shows no other one.
  timeOf(frame) {
    const times = this.facts?.times;
    if (!times) return frame / 25;
    const at = Math.min(Math.max(frame, 0), times.length - 1);
    const until = at + 1 < times.length ? times[at + 1] : this.facts.duration;
    return (times[at] + Math.max(until, times[at])) / 2;
  }
}
