// A small plot of a score over the steps of a training, drawn as SVG; a click goes to a step.
import { clamp } from "./api.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 150, LEFT = 44, RIGHT = 308, TOP = 12, BOTTOM = 122;

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const figure = (value) => (Math.abs(value) >= 2 ? value.toFixed(1) : value.toFixed(3));
const count = (step) => step.toLocaleString("en");

// Return the SVG of a plot {name, unit, points}; `total`: the step at the right end, `best`: a step with a ring.
export function scorePlot({ name, unit, points }, total, best, go) {
  const values = points.map(([, value]) => value);
  let low = Math.min(...values), high = Math.max(...values);
  const margin = 0.08 * (high - low) || Math.abs(high) * 0.05 || 1;
  low -= margin;
  high += margin;
  const last = Math.max(1, total, points.at(-1)[0]);
  const x = (step) => LEFT + ((RIGHT - LEFT) * step) / last, y = (value) => BOTTOM - ((BOTTOM - TOP) * (value - low)) / (high - low);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${name}: ${figure(values[0])} at first, ${figure(values.at(-1))} at step ${count(points.at(-1)[0])}${unit ? `, in ${unit}` : ""}` });
  for (const share of [0.1, 0.5, 0.9]) {
    const value = low + share * (high - low);
    svg.append(shape("path", { class: "grid", d: `M${LEFT} ${y(value)}H${RIGHT}` }), shape("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, figure(value)));
  }
  svg.append(shape("path", { class: "axis", d: `M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}` }),
    shape("text", { x: LEFT, y: BOTTOM + 18 }, "0"), shape("text", { x: RIGHT, y: BOTTOM + 18, "text-anchor": "end" }, `step ${count(last)}`),
    shape("path", { class: "curve", d: `M${points.map(([step, value]) => `${x(step)} ${y(value)}`).join("L")}` }));
  for (const [step, value] of points) {
    const dot = shape("circle", { class: step === best ? "best" : "dot", cx: x(step), cy: y(value), r: step === best ? 5 : 2.5 });
    dot.append(shape("title", {}, `step ${count(step)}${step === best ? ", best" : ""}: ${figure(value)} ${unit}`));
    svg.append(dot);
  }
  const head = shape("path", { class: "playhead", d: "" });
  svg.append(head);
  svg.mark = (step) => head.setAttribute("d", `M${x(clamp(step, 0, last))} ${TOP}V${BOTTOM}`);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    go((last * (((event.clientX - box.left) / box.width) * WIDTH - LEFT)) / (RIGHT - LEFT));
  });
  return svg;
}
