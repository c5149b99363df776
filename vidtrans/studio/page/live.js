// The live room: choose looks and models, go live, and see what is painted; the live page itself opens below /live/.
import { Connection, Screen } from "../shared/connection.js";
import { get, h, link, post } from "./api.js";
import { state } from "./state.js";
import "./form.js";

const POLL_MS = 1500, REST_MS = 6000; // while the room is open, and while another one is
const PAGE = "vidtrans-live"; // the window of the live page, which is used again
const CHOICES = ["looks", "model"];

export class LiveRoom extends HTMLElement {
  connectedCallback() {
    this.chosen = { looks: new Set(), model: new Set() };
    this.now = { state: "off", line: "", problem: "" };
    this.built = false;
    this.options = {}; // of the session that runs, until they are changed here
    this.stage = this.makeStage();
    this.looks = h("div", { className: "looks", role: "group", "aria-label": "Media" });
    this.files = h("div", { className: "live-files" });
    this.form = document.createElement("command-form");
    const more = h("details", {}, h("summary", {}, "More: every option"), this.form);
    more.addEventListener("toggle", () => { if (more.open) this.build(); });
    this.line = h("pre", { className: "line", tabIndex: 0, "aria-label": "The command of this session" });
    this.go = h("button", { type: "submit", className: "first" }, "Go live");
    this.told = h("p", { role: "status" });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.start(); }, onchange: () => { this.isTouched = true; this.show(); } },
      h("h3", {}, "Media"), this.looks, this.files, more, this.line,
      h("div", { className: "bar" }, this.go, h("button", { type: "button", onclick: () => this.copy() }, "Copy the command")), this.told);
    this.append(h("h2", {}, "Live"),
      h("p", { className: "quiet" }, "See your camera, a drawing or a video in a look at once. If you choose several looks, the live page switches and fades between them."),
      this.stage, form);
    state.addEventListener("start", () => { this.offer(); this.poll(); });
    state.addEventListener("items", () => this.offer());
    document.addEventListener("visibilitychange", () => this.take(this.now));
    new MutationObserver(() => this.take(this.now)).observe(this, { attributeFilter: ["hidden"] }); // another room is open
  }

  // What is shown while a session runs: its picture, and its pages.
  makeStage() {
    this.picture = h("canvas", { width: 16, height: 9, hidden: true, role: "img", "aria-label": "What is painted now" });
    this.waits = h("p", { className: "quiet" }, "Nothing is painted yet. Open the live page, and choose Draw or Camera there.");
    this.facts = h("p", { className: "quiet" });
    this.problem = h("p", { className: "bad", role: "alert" });
    const page = (text, path, values, more = {}) => h("a", { className: "button", href: link(path, values), target: "_blank", rel: "opener", ...more }, text);
    this.open = page("Open the live page", "/live/", {}, { className: "button first", target: PAGE });
    const phone = Object.assign(document.createElement("studio-phone"), { className: "phone" });
    phone.dataset.page = "live";
    return h("div", { className: "on-air", hidden: true }, this.picture, this.waits,
      h("div", { className: "bar" }, this.open,
        h("button", { type: "button", onclick: () => this.fill() }, "Full screen"),
        page("Output only, for a projector", "/live/output"), page("Kiosk: output and camera", "/live/", { kiosk: "" }),
        h("button", { type: "button", onclick: () => this.stop() }, "Stop")),
      this.facts, this.problem, h("details", {}, h("summary", {}, "A phone as camera"), phone));
  }

  // Offer what ships and what is in the folder; what was chosen stays chosen as long as it is there.
  offer() {
    const pick = (kind, name, picture) => h("button", {
      type: "button", className: picture ? "pick" : "", title: name, "aria-label": name, "data-kind": kind, "data-name": name, "aria-pressed": String(this.chosen[kind].has(name)),
      onclick: ({ currentTarget }) => this.toggle(currentTarget),
    }, picture && h("img", { src: picture, alt: `The style of ${name}`, loading: "lazy" }), h("span", {}, name));
    const focused = document.activeElement?.dataset?.name;
    this.looks.replaceChildren(...Object.entries(state.looks).map(([name, shown]) => pick("looks", name, shown && link("/medium", { name }))));
    const pictures = state.items.filter((item) => item.kind === "picture"), models = state.items.filter((item) => item.kind === "model");
    for (const kind of CHOICES) {
      const there = new Set([...(kind === "looks" ? Object.keys(state.looks) : []), ...(kind === "looks" ? pictures : models).map((item) => item.name)]);
      for (const name of this.chosen[kind]) if (!there.has(name)) this.chosen[kind].delete(name);
    }
    this.files.replaceChildren(
      ...(pictures.length ? [h("h3", {}, "Pictures of this folder"), h("div", { className: "looks", role: "group", "aria-label": "Pictures of this folder" },
        pictures.map(({ name, modified }) => pick("looks", name, link("/thumb", { name, modified }))))] : []),
      h("h3", {}, "Models of this folder"),
      models.length ? h("div", { className: "bar", role: "group", "aria-label": "Models of this folder" }, models.map(({ name }) => pick("model", name)))
        : h("p", { className: "quiet" }, "There is no model yet. The tasks “Paint it in a style” and “Learn from a film” train models."));
    if (focused) [...this.querySelectorAll("[data-name]")].find((one) => one.dataset.name === focused)?.focus();
    this.show();
  }

  toggle(button) {
    this.isTouched = true;
    const { kind, name } = button.dataset, chosen = this.chosen[kind];
    if (!chosen.delete(name)) chosen.add(name);
    button.setAttribute("aria-pressed", String(chosen.has(name)));
    this.show();
  }

  async build() {
    if (this.built) return;
    this.built = true;
    const made = await state.trying(() => this.form.build("live", this.options));
    if (!made) { this.built = false; return; }
    for (const name of CHOICES) { // they are chosen above
      this.form.fields.get(name).input.closest(".option").remove();
      this.form.fields.delete(name);
    }
    for (const group of this.form.querySelectorAll("details")) if (!group.querySelector(".option")) group.remove();
  }

  values() {
    const chosen = Object.fromEntries(CHOICES.filter((kind) => this.chosen[kind].size).map((kind) => [kind, [...this.chosen[kind]]]));
    return { ...(this.built ? this.form.values() : this.options), ...chosen };
  }

  get isChosen() { return CHOICES.some((kind) => this.chosen[kind].size); }

  async show() {
    const number = this.asked = (this.asked ?? 0) + 1, isOn = this.now.state === "on";
    this.go.textContent = isOn ? "Change to this" : "Go live";
    this.go.disabled = this.isSending || !this.isChosen;
    if (!this.isChosen) { this.line.textContent = "Choose a look, a picture or a model first."; return; }
    const answer = await state.trying(() => post("/api/live/line", { values: this.values() }));
    if (!answer || number !== this.asked) return;
    this.line.textContent = answer.problem || answer.line;
    this.go.disabled = this.isSending || answer.problem !== "" || (isOn && answer.line === this.now.line);
  }

  async start() {
    if (this.isSending || !this.isChosen) return;
    const wasOff = this.now.state !== "on";
    this.isSending = this.go.disabled = true;
    this.told.textContent = "The models are loaded. This takes some seconds …";
    const now = await state.trying(() => post("/api/live", { action: "start", values: this.values() }));
    this.isSending = false;
    this.told.textContent = "";
    if (now) { this.isTouched = false; this.take(now); }
    this.show();
    if (!now || !wasOff) return; // an open live page changes over
    const isOpen = open(this.open.href, PAGE); // a browser may refuse a window that comes this late
    this.told.textContent = isOpen ? "" : "Live. Press “Open the live page”.";
    if (!isOpen) this.open.focus();
    this.stage.scrollIntoView({ block: "nearest" });
  }

  async stop() {
    if (this.connection) this.leave(); // else it tries to connect to what ends
    this.isStopping = true;
    const now = await state.trying(() => post("/api/live", { action: "stop" }));
    this.isStopping = false;
    if (!now) return;
    this.take(now);
    this.show();
    this.go.focus();
    state.refresh().catch(() => {}); // a recording may have ended
  }

  async poll() {
    const now = document.visibilityState === "visible" && await get("/api/live").catch(() => null);
    if (now) {
      const before = this.now.line;
      this.take(now);
      if (before !== now.line) this.show();
    }
    setTimeout(() => this.poll(), this.hidden ? REST_MS : POLL_MS);
  }

  // Show the state of the session.
  take(now) {
    this.now = now;
    const isOn = now.state === "on";
    this.stage.hidden = !isOn;
    document.getElementById("to-live").textContent = isOn ? "Live ●" : "Live";
    document.getElementById("to-live").title = isOn ? "A live session runs" : "";
    this.problem.textContent = now.problem;
    if (!this.isSending) this.told.textContent = now.state === "opening" ? `It is opened: ${now.line}` : "";
    if (isOn && !this.isTouched && now.line !== this.adopted) this.adopt(now);
    const pages = now.connections - (this.connection?.isOpen ? 1 : 0);
    if (isOn) this.facts.textContent = `${now.models.join(", ")} · ${pages > 1 ? `${pages} pages are open` : pages === 1 ? "1 page is open" : "no page is open"} · source: ${now.source}${now.recording ? " · recording" : ""}`;
    const isSeen = isOn && !this.isStopping && !this.hidden && document.visibilityState === "visible";
    if (isSeen && !this.connection) this.watch();
    if (!isSeen && this.connection) this.leave();
  }

  // Choose what runs, also where another page started it.
  adopt({ line, values }) {
    this.adopted = line;
    this.options = Object.fromEntries(Object.entries(values).filter(([name]) => !CHOICES.includes(name)));
    for (const kind of CHOICES) this.chosen[kind] = new Set(values[kind] ?? []);
    this.built = false;
    this.form.replaceChildren();
    if (this.form.parentElement.open) this.build();
    this.offer();
  }

  watch() {
    const screen = new Screen(this.picture);
    this.connection = new Connection("live/");
    this.connection.addEventListener("picture", ({ detail }) => screen.show(detail.file, () => {
      this.picture.style.setProperty("--aspect", this.picture.width / this.picture.height);
      this.picture.hidden = false;
      this.waits.hidden = true;
    }));
  }

  leave() {
    this.connection.close();
    this.connection = null;
    this.picture.hidden = true;
    this.waits.hidden = false;
  }

  fill() {
    const refused = () => state.say("This browser shows no element full screen: open the output instead.", true);
    if (this.picture.hidden) state.say("Nothing is painted yet: choose Draw or Camera on the live page first.", true);
    else if (this.picture.requestFullscreen) this.picture.requestFullscreen().catch(refused);
    else refused();
  }

  async copy() {
    const { textContent } = this.line;
    try {
      await navigator.clipboard.writeText(textContent);
      this.told.textContent = "Copied.";
    } catch { // without https, for example: it is selected instead
      getSelection().selectAllChildren(this.line);
      this.told.textContent = "It is selected: copy it with Ctrl-C.";
    }
  }
}

customElements.define("studio-live", LiveRoom);
