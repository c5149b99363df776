// Settings as pictures: one frame of a clip with several values of a setting, side by side; a click chooses one.
import { h, link, post, schemaOf } from "./api.js";
import { state } from "./state.js";

const STEPS = 5; // values of a number that are shown
// Whether several values of a setting of a render can be shown on a single frame.
export const isSeen = (property) => Boolean(property["x-vary"] && (property.enum || property.maximum !== undefined));

// A row of pictures, which the server makes of the values (of `vidtrans try`) and the choices of a setting; null if it
// cannot. before: pictures that come first, of the frame itself and of the render without a change.
export async function hang({ values, name, choices, before, choose }) {
  const made = await state.trying(() => post("/api/wall", { values, name, choices }));
  if (!made) return null;
  const share = 100 / (choices.length + before);
  const picks = choices.map((choice, n) => {
    const pick = h("button", { type: "button", title: choice, "aria-label": `Choose ${choice}`, onclick: () => choose(choice) });
    Object.assign(pick.style, { left: `${share * (n + before)}%`, width: `${share}%` });
    return pick;
  });
  return h("div", { className: "hung" }, h("img", { src: link("/wall", { key: made.key }), alt: `A frame, and the same with ${name} ${choices.join(", ")}` }), picks);
}

// A button beside a setting of stylize, and below it the row. values(): what the form holds; choose(text): sets it.
export function pictures(label, name, property, values, choose) {
  const row = h("div", { className: "wall" });
  const show = async () => {
    const waits = h("p", { className: "quiet", role: "status" }, "Some seconds …"), number = row.asked = (row.asked ?? 0) + 1;
    row.replaceChildren(waits);
    const found = await hang({ values: await tried(values(), name), name, choices: choicesOf(property), before: 2, choose });
    if (number === row.asked) row.replaceChildren(...(found ? [found] : []));
  };
  return h("div", { className: "pictures" }, h("button", { type: "button", "aria-label": `${label} as pictures`, onclick: show }, "as pictures"), row);
}

function choicesOf({ enum: words, minimum, maximum }) {
  if (words) return words;
  return Array.from({ length: STEPS }, (_, n) => String(Number((minimum + ((maximum - minimum) * n) / (STEPS - 1)).toFixed(2))));
}

// The values of a form that `try` takes too, but the setting itself, and what moves over time.
async function tried(given, name) {
  const { properties } = await schemaOf("try"), kept = { video: given.video?.[0] ?? "" };
  if (given.model) kept.models = given.model;
  for (const [key, value] of Object.entries(given)) {
    const moves = properties[key]?.format === "vidtrans-curve" && typeof value !== "number";
    if (key in properties && key !== name && !(key in kept) && key !== "output" && !moves) kept[key] = value;
  }
  return kept;
}
