// A frame before and after, one over the other, with a line to drag between them; and a slider for the frame.
import { clamp, h } from "./api.js";

export class Compare extends HTMLElement {
  connectedCallback() {
    if (this.pair) return;
    this.before = h("img", { alt: "The frame of the clip", hidden: true, draggable: false });
    this.after = h("img", { alt: "The same frame as it will be", hidden: true, draggable: false });
    this.line = h("div", { className: "wipe", hidden: true });
    this.tags = [h("span", { className: "tag is-before", hidden: true }, "Before"), h("span", { className: "tag is-after", hidden: true }, "After")];
    this.wait = h("p", { className: "wait", role: "status" });
    this.pair = h("div", { className: "pair" }, this.before, this.after, this.line, this.tags, this.wait);
    this.slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Frame to look at", onchange: () => this.dispatchEvent(new CustomEvent("frame", { detail: Number(this.slider.value) })) });
    this.slider.addEventListener("input", () => { this.where.textContent = `frame ${this.slider.value}`; });
    this.where = h("span", { className: "quiet" });
    this.hold = h("button", { type: "button", title: "Hold to see the clip as it is (\\)" }, "Before");
    for (const name of ["pointerdown", "keydown"]) this.hold.addEventListener(name, () => this.setWipe(1));
    for (const name of ["pointerup", "pointerleave", "keyup"]) this.hold.addEventListener(name, () => { if (this.share === 1) this.setWipe(0); });
    this.scrub = h("div", { className: "scrub" }, this.hold, this.slider, this.where);
    this.append(this.pair, this.scrub);
    const drag = (event) => {
      const box = this.pictureBox();
      if (event.buttons && !this.after.hidden) this.setWipe(clamp((event.clientX - box.left) / box.width, 0, 1));
    };
    for (const name of ["pointerdown", "pointermove"]) this.pair.addEventListener(name, drag);
    new ResizeObserver(() => this.setWipe(this.share)).observe(this.pair);
    this.share = 0.3; // so that the line is seen, and can be dragged
  }

  // Where the picture is inside the stage, which it may not fill.
  pictureBox() {
    const box = this.pair.getBoundingClientRect(), aspect = (this.before.naturalWidth || 16) / (this.before.naturalHeight || 9);
    const width = Math.min(box.width, box.height * aspect);
    return { left: box.left + (box.width - width) / 2, width, inset: (box.width - width) / 2, whole: box.width };
  }

  // share: how much of the picture, from the left, is as it was.
  setWipe(share) {
    this.share = share;
    const { inset, width, whole } = this.pictureBox(), at = inset + share * width;
    this.after.style.clipPath = share ? `inset(0 0 0 ${(100 * at) / whole}%)` : "";
    this.line.hidden = this.after.hidden || share === 0 || share === 1;
    this.line.style.left = `${at}px`;
    this.tags[0].hidden = this.after.hidden || share === 0;
    this.tags[1].hidden = this.after.hidden || share === 1;
  }

  // Show a frame of the clip; what was made of another one is not shown any more.
  show(address, number, frames) {
    this.before.onload = () => { this.pair.style.setProperty("--aspect", this.before.naturalWidth / this.before.naturalHeight); this.setWipe(this.share); };
    if (this.before.dataset.address !== address) this.before.src = this.before.dataset.address = address;
    this.before.hidden = false;
    Object.assign(this.slider, { max: Math.max(0, frames - 1), value: number, disabled: frames < 2 });
    this.where.textContent = `frame ${number}`;
  }

  // The result for the frame: a Blob, or null while there is none.
  result(blob) {
    URL.revokeObjectURL(this.after.src);
    this.after.hidden = this.hold.hidden = !blob;
    if (blob) this.after.src = URL.createObjectURL(blob);
    this.setWipe(this.share);
  }

  say(text) { this.wait.textContent = text; }
}

customElements.define("studio-compare", Compare);
