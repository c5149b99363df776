// The layers of a painted frame, and the picture that they give together. Layer 0 is the frame itself, at the bottom.
import { canvasOf, contextOf, picture } from "./pictures.js";

export const BOTTOM = 0;
export const bottomLayer = () => ({ id: BOTTOM, name: "The frame", visible: true, opacity: 1 });

export class Stack extends EventTarget {
  // board: the canvas that shows all layers together.
  constructor(width, height, layers = [bottomLayer()]) {
    super();
    Object.assign(this, { width, height, active: BOTTOM, layers: layers.map((layer) => ({ ...layer })) });
    this.board = canvasOf(width, height);
    this.canvases = new Map();
    this.changes = new Map(); // how often a layer was changed
    this.stored = new Map(); // the key of a layer's picture on the server, and the number of changes that it holds
  }

  get current() { return this.layers.find((layer) => layer.id === this.active); }
  table() { return this.layers.map((layer) => ({ ...layer })); }
  canvas(id) {
    if (!this.canvases.has(id)) this.canvases.set(id, canvasOf(this.width, this.height));
    return this.canvases.get(id);
  }

  // Read a layer from the server, where the page has not seen it yet.
  async load(id, addressOf) {
    if (this.canvases.has(id)) return;
    const known = this.stored.get(id);
    const found = known ? await picture(addressOf(known.key)) : null;
    if (!this.canvases.has(id)) this.canvases.set(id, canvasOf(this.width, this.height, found));
  }

  touch(id) { this.changes.set(id, (this.changes.get(id) ?? 0) + 1); }
  isStored(id) { return this.stored.get(id)?.changes === (this.changes.get(id) ?? 0); }

  set(layers) {
    this.layers = layers.map((layer) => ({ ...layer }));
    if (!this.current) this.active = this.layers.at(-1).id;
    this.compose();
    this.dispatchEvent(new Event("layers"));
  }

  choose(id) {
    this.active = id;
    this.dispatchEvent(new Event("layers"));
  }

  compose([x, y, width, height] = [0, 0, this.width, this.height]) {
    const context = contextOf(this.board);
    context.clearRect(x, y, width, height);
    for (const layer of this.layers) {
      if (!layer.visible) continue;
      context.globalAlpha = layer.opacity;
      context.drawImage(this.canvas(layer.id), x, y, width, height, x, y, width, height);
    }
    context.globalAlpha = 1;
  }
}
