// Any command, with every option: for those who know what they want.
import { h, post, schemaOf } from "./api.js";
import "./form.js";
import { state } from "./state.js";
import { describe } from "./wishes.js";

export class CommandPanel extends HTMLElement {
  connectedCallback() {
    this.choice = h("select", { "aria-label": "Command", onchange: () => this.open(this.choice.value) });
    this.about = h("p", { className: "quiet", translate: false });
    this.form = document.createElement("command-form");
    this.line = h("pre", { className: "line", tabIndex: 0, "aria-label": "The command" });
    this.cost = h("p", { className: "quiet", role: "status" });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.run(); }, onchange: () => { this.isTouched = true; this.show(); } },
      this.form, this.line, h("div", { className: "bar" }, h("button", { type: "submit", className: "first" }, "Run"),
        h("button", { type: "button", onclick: () => this.useRange() }, "Only the range of the viewer"),
        this.cutting = h("button", { type: "button", hidden: true, onclick: () => { this.form.set("cuts", this.cuts); this.show(); } }, "The cuts of the viewer"),
        h("button", { type: "button", onclick: () => this.estimate() }, "How long?")), this.cost);
    this.append(h("h2", {}, "Commands"), this.choice, this.about, form);
    state.addEventListener("start", () => {
      this.choice.replaceChildren(...state.start.commands.map((name) => h("option", { value: name }, name)));
      this.choice.value = "stylize";
      this.open("stylize");
    });
    state.addEventListener("open", ({ detail }) => {
      this.file = detail.name;
      if (!this.isTouched && this.choice.value) this.open(this.choice.value);
    });
    state.addEventListener("cuts", ({ detail }) => { this.cuts = detail; this.cutting.hidden = false; });
    state.addEventListener("range", ({ detail }) => { this.range = detail; });
  }

  async open(command, values = null) {
    this.choice.value = command;
    const number = this.opening = (this.opening ?? 0) + 1;
    await state.trying(async () => {
      const schema = await schemaOf(command);
      if (number !== this.opening) return; // another one was chosen, or another file opened, meanwhile
      [this.about.textContent] = schema.description.match(/^.*?[.](?= |$)/) ?? [schema.description];
      this.isTouched = values !== null;
      await this.form.build(command, values ?? this.given(schema));
      this.show();
    });
  }

  // The file that is open is the one that is meant.
  given(schema) {
    const [name] = schema.required, property = schema.properties[name];
    if (!this.file || property?.["x-access"] !== "path") return {};
    return { [name]: property.type === "array" ? [this.file] : this.file };
  }

  useRange() {
    for (const name of ["start", "end"]) this.form.set(name, this.range?.[name] ?? "");
    this.show();
  }

  step() { return { command: this.form.command, values: this.form.values(), title: this.form.command }; }

  async show() {
    const number = this.shown = (this.shown ?? 0) + 1;
    const told = await state.trying(() => post("/api/lines", this.step()));
    if (told && number === this.shown) this.line.textContent = told.problem || told.lines.join("\n");
  }

  async estimate() {
    this.cost.textContent = "Estimating …";
    const told = await state.trying(() => post("/api/estimate", this.step()));
    this.cost.textContent = told ? describe(told) : "";
  }

  async run() {
    if (this.isSending) return;
    this.isSending = true;
    const made = await state.trying(() => post("/api/run", this.step()));
    this.isSending = false;
    if (made) state.say("In the queue.");
  }
}

customElements.define("studio-command", CommandPanel);
