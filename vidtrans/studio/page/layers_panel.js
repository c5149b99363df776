// The list of layers: what is seen, in which order, how strongly; and which one is painted on.
import { h } from "./api.js";
import { contextOf, copyBox } from "./pictures.js";
import { BOTTOM } from "./stack.js";
import { state } from "./state.js";

export class LayersPanel extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.list = h("ul", { className: "layers", "aria-label": "Layers, the top one first" });
    const button = (text, label, onclick) => h("button", { type: "button", "aria-label": label, title: label, onclick: () => { if (!this.history.isBusy) onclick(); } }, text);
    this.opacity = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 1, "aria-label": "Opacity of the layer",
      oninput: () => this.fade(false), onchange: () => this.fade(true) });
    this.own = [button("▲", "Move the layer up", () => this.shift(1)), button("▼", "Move the layer down", () => this.shift(-1)),
      this.merging = button("Merge down", "Merge the layer with the one below", () => this.merge()), button("Rename", "Rename the layer", () => this.rename()),
      button("Delete", "Delete the layer", () => this.remove())];
    this.append(h("h3", {}, "Layers"), h("div", { className: "bar" }, button("New layer", "New layer above (n)", () => this.create()), h("label", {}, "opacity ", this.opacity)),
      this.list, h("div", { className: "bar" }, this.own));
  }

  open(history) {
    this.history = history;
    this.stack = history.stack;
    this.stack.addEventListener("layers", () => this.show());
    this.show();
  }

  show() {
    const { stack } = this;
    this.list.replaceChildren(...[...stack.layers].reverse().map((layer) => h("li", {},
      h("input", { type: "checkbox", checked: layer.visible, "aria-label": `Show ${layer.name}`, title: layer.visible ? "Hide it" : "Show it", onchange: () =>
        this.change((layers) => { const one = layers.find(({ id }) => id === layer.id); one.visible = !one.visible; }) }),
      h("button", { type: "button", className: "layer-name", "aria-pressed": String(layer.id === stack.active), "aria-label": `Paint on ${layer.name}`, onclick: () => this.choose(layer.id) },
        layer.name, layer.opacity < 1 ? ` ${Math.round(100 * layer.opacity)} %` : ""))));
    this.opacity.value = stack.current.opacity;
    for (const one of this.own) one.disabled = stack.active === BOTTOM;
  }

  choose(id) {
    this.stack.choose(id);
    this.list.querySelector(".layer-name[aria-pressed=true]")?.focus();
  }

  // Change the list of layers, as one step of the history. pixels: what the step changes of a layer besides.
  change(edit, pixels = {}) {
    const { stack } = this, layersBefore = stack.table(), layers = stack.table();
    const focused = this.contains(document.activeElement) ? [...this.querySelectorAll("button, input")].indexOf(document.activeElement) : -1;
    const layersAfter = edit(layers) ?? layers;
    stack.set(layersAfter);
    this.history.add({ layersBefore, layersAfter, ...pixels });
    if (focused >= 0) this.querySelectorAll("button, input")[focused]?.focus();
  }

  create() {
    if (this.history.isBusy) return;
    const { stack } = this, place = stack.layers.indexOf(stack.current) + 1;
    const id = Math.max(...stack.canvases.keys(), ...stack.stored.keys(), ...stack.layers.map((one) => one.id), this.newest ?? 0) + 1;
    this.newest = id;
    stack.active = id;
    this.change((layers) => layers.toSpliced(place, 0, { id, name: `Layer ${id}`, visible: true, opacity: 1 }));
  }

  fade(isDone) {
    const { stack } = this, { current } = stack;
    this.faded ??= current.opacity;
    const opacity = Number(this.opacity.value);
    if (!isDone) {
      current.opacity = opacity;
      stack.compose();
      return;
    }
    current.opacity = this.faded;
    this.faded = null;
    this.change((layers) => { layers.find((one) => one.id === current.id).opacity = opacity; });
  }

  shift(step) {
    const { stack } = this, from = stack.layers.indexOf(stack.current), to = from + step;
    if (to <= 0 || to >= stack.layers.length) return;
    this.change((layers) => layers.toSpliced(from, 1).toSpliced(to, 0, layers[from]));
  }

  rename() {
    const { current } = this.stack, name = prompt("Name of the layer", current.name)?.trim().slice(0, 80);
    if (name) this.change((layers) => { layers.find((one) => one.id === current.id).name = name; });
  }

  remove() {
    const { stack } = this, place = stack.layers.indexOf(stack.current);
    stack.active = stack.layers[place - 1].id;
    this.change((layers) => layers.toSpliced(place, 1));
  }

  merge() {
    const { stack } = this, place = stack.layers.indexOf(stack.current), above = stack.current, below = stack.layers[place - 1];
    if (!above.visible || !below.visible || below.opacity < 1) { state.say("Both layers are to be visible, and the lower one of full opacity, to merge them.", true); return; }
    const box = [0, 0, stack.width, stack.height], canvas = stack.canvas(below.id), before = copyBox(box, canvas), context = contextOf(canvas);
    context.globalAlpha = above.opacity;
    context.drawImage(stack.canvas(above.id), 0, 0);
    context.globalAlpha = 1;
    stack.active = below.id;
    this.change((layers) => layers.toSpliced(place, 1), { layer: below.id, box, before, after: copyBox(box, canvas) });
  }
}

customElements.define("easel-layers", LayersPanel);
