// Sources that are a video element: the camera, a screen, a file. Their newest frame is sent whenever one may be.

const LONGEST = 1920; // pixels
const QUALITY = 0.9;
export const OVERTAKEN = "Overtaken"; // by another source

export class Capture {
  // connection: where frames go. size(): the short side in pixels that is wanted.
  constructor(video, connection, size) {
    this.video = video;
    this.connection = connection;
    this.size = size;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.stream = null;
    this.cameraSize = 0; // the short side that was asked of the camera; 0: no camera
    this.turn = 0; // one for each source that was begun
    this.isRunning = false;
    this.fresh = null; // when the newest frame was captured that is not sent yet
    connection.addEventListener("free", () => this.send());
  }

  async camera(deviceId) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "InsecureContext");
    const wanted = cameraOf(this.size());
    if (deviceId) wanted.deviceId = { exact: deviceId };
    await this.take(navigator.mediaDevices.getUserMedia({ video: wanted, audio: false }));
    this.cameraSize = wanted.height.ideal;
  }

  // Change the camera's size after other controls.
  adapt() {
    const wanted = cameraOf(this.size());
    if (!this.cameraSize || wanted.height.ideal === this.cameraSize) return;
    this.cameraSize = wanted.height.ideal;
    for (const track of this.stream.getVideoTracks()) track.applyConstraints(wanted).catch(() => {});
  }

  async display() {
    if (!navigator.mediaDevices?.getDisplayMedia) throw new DOMException("", "NoDisplay");
    await this.take(navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } }, audio: false }));
  }

  async file(file) {
    this.stop();
    this.url = URL.createObjectURL(file);
    this.video.src = this.url;
    await this.begin();
  }

  // Play a stream that a person may yet have to allow; by then another source may have been chosen.
  async take(promise) {
    this.stop();
    const turn = this.turn;
    const stream = await promise;
    if (turn !== this.turn) {
      stream.getTracks().forEach((track) => track.stop());
      throw new DOMException("", OVERTAKEN);
    }
    this.stream = stream;
    for (const track of stream.getVideoTracks()) {
      track.addEventListener("ended", () => {
        if (this.stream === stream) {
          this.stop();
          this.onlost?.();
        }
      });
    }
    this.video.srcObject = stream;
    await this.begin();
  }

  async begin() {
    const turn = this.turn;
    await this.video.play();
    if (turn !== this.turn) throw new DOMException("", OVERTAKEN);
    this.isRunning = true;
    this.watch(turn);
  }

  // Learn of each new frame of the element.
  watch(turn) {
    if (!this.isRunning || turn !== this.turn) return;
    const take = (now, metadata) => {
      if (!this.isRunning || turn !== this.turn) return;
      this.fresh = metadata?.captureTime ?? performance.now();
      this.send();
      this.watch(turn);
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(take);
    else requestAnimationFrame((now) => take(now));
  }

  send() {
    const { video, connection } = this;
    if (!this.isRunning || this.fresh === null || !connection.isFree || !video.videoWidth) return;
    const timestamp = this.fresh;
    this.fresh = null;
    const [width, height] = this.fit(video.videoWidth, video.videoHeight);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(video, 0, 0, width, height);
    connection.sendFrame("picture", encode(this.canvas, "image/jpeg", QUALITY), timestamp);
  }

  fit(width, height) {
    const scale = Math.min(1, this.size() / Math.min(width, height), LONGEST / Math.max(width, height));
    return [Math.max(16, Math.round(width * scale)), Math.max(16, Math.round(height * scale))];
  }

  stop() {
    this.turn += 1;
    this.isRunning = false;
    this.fresh = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.cameraSize = 0;
    this.video.pause();
    this.video.srcObject = null;
    if (this.url) {
      this.video.removeAttribute("src");
      this.video.load();
      URL.revokeObjectURL(this.url);
      this.url = null;
    }
  }
}

// What a camera is asked for. size: the short side in pixels that is wanted.
function cameraOf(size) {
  const side = Math.max(480, size);
  return { width: { ideal: Math.round((4 / 3) * side) }, height: { ideal: side }, frameRate: { ideal: 30 } };
}

// The bytes of a canvas as a file. At once: toBlob waits until the browser is idle, which is tens of milliseconds.
export function encode(canvas, type, quality) {
  const text = atob(canvas.toDataURL(type, quality).split(",")[1]);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// Why a camera or a screen cannot be had, and what to do, in words.
export function describeRefusal(error) {
  const words = {
    NotAllowedError: "It was refused. Allow it beside the address of this page, and choose it again.",
    NotFoundError: "There is no camera. Plug one in, and choose it again.",
    OverconstrainedError: "This camera is gone. Choose another.",
    NotReadableError: "Another program uses it. Close that one, and choose it again.",
    AbortError: "It stopped. Choose it again.",
    NoDisplay: "This browser shows no screens to pages. Use one on a computer.",
    InsecureContext: "Browsers give a camera to localhost and to https only. Start the server with --https.",
  };
  return words[error.name] ?? `It cannot be used (${error.message || error.name}).`;
}
