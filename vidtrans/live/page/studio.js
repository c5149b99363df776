// The tools beside the drawing: pens, colours, pictures to start from and to trace.
import { readPicture } from "./looks.js";

const $ = (id) => document.getElementById(id);

export class Studio {
  constructor(drawing, warn) {
    this.drawing = drawing;
    this.palette = null;
    for (const button of document.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => this.choose(button.dataset.tool));
    }
    $("undo").addEventListener("click", () => drawing.undo());
    $("clear").addEventListener("click", () => drawing.clear());
    $("pen-size").addEventListener("input", (event) => {
      drawing.width = Number(event.target.value);
      event.target.nextElementSibling.textContent = event.target.value;
    });
    $("colour").addEventListener("input", (event) => { drawing.colour = event.target.value; });
    $("onion-opacity").addEventListener("input", (event) => {
      $("onion").style.opacity = event.target.value / 100;
      event.target.nextElementSibling.textContent = event.target.value;
    });
    const opened = (id, use) => $(id).addEventListener("change", async (event) => {
      const [file] = event.target.files;
      event.target.value = "";
      try {
        if (file) use(await readPicture(file));
      } catch (error) {
        warn(error.message);
      }
    });
    opened("start-picture", (picture) => drawing.startFrom(picture));
    opened("trace-picture", (picture) => drawing.trace(picture));
    $("start-input").addEventListener("click", () => drawing.startFrom($("input"), { isNegative: this.isLines }));
    $("trace-frame").addEventListener("click", () => drawing.trace($("video").videoWidth ? frameOf($("video")) : $("output")));
  }

  choose(tool) {
    this.drawing.tool = tool;
    for (const button of document.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
  }

  // Offer what the model's drawings are made of: lines on paper, flat colours of a palette, or any colour.
  suit(model) {
    this.isLines = model.drawing === "lines";
    $("free-colour").hidden = this.isLines || model.palette.length > 0;
    $("palette").hidden = model.palette.length === 0;
    $("start-input").hidden = model.looks.length > 0 && model.drawing === "";
    const palette = JSON.stringify(model.palette);
    if (this.palette === palette) return;
    this.palette = palette;
    $("palette").classList.toggle("named", model.palette.some(({ name }) => name));
    $("palette").replaceChildren(...model.palette.map((swatch) => this.swatch(swatch)));
    const middle = model.palette[Math.floor(model.palette.length / 2)];
    if (middle) this.pick(middle.colour);
    else this.drawing.colour = this.isLines ? "#000000" : $("colour").value;
  }

  swatch({ colour, name }) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: name || colour });
    if (name) button.textContent = name;
    else button.setAttribute("aria-label", colour);
    button.style.setProperty("--swatch", colour);
    button.dataset.colour = colour;
    button.addEventListener("click", () => this.pick(colour));
    return button;
  }

  pick(colour) {
    this.drawing.colour = colour;
    for (const button of $("palette").children) {
      button.setAttribute("aria-pressed", String(button.dataset.colour === colour));
    }
  }
}

// The last frame of a video, also where that plays no longer.
function frameOf(video) {
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas;
}
