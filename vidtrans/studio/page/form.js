// A form from the schema of a command. Only what differs from the defaults is sent, so that lines stay short.
import { h, schemaOf } from "./api.js";
import { state } from "./state.js";
import "./curve.js";
import { isSeen, pictures } from "./wall.js";

const GROUPS = ["Input", "Look", "Strokes", "Time and shots", "Training", "Camera and clock", "Output", "Speed and device", "Several clips", "Settings"];
const OPEN = ["Input", "Look"]; // groups that are seen at first
const KINDS = { "vidtrans-model": ["model"], "vidtrans-look": ["picture"], "vidtrans-medium": ["picture"], "": ["clip", "picture", "pictures", "dataset", "model"] };
const CURVED = ["stylize", "deflicker", "propagate"]; // commands whose curves run over a clip that is there
const MASKS = ["person", "not person", "face", "not face", "key"]; // masks that are found in the picture
let lists = 0, forms = 0;

export class CommandForm extends HTMLElement {
  // given: values that are set already, by name; they are shown, and may be changed.
  async build(command, given = {}) {
    const schema = await schemaOf(command);
    this.command = command;
    this.serial ??= ++forms;
    this.fields = new Map();
    const groups = new Map();
    for (const [name, property] of Object.entries(schema.properties)) {
      const own = property["x-group"] ?? "Input", group = property["x-rare"] && own !== "Strokes" ? "Rarely needed" : own;
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(this.field(name, property, given[name], schema.required.includes(name)));
    }
    const order = (group) => { const at = GROUPS.indexOf(group); return at < 0 ? GROUPS.length : at; };
    const sorted = [...groups].sort((a, b) => order(a[0]) - order(b[0]) || (a[0] === "Rarely needed") - (b[0] === "Rarely needed"));
    this.replaceChildren(...sorted.map(([group, fields]) =>
      h("details", { open: OPEN.includes(group), className: "group" }, h("summary", {}, group), fields)));
    return this;
  }

  field(name, property, given, isRequired) {
    const one = property.type === "array" ? property.items : property;
    const value = given ?? property.default;
    const id = `option-${this.serial}-${this.command}-${name}`.replaceAll(" ", "-");
    const input = this.input(id, name, one, property, value, isRequired);
    const read = () => {
      const raw = one.type === "boolean" ? input.checked : input.value.trim();
      if (raw === "" || (given === undefined && raw === input.dataset.first) || (one.type === "boolean" && raw === Boolean(property.default) && given === undefined)) return undefined;
      if (property.type === "array") return raw.split("\n").map((line) => convert(one, line.trim())).filter((item) => item !== "");
      return convert(one, raw);
    };
    if (one.type !== "boolean") input.dataset.first = input.value;
    this.fields.set(name, { read, input });
    const isNegated = one.type === "boolean" && property.default === true && property["x-flags"]?.[0]?.startsWith("--no-");
    const label = isNegated ? name.replaceAll("_", " ") : (property["x-flags"]?.at(-1) ?? name).replace(/^-+/, "").replaceAll("-", " ").split("/")[0];
    const help = property.description ? h("p", { className: "quiet", id: `${id}-help`, translate: false }, property.description) : null;
    if (help) input.setAttribute("aria-describedby", `${id}-help`);
    const isFiles = property.type === "array" && property["x-access"] === "path";
    return h("div", { className: one.type === "boolean" ? "option check" : "option" }, h("label", { for: id, translate: false }, label), input,
      isFiles && this.picker(label, name, one, input), help, one.format === "vidtrans-curve" && this.curve(label, one, property, input),
      this.command === "stylize" && isSeen(one) && pictures(label, name, one, () => this.values(), (text) => {
        input.value = text;
        for (const event of ["input", "change"]) input.dispatchEvent(new Event(event, { bubbles: true }));
      }));
  }

