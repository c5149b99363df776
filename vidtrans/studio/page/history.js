// The history of a painted frame: every change is sent to the disk of the server, in turn, and undone without end.
import { get, link, post } from "./api.js";
import { canvasOf, contextOf, encode, picture, store } from "./pictures.js";
import { bottomLayer } from "./stack.js";
import { state } from "./state.js";

const MOST_BYTES = 256 << 20; // of pixels in memory; older changes are read from the disk again
const AGAIN_MS = 3000; // until what could not be stored is sent again
const numberOf = (change) => (typeof change === "number" ? change : change.number);

// A change: the pixels of a layer in a box before and after, or the list of layers before and after, or both.
export const fromDisk = ({ number, parent, layer, box, before, after, layers_before, layers_after }) =>
  ({ number, previous: parent, layer, box, keys: { before, after }, layersBefore: layers_before, layersAfter: layers_after });

export class History extends EventTarget {
  // base: what the bottom was before the first change; stamp: the file that the layers belong to.
  constructor(name, stack, { base = null, stamp = "", position = 0, saved = 0, redo = [], isBegun = false } = {}) {
    super();
    Object.assign(this, { name, stack, base, stamp, isBegun, saved, root: position, past: [], future: redo.map(fromDisk).reverse() });
    this.outbox = [];
    this.turn = Promise.resolve();
    this.steps = 0; // of undo and redo that are under way
  }

  get position() { return this.past.at(-1) ?? this.root; }
  get isChanged() { return this.position !== this.saved && (numberOf(this.position) ?? -1) !== numberOf(this.saved); }
  get isBusy() { return this.steps > 0; }
  get isPending() { return this.outbox.length > 0; }
  address(key) { return link("/easel/picture", { name: this.name, key }); }
  changed() { this.dispatchEvent(new Event("change")); }

  // Add a change that the layers show already.
  add(change) {
    const record = { number: null, keys: {}, ...change, previous: this.position };
    this.past.push(record);
    this.future = [];
    if (record.box) this.stack.touch(record.layer);
    this.send(() => this.keep(record));
    this.changed();
  }

  async keep(record) {
    await this.begin();
    if (record.box) {
      const key = async (side) => { record.keys[side] ??= await store(this.name, await encode(record[side])); };
      await Promise.all([key("before"), key("after")]);
    }
    const { number } = await post("/api/easel/change", { name: this.name, parent: numberOf(record.previous), layer: record.layer, box: record.box, ...record.keys,
      layers_before: record.layersBefore, layers_after: record.layersAfter });
    record.number = number;
    this.trim();
  }

  // Store the frame as it was before anything was painted.
  async begin() {
    if (this.isBegun) return;
    const { width, height } = this.stack, key = await store(this.name, await encode(canvasOf(width, height, this.base)));
    await post("/api/easel/save", { name: this.name, size: [width, height], number: 0, begin: true, layers: [bottomLayer()], pictures: { 0: key }, stamp: this.stamp });
    this.isBegun = true;
    this.base = null;
  }

  // Undo ("before") or redo ("after").
  step(side) {
    this.steps += 1;
    this.turn = this.turn.then(() => state.trying(async () => {
      const isUndo = side === "before", from = isUndo ? this.past : this.future;
      const record = from.at(-1) ?? (isUndo ? await this.earlier() : null);
      if (!record) { state.say(isUndo ? "There is nothing to undo." : "There is nothing to redo."); return; }
      await this.apply(record, side);
      if (from.at(-1) === record) from.pop(); else this.root = record.previous;
      (isUndo ? this.future : this.past).push(record);
      this.move();
      this.changed();
    })).finally(() => { this.steps -= 1; });
    return this.turn;
  }

  // The change before those that this page knows.
  async earlier() {
    if (!this.root) return null;
    const { change } = await get("/easel/change", { name: this.name, number: this.root });
    return change && fromDisk(change);
  }

  async apply(record, side) {
    const { stack } = this, layers = record[side === "before" ? "layersBefore" : "layersAfter"];
    for (const id of [...(record.box ? [record.layer] : []), ...(layers ?? []).map((layer) => layer.id)]) await stack.load(id, (key) => this.address(key));
    if (record.box) {
      contextOf(stack.canvas(record.layer)).putImageData(await this.pixels(record, side), record.box[0], record.box[1]);
      stack.touch(record.layer);
    }
    if (layers) stack.set(layers); else stack.compose();
  }

  async pixels(record, side) {
    if (record[side]) return record[side];
    const [, , width, height] = record.box;
    return contextOf(canvasOf(width, height, await picture(this.address(record.keys[side])))).getImageData(0, 0, width, height);
  }

  // Forget pixels that are on the disk, the oldest first, where they are many.
  trim() {
    let total = 0;
    for (const record of [...this.past].reverse()) {
      total += 2 * (record.before?.data.length ?? 0);
      if (total > MOST_BYTES && record.number !== null) record.before = record.after = null;
    }
  }

  move() {
    const { position } = this, tip = this.future[0] ?? position, layers = this.stack.table();
    const work = () => post("/api/easel/move", { name: this.name, position: numberOf(position), tip: numberOf(tip), layers });
    work.isMove = true;
    if (this.outbox.length > 1 && this.outbox.at(-1).isMove) this.outbox.pop(); // only where one ends is of interest
    this.send(work);
  }

  send(work) {
    this.outbox.push(work);
    this.drain();
  }

  // Send what waits, in turn; return whether all of it is stored.
  drain() {
    if (!this.outbox.length) return Promise.resolve(true);
    this.draining ??= (async () => {
      clearTimeout(this.again);
      try {
        while (this.outbox.length) {
          await this.outbox[0]();
          this.outbox.shift();
        }
        return true;
      } catch (error) {
        state.say(`What you painted is not on the disk yet, and is sent again: ${error.message}`, true);
        this.again = setTimeout(() => this.drain(), AGAIN_MS);
        return false;
      } finally {
        this.draining = null;
        this.changed();
      }
    })();
    return this.draining;
  }

  // Store the layers, and as the file the picture that they give; without isFlat they belong to the file of `stamp`.
  save({ isFlat = true, stamp = "" } = {}) {
    const { stack, position } = this, layers = stack.table();
    const fresh = [...stack.canvases].filter(([id]) => !stack.isStored(id)).map(([id, canvas]) => ({ id, changes: stack.changes.get(id) ?? 0, file: encode(canvas) }));
    const flat = isFlat ? encode(stack.board) : null; // all are copied before anything is waited for
    this.isSaving = true;
    const saving = (this.saving ?? Promise.resolve()).catch(() => {}).then(async () => {
      if (!(await this.drain())) throw new Error("what was painted could not be stored");
      for (const { id, changes, file } of fresh) stack.stored.set(id, { key: await store(this.name, await file), changes });
      const pictures = Object.fromEntries([...stack.stored].map(([id, { key }]) => [id, key]));
      const key = flat && await store(this.name, await flat);
      const answer = await post("/api/easel/save", { name: this.name, size: [stack.width, stack.height], number: numberOf(position), layers, pictures, flat: key, stamp });
      Object.assign(this, { stamp: answer.stamp, saved: position, isBegun: true });
      this.changed();
    }).finally(() => { if (this.saving === saving) this.isSaving = false; });
    this.saving = saving;
    return saving;
  }
}
