// The palette of models, with thumbnails of those that are looks of pictures; and pictures that are dropped or chosen.
import { encode } from "./capture.js";

const SHORT_SIDE = 512; // pixels of a picture that is sent: more than the predictor sees
const LONGEST = 2048;
const QUALITY = 0.92;
const $ = (id) => document.getElementById(id);

export class Looks {
  // choose(name): called when a person chooses a model. say, warn: tell the person.
  constructor(connection, choose, say, warn) {
    Object.assign(this, { connection, choose, say, warn });
    this.adding = Promise.resolve(); // pictures are sent one after another
    $("look-picture").addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      for (const file of files) this.add(file);
    });
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    document.addEventListener("drop", (event) => {
      document.body.classList.remove("dropping");
      if (!hasFiles(event)) return;
      event.preventDefault();
      for (const file of event.dataTransfer.files) this.add(file);
    });
  }

  add(file) { this.adding = this.adding.then(() => this.send(file)); }

  async send(file) {
    this.warn("");
    this.say(`${file.name}: its look is being found …`);
    try {
      const picture = await readPicture(file);
      const address = `look?token=${this.connection.token}&name=${encodeURIComponent(file.name)}`;
      const headers = { "content-type": "image/jpeg" };
      const answer = await fetch(address, { method: "POST", headers, body: encode(shrunk(picture), "image/jpeg", QUALITY) });
      if (!answer.ok) this.warn((await answer.text()).trim());
    } catch (error) {
      this.warn(error instanceof TypeError ? "The server does not answer. Drop the picture again later." : error.message);
    }
    this.say("");
  }

  // Fill the palette.
  show(models) {
    $("model-buttons").replaceChildren(...models.map((model, place) => this.entry(model, place)));
  }

  entry(model, place) {
    const entry = Object.assign(document.createElement("div"), { className: "look" });
    const button = Object.assign(document.createElement("button"), { type: "button", title: model.name });
    button.dataset.model = model.name;
    if (place < 9) button.title += ` (key ${place + 1})`;
    button.addEventListener("click", () => this.choose(model.name));
    if (model.thumbnail) button.append(Object.assign(new Image(), { src: model.thumbnail, alt: "" }));
    button.append(Object.assign(document.createElement("span"), { textContent: model.name }));
    entry.append(button);
    if (model.thumbnail) {
      const remove = Object.assign(document.createElement("button"), { type: "button", className: "remove", textContent: "×" });
      remove.setAttribute("aria-label", `Remove ${model.name}`);
      remove.addEventListener("click", () => this.connection.send({ type: "remove", model: model.name }));
      entry.append(remove);
    }
    return entry;
  }

  press(name) {
    for (const button of document.querySelectorAll("[data-model]")) {
      button.setAttribute("aria-pressed", String(button.dataset.model === name));
    }
  }
}

// A file as a picture; an error says in words why it is none.
export async function readPicture(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can show.`);
  }
}

function shrunk(picture) {
  const { width, height } = picture;
  const scale = Math.min(1, SHORT_SIDE / Math.min(width, height), LONGEST / Math.max(width, height));
  const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  const canvas = Object.assign(document.createElement("canvas"), size);
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "#fff"; // behind what is transparent, as on the command line
  context.fillRect(0, 0, size.width, size.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, size.width, size.height);
  picture.close();
  return canvas;
}
