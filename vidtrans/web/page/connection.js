// The WebSocket: messages both ways, frames with at most two on their way, and a connection that comes back by itself.
// The binary messages are described in vidtrans/live/protocol.py.

const VERSION = 1;
const KINDS = { picture: 1, drawing: 2 }, SOUND = 3;
const MOST_WAITING = 65536; // bytes that wait to be sent; sound that comes then is dropped, since it would be late
export const PAINTED = 1, REPEATED = 2, DROPPED = 3;
const MOST_UNDERWAY = 2;
const CODING_MS = 2; // for a frame's file and a picture's, beside the model's own time
const LOST_AFTER_MS = 20000; // a frame of which nothing was heard for so long

export class Connection extends EventTarget {
  // path: of the live page, where it is not the page that connects.
  constructor(path = "") {
    super();
    this.token = encodeURIComponent(new URLSearchParams(location.search).get("token") ?? "");
    const address = new URL(`${path}ws?token=${this.token}`, location.href); // also below another path
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.address = address.href;
    this.number = 0;
    this.sequence = 0;
    this.underway = new Map();
    this.sent = 0; // when the last frame was
    this.busyMs = 0; // for how long the server is busy with a frame
    this.wait = 250;
    this.open();
  }

  open() {
    const socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = ({ reason }) => {
      this.socket = null;
      this.underway.clear();
      this.dispatchEvent(new CustomEvent("closed", { detail: reason }));
      if (this.isEnded) return;
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(2 * this.wait, 4000);
    };
    this.socket = socket;
  }

  close() {
    this.isEnded = true;
    this.socket?.close();
  }

  get isOpen() { return this.socket?.readyState === WebSocket.OPEN; }

  // Whether another frame may be sent now: when none is on its way, or when the server will be done with the one that
  // is. So it need not wait for a frame, and no frame waits for it.
  get isFree() {
    const now = performance.now();
    for (const [sequence, sent] of this.underway) if (now - sent > LOST_AFTER_MS) this.underway.delete(sequence);
    if (!this.isOpen || this.number === 0 || this.underway.size >= MOST_UNDERWAY) return false;
    return this.underway.size === 0 || now - this.sent >= this.busyMs;
  }

  send(message) { if (this.isOpen) this.socket.send(JSON.stringify(message)); }

  sendFrame(kind, file, timestamp) {
    const message = new Uint8Array(16 + file.byteLength);
    const header = new DataView(message.buffer);
    this.sequence = (this.sequence + 1) >>> 0;
    header.setUint8(0, VERSION);
    header.setUint8(1, KINDS[kind]);
    header.setUint32(4, this.sequence, true);
    header.setFloat64(8, timestamp, true);
    message.set(file, 16);
    this.sent = performance.now();
    this.underway.set(this.sequence, this.sent);
    this.socket.send(message);
    setTimeout(() => this.dispatchEvent(new Event("free")), this.busyMs);
  }

  // samples: a block of one channel, an Int16Array.
  sendSound(samples, rate) {
    if (!this.isOpen || this.socket.bufferedAmount > MOST_WAITING) return;
    const header = new DataView(new ArrayBuffer(8 + 2 * samples.length));
    header.setUint8(0, VERSION);
    header.setUint8(1, SOUND);
    header.setUint32(4, rate, true);
    samples.forEach((sample, n) => header.setInt16(8 + 2 * n, sample, true));
    this.socket.send(header.buffer);
  }

  take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "hello") {
        this.number = message.you;
        this.wait = 250;
      }
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
      return;
    }
    const header = new DataView(data);
    const length = header.getUint32(28, true);
    const picture = {
      kind: header.getUint8(1),
      timestamp: header.getFloat64(8, true),
      isOwn: header.getUint32(16, true) === this.number,
      modelMs: header.getFloat32(20, true),
      serverMs: header.getFloat32(24, true),
      input: new Uint8Array(data, 32, length),
      file: new Uint8Array(data, 32 + length),
    };
    if (picture.kind === PAINTED) this.busyMs += 0.2 * (picture.modelMs + CODING_MS - this.busyMs);
    if (picture.isOwn) this.underway.delete(header.getUint32(4, true));
    if (picture.kind !== DROPPED) this.dispatchEvent(new CustomEvent("picture", { detail: picture }));
    this.dispatchEvent(new Event("free"));
  }
}

// Draws JPEG files on a canvas in the order in which they came; of several that wait, the newest.
export class Screen {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.next = null;
    this.isBusy = false;
  }

  async show(file, done = () => {}) {
    this.next = { file, done };
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.next) {
      const { file, done } = this.next;
      this.next = null;
      try {
        const bitmap = await createImageBitmap(new Blob([file], { type: "image/jpeg" }));
        if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
          this.canvas.width = bitmap.width;
          this.canvas.height = bitmap.height;
        }
        this.context.drawImage(bitmap, 0, 0);
        bitmap.close();
        done();
      } catch (error) {
        console.warn("a picture could not be shown", error);
      }
    }
    this.isBusy = false;
  }
}