  // The editor of a curve, over the clip that the form names; commands without a clip have none.
  curve(label, { minimum: low, maximum: high }, property, input) {
    const clip = () => ["video", "processed"].map((name) => this.fields.get(name)?.read()).flat().find(Boolean) ?? "";
    const more = () => Object.fromEntries(["sound", "cuts"].map((name) => [name, this.fields.get(name)?.read()]).filter(([, value]) => value));
    if (!CURVED.includes(this.command)) return null;
    const panel = h("details", { className: "curve" }, h("summary", { "aria-label": `Draw ${label} over time` }, "draw it over time"));
    panel.addEventListener("toggle", () => {
      panel.querySelector("curve-editor")?.remove();
      if (panel.open) {
        const editor = document.createElement("curve-editor");
        panel.append(editor);
        editor.edit(input, { low, high, usual: Number(property.default ?? low), clip, more });
      }
    });
    return panel;
  }

  // Files of the shelf, and masks that need none, to add to an option that takes several.
  picker(label, name, one, input) {
    const kinds = KINDS[one.format ?? ""] ?? KINDS[""];
    const offer = () => [h("option", { value: "" }, "add a file …"), ...(name === "mask" ? MASKS : []).map((mask) => h("option", { value: mask }, mask)), ...state.items.filter((item) => kinds.includes(item.kind)).map((item) => h("option", { value: item.name }, item.name))];
    const picker = h("select", { "aria-label": `Add to ${label}` }, offer());
    picker.addEventListener("pointerdown", () => picker.replaceChildren(...offer()));
    picker.addEventListener("change", () => {
      if (picker.value) input.value = [input.value.trim(), picker.value].filter(Boolean).join("\n");
      picker.value = "";
    });
    return picker;
  }

  input(id, name, one, property, value, isRequired) {
    if (one.type === "boolean") return h("input", { id, type: "checkbox", checked: Boolean(value) });
    const choices = one.enum ?? one.anyOf?.[0]?.enum;
    if (choices && property.type !== "array") {
      const options = [...(isRequired || choices.includes(value) ? [] : [""]), ...choices];
      return h("select", { id, value: String(value ?? "") }, options.map((text) => h("option", { value: text, selected: text === value }, text || "as usual")));
    }
    if (property.type === "array") {
      return h("textarea", { id, rows: Math.max(1, value?.length ?? 1), value: (value ?? []).join("\n"), placeholder: "one on each line", required: isRequired });
    }
    if (["integer", "number"].includes(one.type)) {
      const low = one.minimum ?? one.exclusiveMinimum;
      return h("input", { id, type: "number", value: value ?? "", min: low ?? "", max: one.maximum ?? "", step: one.type === "integer" ? 1 : "any", required: isRequired });
    }
    const input = h("input", { id, type: "text", value: value ?? "", required: isRequired });
    const takesFiles = property["x-access"] === "path";
    if (takesFiles || name === "mask") {
      const list = `files-${++lists}`, kinds = KINDS[one.format ?? ""] ?? KINDS[""];
      input.setAttribute("list", list);
      const names = takesFiles ? state.items.filter((item) => kinds.includes(item.kind)).map((item) => item.name) : [];
      const more = name === "mask" ? MASKS : one.format === "vidtrans-look" ? Object.keys(state.looks) : one.format === "vidtrans-medium" ? Object.keys(state.start.media) : [];
      const offered = h("datalist", { id: list }, [...names, ...more].map((text) => h("option", { value: text })));
      this.append(offered);
      input.addEventListener("focus", () => { if (!offered.isConnected) this.append(offered); });
    }
    return input;
  }

  values() {
    const found = {};
    for (const [name, { read }] of this.fields) {
      const value = read();
      if (value !== undefined) found[name] = value;
    }
    return found;
  }

  set(name, value) {
    const field = this.fields.get(name);
    if (field) field.input.value = value;
  }
}

function convert(one, raw) {
  if (one.type === "integer" || one.type === "number") return Number(raw);
  if (Array.isArray(one.type) && raw !== "" && !Number.isNaN(Number(raw)) && one.type.some((t) => t !== "string")) return Number(raw);
  return raw;
}

customElements.define("command-form", CommandForm);
