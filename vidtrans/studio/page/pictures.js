// Pictures between the server and canvases, without a change of any pixel.
import { h, link, PART, put } from "./api.js";

export const contextOf = (canvas) => canvas.getContext("2d", { willReadFrequently: true });
export const copyBox = ([x, y, width, height], canvas) => contextOf(canvas).getImageData(x, y, width, height);

export async function picture(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? "the frame could not be read");
  return createImageBitmap(await response.blob());
}

export const frameOf = (name, frame) => picture(link("/frame", { name, frame, kind: "png" }));

// A canvas of a size, with a picture that fills it.
export function canvasOf(width, height, drawn = null) {
  const made = h("canvas", { width, height });
  if (drawn) contextOf(made).drawImage(drawn, 0, 0, width, height);
  return made;
}

// The PNG file of a canvas, or of pixels. It holds what they are now, also if they change before it is ready.
export function encode(source) {
  let canvas = source;
  if (source instanceof ImageData) {
    canvas = canvasOf(source.width, source.height);
    contextOf(canvas).putImageData(source, 0, 0);
  }
  return new Promise((done, fail) => { canvas.toBlob((file) => (file ? done(file) : fail(new Error("the picture is too large"))), "image/png"); });
}

// Store a PNG file with a painted frame, and return its key.
export async function store(name, file) {
  const mark = [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  for (let offset = 0; ; offset += PART) {
    const { key } = await put("/api/easel/picture", { name, mark, offset, whole: file.size }, file.slice(offset, offset + PART));
    if (key) return key;
  }
}
