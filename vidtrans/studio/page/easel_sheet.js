// A painted frame with its layers and its history, as the disk has them; and what another program did to its file.
import { get, link } from "./api.js";
import { fromDisk, History } from "./history.js";
import { canvasOf, contextOf, copyBox, picture } from "./pictures.js";
import { BOTTOM, bottomLayer, Stack } from "./stack.js";

// Return the history of a frame, and its layers as they were left. photo: the frame of the clip.
export async function openSheet(name, photo) {
  const { width, height } = photo, found = await get("/easel/sheet", { name });
  const file = found.stamp ? await picture(link("/media", { name, at: found.stamp })) : null;
  const known = found.sheet && found.sheet.size[0] === width && found.sheet.size[1] === height ? found.sheet : null;
  if (!known) return newSheet(name, photo, file, found.stamp);
  const stack = new Stack(width, height, known.layers);
  for (const [id, key] of Object.entries(known.pictures)) stack.stored.set(Number(id), { key, changes: 0 });
  const history = new History(name, stack, { stamp: known.stamp, position: known.position, saved: known.saved, redo: found.redo, isBegun: true });
  for (const layer of known.layers) await stack.load(layer.id, (key) => history.address(key));
  for (const change of found.back) await history.apply(fromDisk(change), "before");
  for (const change of found.forth) await history.apply(fromDisk(change), "after");
  stack.set(known.layers);
  stack.active = known.layers.at(-1).id;
  const news = found.stamp === known.stamp ? "" : await takeBack(history, file ?? photo, found.stamp);
  return { history, news };
}

function newSheet(name, photo, file, stamp) {
  const { width, height } = photo, stack = new Stack(width, height);
  stack.canvases.set(BOTTOM, canvasOf(width, height, file ?? photo));
  stack.compose();
  return { history: new History(name, stack, { base: file ?? photo, stamp }), news: "" };
}

// Take the file of another program as the new bottom. It is a change: undo brings back what was there. Return what to say.
export async function takeBack(history, file, stamp) {
  const { stack, name } = history, whole = [0, 0, stack.width, stack.height];
  const given = canvasOf(stack.width, stack.height, file), layersBefore = stack.table();
  const after = copyBox(whole, given), isSame = sameBytes(after.data, copyBox(whole, stack.board).data);
  const hadMore = layersBefore.length > 1 || history.isChanged;
  if (!isSame) {
    const before = copyBox(whole, stack.canvas(BOTTOM));
    contextOf(stack.canvas(BOTTOM)).putImageData(after, 0, 0);
    stack.active = BOTTOM;
    stack.set([bottomLayer()]);
    history.add({ layer: BOTTOM, box: whole, before, after, layersBefore, layersAfter: stack.table() });
  }
  await history.save({ isFlat: false, stamp });
  if (isSame) return "";
  if (!stamp) return `The file ${name} was removed: this is the frame of the clip. Undo brings back what was painted.`;
  return `${name} was changed by another program, and is taken back.${hadMore ? " Undo brings back your layers and strokes." : ""}`;
}

function sameBytes(a, b) {
  const [left, right] = [a, b].map((data) => new Uint32Array(data.buffer));
  return left.length === right.length && left.every((value, at) => value === right[at]);
}
