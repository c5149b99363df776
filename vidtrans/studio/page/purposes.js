// What painted frames are for, and which there are.
import { get, stem } from "./api.js";

// What the painted frames are for: the folder that they go to, and the command that takes it.
export const PURPOSES = {
  paint: { text: "key frames: a network learns them (slow)", go: "Learn, and make the clip", folder: ".keyframes", job: (clip, folder) => ["propagate", { video: [clip], keyframes: folder, preview: true }] },
  quick: { text: "key frames: moved along (quick)", go: "Make the clip", folder: ".keyframes", job: (clip, folder) => ["propagate", { video: [clip], keyframes: folder, minutes: 0, output: `${stem(clip)}.quick.mp4`, overwrite: true }] },
  fix: { text: "corrections of this result", go: "Correct the result", folder: ".corrections", job: (clip, folder) => ["fix", { render: clip, painted: folder }] },
  matte: { text: "strokes: green on the thing, red off it", go: "Cut it out", folder: ".strokes", job: (clip, folder, frames) => ["matte", { video: [clip], frame: frames.map((name) => `${parseInt(name, 10)}=${folder}/${name}`) }] },
};

// The names of the painted frames in a folder.
export async function names(folder) {
  const found = await get("/api/folder", { name: folder }).catch(() => []);
  return found.filter((name) => /^\d+\.png$/.test(name));
}
