// The shelf: the files of the folder, with moving thumbnails; and what is done with them.
import { ago, get, h, link, post, size, upload } from "./api.js";
import { state } from "./state.js";

const KINDS = { "": "all", clip: "clips", picture: "pictures", model: "models", dataset: "datasets", pictures: "folders of pictures", training: "trainings" };
const PICTURED = ["clip", "picture", "pictures", "training"]; // kinds that have a thumbnail
const SHOWN_AT_ONCE = 120, RESTS_MS = 6000;

export class Shelf extends HTMLElement {
  connectedCallback() {
    this.limit = SHOWN_AT_ONCE;
    this.cards = new Map(); // by name, so that thumbnails are kept
    this.search = h("input", { type: "search", placeholder: "search", "aria-label": "Search files", oninput: () => this.show() });
    this.kind = h("select", { "aria-label": "Kind of file", onchange: () => this.show() },
      Object.entries(KINDS).map(([value, text]) => h("option", { value }, text)));
    this.order = h("select", { "aria-label": "Order", onchange: () => this.show() },
      [["modified", "newest"], ["name", "by name"], ["bytes", "largest"]].map(([value, text]) => h("option", { value }, text)));
    this.input = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Files to add", onchange: () => this.add(this.input.files) });
    this.list = h("ul", { className: "cards", "aria-label": "Files" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => { this.limit += SHOWN_AT_ONCE; this.show(); } }, "Show more");
    this.append(
      h("div", { className: "bar" }, h("button", { type: "button", className: "first", onclick: () => this.input.click() }, "Add files"), this.input, this.search, this.kind, this.order),
      this.list, this.more, this.bin = h("div", { className: "quiet" }), this.cache(),
      h("p", { className: "quiet" }, h("a", { href: link("/pack"), download: "" }, "Download all of it"), ", with the commands that made it"),
    );
    state.addEventListener("items", () => this.show());
    state.addEventListener("jobs", () => this.mark());
    this.thumbs = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) { this.thumbs.unobserve(target); load(target); }
    }, { rootMargin: "300px" });
    document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      if (event.dataTransfer.files.length) this.add(event.dataTransfer.files);
    });
  }

  async add(files) {
    for (const file of [...files]) {
      await state.trying(async () => {
        await upload(file.name, file, { progress: (share) => state.say(`${file.name}: ${Math.round(100 * share)} %`) });
        state.say(`${file.name} is here.`);
        await state.refresh();
        state.tell("added", file.name);
      });
    }
    this.input.value = "";
  }

  show() {
    const wanted = this.search.value.toLowerCase(), kind = this.kind.value, key = this.order.value;
    const found = state.items.filter((item) => item.name.toLowerCase().includes(wanted) && (!kind || item.kind === kind));
    found.sort((a, b) => (key === "name" ? a.name.localeCompare(b.name) : b[key] - a[key]));
    for (const [name, card] of this.cards) if (!state.item(name)) { forget(card); this.cards.delete(name); }
    const cards = found.slice(0, this.limit).map((item) => this.card(item));
    this.list.replaceChildren(...cards);
    this.more.hidden = found.length <= this.limit;
    if (!state.items.length) this.list.replaceChildren(h("li", { className: "quiet wide" }, "Drop clips and pictures here, or add files."));
    this.mark();
    this.showBin();
  }

  card(item) {
    const mark = item.kind === "training" ? `${Math.floor(item.modified / 60)}` : `${item.modified} ${item.bytes}`;
    const known = this.cards.get(item.name);
    if (known?.dataset.mark === mark) return known;
    if (known) forget(known);
    const short = item.name.split("/").pop();
    const isSeen = PICTURED.includes(item.kind);
    const thumb = h("span", { className: "thumb", hidden: !isSeen, "data-name": item.name, "data-kind": item.kind });
    const open = h("button", { type: "button", className: "open", "aria-label": `Open ${item.name}`, onclick: () => state.tell("open", item) },
      thumb, h("span", { className: "name", translate: false, title: item.bytes ? `${item.name}, ${size(item.bytes)}` : item.name }, short.split(/(?<=[._ -])/).flatMap((part) => [part, h("wbr")])),
      h("span", { className: "quiet" }, `${item.kind}, ${ago(item.modified)}`));
    const made = h("li", { "data-mark": mark, "data-name": item.name }, open, this.menu(item));
    if (isSeen) {
      // What changes may change again in a moment, as a recording (.nut) or a training does: it is looked at when it rests.
      if (known || item.name.endsWith(".nut")) setTimeout(async () => { await state.refresh().catch(() => {}); if (this.cards.get(item.name) === made) this.thumbs.observe(thumb); }, RESTS_MS);
      else this.thumbs.observe(thumb);
    }
    this.cards.set(item.name, made);
    return made;
  }

  menu(item) {
    const act = (work) => () => state.trying(async () => { await work(); await state.refresh(); });
    const rename = act(async () => {
      const name = prompt("New name", item.name);
      if (name && name !== item.name) await post("/api/file", { action: "rename", name: item.name, new: name });
    });
    const remove = act(async () => {
      await post("/api/file", { action: "delete", name: item.name });
      state.say(`${item.name} is in the bin.`);
    });
    const reveal = act(() => post("/api/reveal", { name: item.name }));
    return h("details", { className: "menu" }, h("summary", { "aria-label": `Actions for ${item.name}` }, "⋯"),
      h("div", {},
        ["clip", "picture"].includes(item.kind) && h("button", { type: "button", onclick: () => state.tell("compare", item) }, "Compare with what is open"),
        item.kind === "clip" && h("button", { type: "button", onclick: () => state.tell("paint", item) }, "Paint on its frames"),
        h("button", { type: "button", onclick: rename }, "Rename"),
        !["pictures", "dataset", "training"].includes(item.kind) && h("a", { href: link("/media", { name: item.name, download: 1 }), download: "" }, "Download"),
        state.isHere && h("button", { type: "button", onclick: reveal }, "Show in the file manager"),
        h("button", { type: "button", onclick: remove }, "Move to the bin")));
  }

  // How each file was made, as far as a job of this folder made it.
  mark() {
    for (const card of this.list.children) {
      const maker = card.dataset.name && state.maker(card.dataset.name);
      if (maker) card.querySelector(".open").title = maker.line;
    }
  }

  // What the cache of renders and trainings holds, and how to free it.
  cache() {
    const told = h("p", { role: "status" });
    const show = () => state.trying(async () => {
      told.textContent = "counting …";
      const { bytes, entries } = await get("/api/cache");
      told.textContent = entries ? `${size(bytes)} in ${entries} entries. Without them the next render computes again what they hold.` : "It is empty.";
    });
    const free = () => state.trying(async () => { await post("/api/cache", {}); await show(); });
    const panel = h("details", { className: "quiet" }, h("summary", {}, "Cache"), told, h("button", { type: "button", onclick: free }, "Free it"));
    panel.addEventListener("toggle", () => { if (panel.open) show(); });
    return panel;
  }

  async showBin() {
    const deleted = await get("/api/bin").catch(() => []);
    this.bin.replaceChildren();
    if (!deleted.length) return;
    const restore = (number) => state.trying(async () => { await post("/api/file", { action: "restore", name: number }); await state.refresh(); this.showBin(); });
    const empty = () => state.trying(async () => { await post("/api/file", { action: "empty" }); this.showBin(); });
    this.bin.append(h("details", {}, h("summary", {}, `Bin (${deleted.length})`),
      deleted.slice(0, 50).map((one) => h("p", {}, one.name, " ", h("button", { type: "button", onclick: () => restore(one.number) }, "Restore"))),
      h("button", { type: "button", onclick: empty }, "Empty the bin")));
  }
}

