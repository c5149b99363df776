// The link to a page for a phone, as a QR code; or what to start so that a phone can reach it.
import { get, h, link } from "./api.js";
import { state } from "./state.js";

const PAGES = {
  studio: { title: "This studio on a phone", use: "Add clips from the phone, watch results, see the queue." },
  live: { title: "A phone as camera", use: "Scan it, then choose Camera on the phone: what it sees is painted, and shown on every page." },
};

export class Phone extends HTMLElement {
  connectedCallback() {
    state.addEventListener("start", () => state.trying(() => this.show()));
  }

  async show() {
    const { page } = this.dataset, { title, use } = PAGES[page];
    const reach = await get("/api/reach");
    if (!reach.open) {
      this.replaceChildren(h("p", {}, `${title}: this server answers only this computer. Start it for your network, and the code for the phone is here:`),
        h("pre", { className: "line", tabIndex: 0, "aria-label": "The command for a network" }, "vidtrans studio --host 0.0.0.0 --allow-network --https"));
      return;
    }
    const code = h("img", { src: link("/phone.svg", { page }), alt: `QR code: ${title}`, className: "qr" });
    const address = reach.links[page];
    const warning = h("p", { className: "bad" }, "A phone gives its camera only to https: start the studio with --https.");
    this.replaceChildren(code, h("p", {}, h("b", {}, title), ". ", use), ...(page === "live" && !reach.https ? [warning] : []),
      h("p", { className: "quiet" }, "The phone has to be in the same network. ", h("a", { href: address }, "The link"), " is a key: who has it can do what you can."));
  }
}

customElements.define("studio-phone", Phone);
