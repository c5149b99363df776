// Keys and MIDI knobs that move sliders. They belong to this browser, and are kept in it.

const STORE = "vidtrans-live-maps";
const KEY_STEP = 0.05;
const TEXT = "input:not([type=range]):not([type=checkbox]), select, textarea";

export class Mapping {
  // controls: what is moved. actions: by key, what is done. say(text): tells the person.
  constructor(controls, actions, say) {
    Object.assign(this, { controls, actions, say });
    this.learning = null;
    try {
      this.maps = JSON.parse(localStorage.getItem(STORE)) ?? {};
    } catch {
      this.maps = {};
    }
    document.addEventListener("keydown", (event) => this.key(event));
  }

  learn(name) {
    this.learning = name;
    this.say(`Press a key, or move a knob, for ${name}. Escape: none.`);
  }

  keep(signal) {
    this.maps[signal] = this.learning;
    this.learning = null;
    localStorage.setItem(STORE, JSON.stringify(this.maps));
    this.say(`${signal} now moves ${this.maps[signal]}.`);
  }

  forget() {
    this.maps = {};
    localStorage.removeItem(STORE);
    this.say("All maps are forgotten.");
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.(TEXT)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (this.learning) {
      if (name === "Escape") { this.learning = null; this.say("No map was made."); }
      else if (name.length === 1 && name !== " ") this.keep(`key ${name}`);
      else return;
      event.preventDefault();
    } else if (this.maps[`key ${name}`]) {
      this.controls.nudge(this.maps[`key ${name}`], event.shiftKey ? -KEY_STEP : KEY_STEP);
      event.preventDefault();
    } else if (this.actions[name] && !event.repeat && !(name === " " && event.target.matches?.("button, summary, a, input"))) {
      this.actions[name]();
      event.preventDefault();
    }
  }

  async connectMidi() {
    if (!navigator.requestMIDIAccess) throw new Error("this browser has no MIDI");
    const access = await navigator.requestMIDIAccess();
    const listen = () => { for (const port of access.inputs.values()) port.onmidimessage = (event) => this.midi(event.data); };
    access.onstatechange = listen;
    listen();
    return [...access.inputs.values()].map((port) => port.name);
  }

  midi([status, number, value]) {
    const isKnob = (status & 0xf0) === 0xb0, isKey = (status & 0xf0) === 0x90 && value > 0;
    if (!isKnob && !isKey) return;
    const signal = `${isKnob ? "knob" : "note"} ${number} of channel ${(status & 15) + 1}`;
    if (this.learning) this.keep(signal);
    else if (this.maps[signal]) this.controls.set(this.maps[signal], value / 127);
  }
}