function forget(card) { URL.revokeObjectURL(card.querySelector(".thumb").dataset.address ?? ""); }

// A moving thumbnail: frames side by side, of which one is seen; they move under the pointer, and with focus.
async function load(thumb) {
  try {
    const response = await fetch(link("/thumb", { name: thumb.dataset.name }));
    if (!response.ok) throw new Error();
    const frames = Number(response.headers.get("x-frames"));
    thumb.dataset.address = URL.createObjectURL(await response.blob());
    thumb.style.backgroundImage = `url(${thumb.dataset.address})`;
    thumb.style.backgroundSize = `${100 * frames}% 100%`;
    const [width, height] = response.headers.get("x-size").split("x").map(Number);
    thumb.style.aspectRatio = `${width} / ${height}`;
    let frame = 0, timer = null;
    const step = () => { if (!thumb.isConnected) stop(); frame = (frame + 1) % frames; thumb.style.backgroundPositionX = frames > 1 ? `${(100 * frame) / (frames - 1)}%` : "0"; };
    const start = () => { timer ??= setInterval(step, 250); }, stop = () => { clearInterval(timer); timer = null; };
    const card = thumb.closest("button");
    for (const name of ["pointerenter", "focus"]) card.addEventListener(name, start);
    for (const name of ["pointerleave", "blur"]) card.addEventListener(name, stop);
  } catch {
    thumb.textContent = "no preview";
  }
}

customElements.define("studio-shelf", Shelf);
