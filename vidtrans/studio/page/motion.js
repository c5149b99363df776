// What was painted, in motion: a film of the frames around, within seconds; newer ones of a training that runs replace it.
import { clamp, get, h, link, post, stem } from "./api.js";
import { state } from "./state.js";

const RESTS_MS = 1200, POLL_MS = 3000;

export class Motion extends HTMLElement {
  connectedCallback() {
    if (this.button) return;
    this.button = h("button", { type: "button", "aria-pressed": "false", title: "Carry the paint along the motion, after each stroke (m)", onclick: () => this.toggle() }, "Show it in motion");
    this.video = h("video", { loop: true, muted: true, autoplay: true, playsInline: true, controls: true, hidden: true, "aria-label": "What was painted, in motion" });
    this.status = h("p", { className: "quiet", role: "status" });
    this.append(h("h3", {}, "In motion"), h("div", { className: "bar" }, this.button), this.video, this.status);
    this.video.addEventListener("timeupdate", () => { if (this.range && this.video.currentTime >= this.range[1]) this.video.currentTime = this.range[0]; });
    this.video.addEventListener("error", () => { if (this.video.src) this.status.textContent = "This browser cannot play the film."; });
    state.addEventListener("jobs", () => this.follow());
  }

  get isOn() { return this.button.getAttribute("aria-pressed") === "true"; }

  // easel: has the clip, the name of the painted file, and save().
  open(easel) {
    this.easel = easel;
    this.span = null;
    if (this.isOn) this.run();
    else this.clear();
  }

  clear() {
    this.video.hidden = true;
    this.video.removeAttribute("src");
    this.status.textContent = "";
  }

  toggle() {
    this.button.setAttribute("aria-pressed", String(!this.isOn));
    this.isWanted = this.isOn; // the film may be below what is seen
    if (this.isOn) this.run();
    else { clearTimeout(this.waiting); this.clear(); }
  }

  painted() {
    clearTimeout(this.waiting);
    if (this.isOn) this.waiting = setTimeout(() => this.run(), RESTS_MS);
  }

  async run() {
    const { easel } = this, { clip, file } = easel;
    if (!clip) return;
    await state.trying(async () => {
      const isPainted = easel.painted.includes(file.split("/").pop());
      if (!isPainted && !easel.isChanged) { // else every frame that is looked at would become a key frame
        this.clear();
        this.status.textContent = "Paint on the frame first.";
        return;
      }
      if (easel.isChanged && !(await easel.save())) return;
      this.status.textContent = "carrying the paint along the motion …";
      const began = performance.now();
      try {
        const found = await post("/api/easel/motion", { name: file, clip });
        if (easel.file !== file || !this.isOn) return;
        this.span = [found.first, found.stop];
        this.seconds = (performance.now() - began) / 1000;
        this.play(link("/easel/film", { key: found.key }), null, found.rate);
        this.status.textContent = `Frames ${found.first} to ${found.stop - 1}, the paint carried along the motion.`;
      } catch (error) {
        if (!error.isOvertaken) this.status.textContent = "";
        throw error;
      }
    });
  }

  play(address, range, rate = 1) {
    this.range = range;
    this.video.src = address;
    this.video.defaultPlaybackRate = this.video.playbackRate = clamp(rate, 0.1, 8);
    this.video.hidden = false;
    if (this.isWanted) requestAnimationFrame(() => this.video.scrollIntoView({ block: "nearest" }));
    this.isWanted = false;
    if (range) this.video.currentTime = range[0];
    this.video.play().catch(() => {}); // it was replaced before it began
  }

  // Show what a training that propagates this clip has written last.
  async follow() {
    if (!this.easel?.clip || this.isAsking) return;
    const { clip } = this.easel, title = `${stem(clip)}: propagate`;
    const job = state.jobs.find((one) => one.state === "running" && one.title === title && one.progress.preview);
    if (!job) { clearTimeout(this.asking); return; }
    this.isAsking = true;
    try {
      const { preview } = job.progress, head = await fetch(link("/media", { name: preview }), { method: "HEAD" });
      const mark = head.ok && `${preview} ${head.headers.get("etag")}`;
      if (mark && mark !== this.seen) {
        this.seen = mark;
        this.play(link("/media", { name: preview, at: head.headers.get("etag") }), await this.part(clip));
        this.status.textContent = "What the network has learned so far.";
      }
    } catch { /* the next one may be there */ } finally {
      this.isAsking = false;
    }
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.follow(), POLL_MS);
  }

  // The times of the part that is shown, in a film of the whole clip.
  async part(clip) {
    const { times, duration } = await get("/facts", { name: clip });
    if (!times || !this.span) return null;
    return [times[this.span[0]] ?? 0, times[this.span[1]] ?? duration];
  }
}

customElements.define("easel-motion", Motion);
