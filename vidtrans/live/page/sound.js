// The sound that moves sliders: a microphone, the system's sound, or a file. Its blocks go to the server, which keeps none.
import { describeRefusal, OVERTAKEN } from "./capture.js";

const $ = (id) => document.getElementById(id);
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // what calls need spoils music
const FALL = 0.85; // of the meter, from one block to the next
const WORDS = {
  NotFoundError: "There is no microphone. Plug one in, and choose it again.",
  InsecureContext: "Browsers give a microphone to localhost and to https only. Start the server with --https.",
  NoSound: "What you chose shares no sound. Choose a tab, or a whole screen with its sound.",
};

export class Sound {
  constructor(connection, say, warn) {
    Object.assign(this, { connection, say, warn });
    this.kind = "none";
    this.turn = 0; // one for each source that was begun
    this.isHeard = false; // by the server
    for (const button of document.querySelectorAll("[data-sound]")) {
      button.addEventListener("click", () => this.choose(this.kind === button.dataset.sound ? "none" : button.dataset.sound));
    }
    $("sound-file").addEventListener("change", () => this.choose("file"));
    $("system-sound").hidden = !navigator.mediaDevices?.getDisplayMedia;
    connection.addEventListener("closed", () => { this.isHeard = false; });
    connection.addEventListener("hello", () => { if (this.context) this.claim(); });
    connection.addEventListener("state", ({ detail }) => this.follow(detail.heard));
  }

  async choose(kind) {
    this.stop();
    const turn = this.turn;
    this.kind = kind;
    this.show();
    try {
      if (kind === "microphone") await this.stream(turn, () => navigator.mediaDevices.getUserMedia({ audio: PLAIN }));
      else if (kind === "system") await this.stream(turn, () => navigator.mediaDevices.getDisplayMedia({ video: true, audio: PLAIN }));
      else if (kind === "file") await this.file(turn);
    } catch (error) {
      if (turn !== this.turn || error.name === OVERTAKEN) return;
      this.warn(`Sound: ${WORDS[error.name] ?? describeRefusal(error)}`);
      this.choose("none");
    }
  }

  async stream(turn, ask) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "InsecureContext");
    const stream = await ask();
    const tracks = stream.getAudioTracks();
    if (turn !== this.turn || !tracks.length) {
      stream.getTracks().forEach((track) => track.stop());
      throw new DOMException("", tracks.length ? OVERTAKEN : "NoSound");
    }
    this.media = stream;
    tracks[0].addEventListener("ended", () => { if (this.media === stream) this.ended(); });
    await this.begin(turn, (context) => context.createMediaStreamSource(stream));
  }

  async file(turn) {
    const [file] = $("sound-file").files;
    if (!file) {
      $("sound-file").focus();
      return;
    }
    const player = new Audio(URL.createObjectURL(file));
    player.loop = true;
    this.player = player;
    await this.begin(turn, (context) => {
      const source = context.createMediaElementSource(player);
      source.connect(context.destination);
      return source;
    });
    await player.play();
  }

  // Send blocks of what a source plays. sourceIn(context): returns its node.
  async begin(turn, sourceIn) {
    const context = new AudioContext({ latencyHint: "interactive" });
    this.context = context;
    await context.audioWorklet.addModule(new URL("sound_worklet.js", import.meta.url));
    if (turn !== this.turn) throw new DOMException("", OVERTAKEN);
    const blocks = new AudioWorkletNode(context, "sound-blocks", { numberOfOutputs: 0 });
    blocks.port.onmessage = ({ data }) => { if (turn === this.turn) this.send(data); };
    sourceIn(context).connect(blocks);
    await context.resume();
    this.warn("");
    this.claim();
  }

  claim() { this.connection.send({ type: "sound", on: true }); }

  send({ block, peak }) {
    $("sound-level").value = Math.max(peak, FALL * $("sound-level").value);
    if (this.isHeard) this.connection.sendSound(block, this.context.sampleRate);
  }

  // Go by what the server says: it hears one page at a time, the last that began.
  follow(heard) {
    const wasHeard = this.isHeard;
    this.isHeard = this.context !== null && heard === this.connection.number;
    if (!wasHeard || this.isHeard) return;
    this.say("Another page is heard now.");
    this.choose("none");
  }

  ended() {
    this.say("The sound has ended.");
    this.choose("none");
  }

  stop() {
    this.turn += 1;
    if (this.isHeard) this.connection.send({ type: "sound", on: false });
    this.isHeard = false;
    this.media?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    if (this.player) {
      this.player.pause();
      URL.revokeObjectURL(this.player.src);
    }
    this.media = this.context = this.player = null;
    $("sound-level").value = 0;
  }

  show() {
    for (const button of document.querySelectorAll("[data-sound]")) {
      button.setAttribute("aria-pressed", String(button.dataset.sound === this.kind));
    }
    $("sound-choice").hidden = this.kind !== "file";
  }
}
