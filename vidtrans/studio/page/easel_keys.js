// The keys of the easel: each returns what a key does, or null.

const PAN = 40; // pixels of the board, for an arrow key
const TOOLS = { b: "brush", e: "eraser", g: "fill", p: "pick", c: "clone" };
const ARROWS = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };

export function controlKey(easel, { key, shiftKey }) {
  if (key === "z" && !shiftKey) return () => easel.undo();
  if (key === "y" || key.toLowerCase() === "z") return () => easel.redo();
  return key === "s" ? () => easel.save() : null;
}

export function plainKey(easel, { key, target, altKey }) {
  if (altKey || target.closest("video")) return null;
  if (key in TOOLS) return () => easel.use(TOOLS[key]);
  if (!target.closest("input, button, a, summary")) { // controls have arrows and space for themselves
    if (key === " ") return () => easel.setSpace(true);
    if (key in ARROWS) return () => easel.view.move(...ARROWS[key]);
  }
  const { view, layersPanel, motion } = easel;
  return {
    "[": () => easel.resize(0.8), "]": () => easel.resize(1.25), r: () => view.change(1, 15), R: () => view.change(1, -15), "+": () => view.change(1.25, 0), "-": () => view.change(0.8, 0),
    0: () => view.fit(), o: () => easel.onion.toggle(), f: () => easel.widen(), n: () => { if (!layersPanel.hidden) layersPanel.create(); }, m: () => { if (!motion.hidden) motion.toggle(); },
    ",": () => easel.open(easel.clip, Math.max(0, easel.frame - 1)), ".": () => easel.open(easel.clip, easel.frame + 1),
  }[key] ?? null;
}
