// Sliders, boxes and lists, made from what the server says of each control.
import { Moves } from "./moves.js";

const BUSY_MS = 400; // a control that was just moved is not set from elsewhere

export class Controls {
  // change(values): called when a person moves something. map(name): called to map a key or a knob to a slider.
  constructor(change, map) {
    this.change = change;
    this.map = map;
    this.moves = new Moves(change);
    this.rows = new Map();
    this.values = {};
  }

  // Fill the groups of the page. description: of the controls, by name.
  build(description, models) {
    this.description = { ...description };
    this.rows.clear();
    for (const group of document.querySelectorAll("[data-place]")) {
      const here = Object.entries(description).filter(([, about]) => about.place === group.dataset.place);
      group.replaceChildren(...here.map(([name, about]) => this.row(name, about.label)));
    }
    const settings = new Map(models.flatMap((model) => Object.entries(model.settings)));
    for (const [name, about] of settings) this.description[name] = about;
    const rows = [...settings.keys()].map((name) => this.row(name, label(name, models)));
    document.getElementById("pairing-controls").replaceChildren(...rows);
    this.offer(models);
  }

  // Offer the models, and their looks, in the lists.
  offer(models) {
    const offers = { models: models.map((model) => model.name), looks: [...new Set(models.flatMap((model) => model.looks))] };
    for (const [name, { about }] of this.rows) {
      if (!about.offers) continue;
      this.options(name, ["", ...offers[about.offers]]);
      this.put(name, this.values[name] ?? "");
    }
  }

  row(name, text) {
    const about = this.description[name];
    const row = document.createElement("div");
    row.className = "control";
    row.title = about.help ?? "";
    const caption = Object.assign(document.createElement("label"), { htmlFor: `control-${name}`, textContent: text });
    const isText = about.suggestions !== undefined, isList = !isText && (about.choices || typeof about.default === "string");
    const input = document.createElement(isList ? "select" : "input");
    input.id = `control-${name}`;
    input.setAttribute("aria-description", about.help ?? "");
    const way = Object.assign(document.createElement("span"), { className: "way" });
    way.append(input);
    row.append(caption, way);
    const entry = { row, input, about, scale: isList || isText ? null : scaleOf(about), touched: -Infinity };
    this.rows.set(name, entry);
    if (isText) {
      Object.assign(input, { type: "text", placeholder: about.empty ?? "", autocomplete: "off" });
      const list = Object.assign(document.createElement("datalist"), { id: `offered-${name}` });
      list.append(...about.suggestions.map((value) => new Option(value, value)));
      input.setAttribute("list", list.id);
      way.append(list);
      input.addEventListener("blur", () => this.put(name, this.values[name] ?? ""));
    }
    if (isList || isText) {
      if (about.choices) this.options(name, about.choices);
      input.addEventListener("change", () => this.moved(name, input.value));
      return row;
    }
    const { low, high, step } = entry.scale;
    Object.assign(input, { type: "range", min: low, max: high, step });
    entry.output = document.createElement("output");
    entry.output.htmlFor = input.id;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Map" });
    button.setAttribute("aria-label", `Map a key or a knob to ${text}`);
    button.addEventListener("click", () => this.map(name));
    row.append(entry.output, button);
    if (about.moves) this.moves.attach(name, text, entry, way);
    input.addEventListener("input", () => this.moved(name, entry.scale.value((input.value - low) / (high - low))));
    input.addEventListener("dblclick", () => this.moved(name, about.default));
    this.put(name, about.default);
    return row;
  }

  options(name, values) {
    const { input, about } = this.rows.get(name);
    input.replaceChildren(...values.map((value) => new Option(value || about.empty, value)));
  }

  // A person moved a control.
  moved(name, value) {
    const entry = this.rows.get(name);
    if (entry) entry.touched = performance.now();
    if (entry?.curve) this.moves.end(entry); // a hand takes over
    this.values[name] = value;
    this.put(name, value);
    this.change({ [name]: value });
  }

  // Move a control by key or knob. share: 0 to 1 of its way.
  set(name, share) {
    const entry = this.rows.get(name);
    if (entry?.scale) this.moved(name, entry.scale.value(Math.min(1, Math.max(0, share))));
  }

  nudge(name, step) {
    const entry = this.rows.get(name);
    if (entry?.scale) this.set(name, entry.scale.share(this.values[name] ?? entry.about.default) + step);
  }

  // Take over what the server says: numbers, names, and the texts of curves.
  update(values, curves = {}) {
    this.moves.update(this.rows, curves);
    const now = performance.now();
    let isBusy = false;
    for (const [name, entry] of this.rows) {
      const value = values[name] ?? entry.about.default;
      if (now - entry.touched <= BUSY_MS) {
        isBusy = true;
        continue;
      }
      this.put(name, value);
      this.values[name] = value;
    }
    clearTimeout(this.later);
    if (isBusy) this.later = setTimeout(() => this.update(values, curves), BUSY_MS);
  }

  put(name, value) {
    const entry = this.rows.get(name);
    if (!entry) return;
    if (!entry.scale) {
      const isTyped = entry.about.suggestions && document.activeElement === entry.input;
      if (!isTyped) entry.input.value = value;
      return;
    }
    const { low, high } = entry.scale;
    entry.input.value = Math.round(low + entry.scale.share(value) * (high - low));
    if (entry.curve) return;
    const text = entry.scale.text(value);
    entry.output.textContent = text;
    entry.input.setAttribute("aria-valuetext", text);
  }

  // Show the controls whose needs are met. has: by need.
  suit(has) { for (const [name, { about }] of this.rows) if (about.needs) this.show(name, has[about.needs]); }

  show(name, isShown) { const entry = this.rows.get(name); if (entry) entry.row.hidden = !isShown; }
}

function label(name, models) {
  const [kind, setting] = name.split(".");
  const words = setting.replaceAll("_", " ");
  const kinds = new Set(models.filter((model) => Object.keys(model.settings).length).map((model) => model.pairing));
  return kinds.size > 1 ? `${kind}: ${words}` : words[0].toUpperCase() + words.slice(1);
}

// How a slider's way, 0 to 1, becomes a value: in equal factors where the bounds lie far apart. low, high, step: of the
// slider itself, in steps that arrow keys take: of whole numbers these.
function scaleOf(about) {
  const low = about.low ?? 0, high = about.high ?? 1;
  if (about.empty || about.whole) {
    const step = about.step ?? 1;
    const value = (share) => low + step * Math.round((share * (high - low)) / step);
    const text = (v) => (v === 0 && about.empty ? about.empty : `${v}`);
    return { low, high, step, value, share: (v) => (v - low) / (high - low), text };
  }
  const isWide = low > 0 && high / low >= 20;
  const value = (share) => Number((isWide ? low * (high / low) ** share : low + share * (high - low)).toPrecision(4));
  const share = (v) => (isWide ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
  return { low: 0, high: 1000, step: 1, value, share, text: (v) => `${Number(v.toPrecision(3))}` };
}
