// Which source this page shows: one at a time. A camera that is lost is looked for until it is there again.
import { Capture, describeRefusal, OVERTAKEN } from "./capture.js";
import { Drawing } from "./drawing.js";

const RETRY_MS = 3000;
const $ = (id) => document.getElementById(id);

export class Sources {
  // size(): the short side in pixels that the model wants of a drawing; frameSize(): that of a camera's frames. say, warn: tell the person. A kiosk's camera is taken, and
  // taken again, by itself.
  constructor(connection, size, frameSize, say, warn, isKiosk) {
    Object.assign(this, { connection, say, warn, isKiosk });
    this.isSearching = false; // for a camera that was lost
    this.isElsewhere = false; // what is shown comes from another page or program
    this.kind = "none";
    this.capture = new Capture($("video"), connection, frameSize);
    this.capture.onlost = () => this.lost();
    this.drawing = new Drawing({ canvas: $("drawing"), onion: $("onion"), cursor: $("cursor") }, connection, size);
    for (const button of document.querySelectorAll("[data-source]")) {
      button.addEventListener("click", () => this.choose(this.kind === button.dataset.source ? "none" : button.dataset.source));
    }
    $("cameras").addEventListener("change", () => this.choose("camera"));
    $("video-file").addEventListener("change", () => this.choose("video"));
    $("drive-camera").addEventListener("change", () => this.drive());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => { if (this.retry && !this.isElsewhere) this.choose("camera", true); });
  }

  async choose(kind, isSearching = false) {
    this.isSearching = isSearching;
    this.rest();
    this.kind = kind;
    this.drawing.isActive = kind === "drawing";
    this.show();
    try {
      if (kind === "camera") await this.camera();
      else if (kind === "screen") await this.capture.display();
      else if (kind === "video" && !(await this.video())) return;
      this.warn("");
      this.claim(); // only now: a source that is not there yet takes nobody's place
    } catch (error) {
      if (this.kind === kind && error.name !== OVERTAKEN) this.refused(kind, error);
    }
  }

  // Stop what was begun.
  rest() {
    clearTimeout(this.retry);
    this.retry = null;
    this.capture.stop();
    this.drawing.isActive = false;
  }

  // Say to the server that this page's frames are the ones to paint.
  claim() {
    this.connection.send({ type: "source", kind: this.kind });
    if (this.kind === "drawing") this.drawing.changed();
  }

  // After a lost connection: go on, unless another source was chosen meanwhile.
  rejoin(state, formerNumber) {
    if (this.kind === "none") return;
    if (state.holder === this.connection.number) return; // this page's claim was quicker than the state
    if (state.source === "none" || state.holder === formerNumber || state.holder === 0) this.claim();
    else this.replaced(state.source);
  }

  async camera() {
    await this.capture.camera($("cameras").value);
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    const chosen = this.capture.stream?.getVideoTracks()[0]?.getSettings().deviceId;
    $("cameras").replaceChildren(...devices.map((d, n) => new Option(d.label || `Camera ${n + 1}`, d.deviceId, false, d.deviceId === chosen)));
    $("camera-choice").hidden = devices.length < 2;
  }

  async video() {
    const [file] = $("video-file").files;
    if (file) await this.capture.file(file);
    else $("video-file").focus();
    return Boolean(file);
  }

  async drive() {
    try {
      if ($("drive-camera").checked) await this.capture.camera($("cameras").value);
      else this.capture.stop();
    } catch (error) {
      $("drive-camera").checked = false;
      this.warn(`Camera: ${describeRefusal(error)}`);
    }
  }

  refused(kind, error) {
    this.warn(`${kind === "camera" ? "Camera" : kind === "screen" ? "Screen" : "Video"}: ${describeRefusal(error)}`);
    if (kind === "camera" && (this.isKiosk || this.isSearching)) this.lookAgain();
    else this.end();
  }

  lost() {
    if (this.kind === "camera") {
      this.warn("The camera is gone. It is taken again as soon as it is back.");
      this.lookAgain();
    } else {
      this.say(`The ${this.kind} has ended.`);
      this.end();
    }
  }

  lookAgain() {
    this.retry = setTimeout(() => {
      if (this.isKiosk && this.isElsewhere) this.lookAgain();
      else this.choose("camera", true);
    }, RETRY_MS);
  }

  // Go by what the server says is shown: a dream belongs to all pages; a kiosk's camera gives way to other sources.
  follow({ source, holder }) {
    this.isElsewhere = source !== "none" && holder !== this.connection.number;
    if (this.kind === "none" && source === "dream") this.kind = "dream";
    else if (this.kind === "dream" && source !== "dream") this.kind = "none";
    this.show();
    if (this.isKiosk && this.kind === "none" && source === "none") this.choose("camera");
  }

  // Another page or program has the stage now.
  replaced(by) {
    this.say(`Another source is shown now: ${by}.`);
    this.leave();
  }

  end() {
    this.leave();
    this.claim();
  }

  leave() {
    this.rest();
    this.kind = "none";
    this.isSearching = false;
    this.show();
  }

  show() {
    for (const button of document.querySelectorAll("[data-source]")) {
      button.setAttribute("aria-pressed", String(button.dataset.source === this.kind));
    }
    $("drawing-panel").hidden = this.kind !== "drawing";
    $("video-panel").hidden = !["camera", "screen", "video"].includes(this.kind);
    $("file-choice").hidden = this.kind !== "video";
    $("camera-choice").hidden = this.kind !== "camera" || $("cameras").length < 2;
    $("dream-panel").hidden = this.kind !== "dream";
    if (this.kind !== "dream") $("drive-camera").checked = false;
  }
}
