// A dream is steered: by keys that are held, by the pointer on the picture, by a gamepad. MIDI moves the sliders.

// The commands of --steer, by key.
const HELD = {
  ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  "+": "zoom", "=": "zoom", "-": "zoom-out", q: "turn-left", e: "turn-right",
};
const FULL = 2; // times the speed of a command at the border of the picture, and where a stick ends
const within = (value, low, high) => Math.min(high, Math.max(low, value));
const DEAD = 0.15; // of a stick's way, in which it rests
const STEP = 0.04; // of a stick's way, below which it is not sent again
const TYPED = "input:not([type=range]):not([type=checkbox]), select, textarea, [role=application]";

export class Steering {
  // picture: the canvas that shows the dream. set(values): sends controls. dreams(): whether a dream is on, and the
  // server hears of it. values(): of the controls. isTaken(key): whether a key moves a slider, or is about to.
  constructor(picture, set, dreams, values, isTaken, say) {
    Object.assign(this, { picture, set, dreams, values, isTaken, say });
    this.commands = {}; // what each does in a frame, by control
    this.bounds = {}; // default, low and high of each control
    this.keys = new Map(); // what is held, by the place of its key: its name changes with Shift
    this.before = {}; // of each control that is moved here, what it was
    this.sent = {};
    this.pads = new Map(); // of each gamepad, its way
    this.pointed = {};
    document.addEventListener("keydown", (event) => this.key(event, true));
    document.addEventListener("keyup", (event) => this.key(event, false));
    for (const [what, event] of [[window, "blur"], [document, "visibilitychange"]]) what.addEventListener(event, () => this.release());
    picture.addEventListener("pointerdown", (event) => {
      if (!dreams()) return;
      picture.setPointerCapture(event.pointerId);
      this.point(event);
    });
    picture.addEventListener("pointermove", (event) => { if (picture.hasPointerCapture(event.pointerId)) this.point(event); });
    for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, () => { this.pointed = {}; this.send(); });
    window.addEventListener("gamepadconnected", (event) => {
      say(`Gamepad: ${event.gamepad.id}. Left stick: where to; right stick: zoom and turn.`);
      if (!this.polling) this.poll();
    });
    window.addEventListener("gamepaddisconnected", (event) => {
      this.pads.delete(event.gamepad.index);
      this.send();
      say("The gamepad is gone: the camera stands still.");
    });
  }

  // Let go of everything: what ends elsewhere is not heard here.
  release() {
    this.keys.clear();
    this.pads.clear();
    this.pointed = {};
    this.send();
  }

  key(event, isDown) {
    if (!isDown) {
      if (this.keys.delete(event.code)) this.send();
      return;
    }
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isOther = event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.(TYPED) || this.isTaken(name);
    const movesSlider = name.startsWith("Arrow") && event.target.matches?.("[type=range]");
    if (!(name in HELD) || isOther || movesSlider || !this.dreams()) return;
    event.preventDefault();
    if (this.keys.has(event.code)) return;
    this.keys.set(event.code, HELD[name]);
    this.send();
  }

  // The farther from the middle, the faster there.
  point(event) {
    const box = this.picture.getBoundingClientRect();
    const x = within((2 * (event.clientX - box.left)) / box.width - 1, -1, 1);
    const y = within((2 * (event.clientY - box.top)) / box.height - 1, -1, 1);
    this.pointed = this.toward(x, y);
    this.send();
  }

  // Where to, as shares of full speed.
  toward(x, y) { return { pan_x: FULL * x * this.commands.right.pan_x, pan_y: FULL * y * this.commands.down.pan_y }; }

  poll() {
    this.polling = true;
    const pads = [...navigator.getGamepads()].filter(Boolean);
    let isNew = false;
    for (const pad of pads) {
      const axes = [0, 1, 2, 3].map((n) => (Math.abs(pad.axes[n] ?? 0) < DEAD ? 0 : pad.axes[n]));
      const last = this.pads.get(pad.index) ?? [0, 0, 0, 0];
      if (axes.some((value, n) => Math.abs(value - last[n]) > STEP || (value === 0 && last[n] !== 0))) {
        this.pads.set(pad.index, axes);
        isNew = true;
      }
    }
    if (isNew) this.send();
    if (pads.length) requestAnimationFrame(() => this.poll());
    else this.polling = false;
  }

  // A dream began, or the server is there again, which knows nothing of what is held.
  begin() {
    this.before = {};
    this.sent = {};
    this.send();
  }

  // Send what all of them do together, on top of what the sliders said before; and that again when they end.
  send() {
    const { still } = this, effects = this.dreams() ? this.effects() : still, values = {};
    for (const [name, effect] of Object.entries(effects)) {
      const ends = effect === still[name];
      if (ends && !(name in this.before)) continue;
      this.before[name] ??= this.values()[name];
      const value = name === "zoom" ? this.before[name] * effect : this.before[name] + effect;
      const rounded = Number(within(value, this.bounds[name].low, this.bounds[name].high).toPrecision(6));
      if (rounded !== this.sent[name]) values[name] = this.sent[name] = rounded;
      if (ends) {
        delete this.before[name];
        delete this.sent[name];
      }
    }
    if (Object.keys(values).length) this.set(values);
  }

  // The controls that commands move, where these do nothing.
  get still() {
    const names = Object.values(this.commands).flatMap((command) => Object.keys(command));
    return Object.fromEntries(names.map((name) => [name, this.bounds[name].default]));
  }

  effects() {
    const all = this.still;
    const parts = [...[...this.keys.values()].map((name) => this.commands[name]), this.pointed];
    for (const [x, y, turn, zoom] of this.pads.values()) {
      const turns = FULL * turn * this.commands["turn-right"].rotate;
      parts.push({ ...this.toward(x, y), rotate: turns, zoom: this.commands.zoom.zoom ** (-FULL * zoom) });
    }
    for (const part of parts) {
      for (const [name, value] of Object.entries(part)) all[name] = name === "zoom" ? all.zoom * value : all[name] + value;
    }
    return all;
  }
}
