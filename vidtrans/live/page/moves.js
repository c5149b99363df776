// Sliders that move: beside each one the text of its curve, and a thin mark where it is.

const STARTS = {
  "with the bass": (low, span) => `${low}${span}*follow(low, 0.2)`,
  "with the loudness": (low, span) => `${low}${span}*smooth(loudness, 0.3)`,
  "on each beat": (low, span) => `${low}${span}*on_beat(0.2)`,
  "on each beginning of a sound": (low, span) => `${low}${span}*on_onset(0.2)`,
  "with the motion": (low, span) => `${low}${span}*smooth(motion, 0.5)`,
  "slowly up and down": (low, span) => `${low}${span}*(0.5 - 0.5*cos(0.5*t))`,
};

export class Moves {
  // change(values): called with the text of a curve, or with the number at which a slider is to stay.
  constructor(change) { this.change = change; }

  // Add to a control's entry the button, the text and the mark. text: the control's name on the page.
  attach(name, text, entry, way) {
    entry.mark = Object.assign(document.createElement("i"), { className: "mark", hidden: true });
    way.append(entry.mark);
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "∿", title: "Let a curve move it" });
    button.setAttribute("aria-label", `Let a curve move ${text}`);
    button.setAttribute("aria-expanded", "false");
    const panel = Object.assign(document.createElement("div"), { className: "moves", hidden: true });
    const starts = document.createElement("select");
    starts.append(new Option("Start …", ""), ...Object.keys(STARTS).map((start) => new Option(start, start)));
    starts.setAttribute("aria-label", `How ${text} moves: start with`);
    const field = Object.assign(document.createElement("input"), { type: "text", maxLength: 500, spellcheck: false, autocomplete: "off" });
    field.id = `moves-${name}`;
    field.placeholder = "0.2 + 0.8*low";
    field.setAttribute("aria-label", `How ${text} moves`);
    const stop = Object.assign(document.createElement("button"), { type: "button", textContent: "Stop" });
    stop.setAttribute("aria-label", `Stop moving ${text}`);
    panel.append(starts, field, stop);
    Object.assign(entry, { movesButton: button, panel, field, curve: "", position: null });
    button.addEventListener("click", () => {
      panel.hidden = !panel.hidden;
      button.setAttribute("aria-expanded", String(!panel.hidden));
      if (!panel.hidden) field.focus();
    });
    starts.addEventListener("change", () => {
      if (!starts.value) return;
      const [low, high] = span(entry);
      field.value = STARTS[starts.value](low ? `${short(low)} + ` : "", short(high - low)).replace(/(^| )1\*/, "$1");
      starts.value = "";
      this.change({ [name]: field.value });
    });
    field.addEventListener("change", () => this.enter(name, entry));
    stop.addEventListener("click", () => this.stop(name, entry));
    entry.row.append(button, panel);
  }

  // Take what a person typed: a curve, or a number, at which the slider stays.
  enter(name, entry) {
    const text = entry.field.value.trim();
    if (!text) this.stop(name, entry);
    else if (Number.isFinite(Number(text))) this.change({ [name]: Math.min(entry.about.high, Math.max(entry.about.low, Number(text))) });
    else this.change({ [name]: text });
  }

  stop(name, entry) {
    entry.field.value = "";
    if (entry.curve) this.change({ [name]: entry.position ?? entry.about.default });
  }

  // Take over what the server says: the texts of curves, by control.
  update(rows, curves) {
    for (const [name, entry] of rows) {
      if (!entry.mark) continue;
      const curve = curves[name] ?? "";
      if (!curve) this.end(entry);
      else if (curve !== entry.curve) this.begin(entry, curve);
    }
  }

  begin(entry, curve) {
    entry.curve = curve;
    entry.position = null;
    if (document.activeElement !== entry.field) entry.field.value = curve;
    entry.input.setAttribute("aria-valuetext", `moves: ${curve}`);
    this.dress(entry);
  }

  end(entry) {
    if (!entry.curve) return;
    if (entry.field.value === entry.curve) entry.field.value = "";
    entry.curve = "";
    this.dress(entry);
  }

  dress(entry) {
    entry.row.classList.toggle("moving", Boolean(entry.curve));
    entry.movesButton.setAttribute("aria-pressed", String(Boolean(entry.curve)));
    entry.mark.hidden = !entry.curve;
  }

  // Show where the sliders are, values by control.
  show(rows, values) {
    for (const [name, value] of Object.entries(values)) {
      const entry = rows.get(name);
      if (!entry?.curve) continue;
      entry.position = value;
      entry.mark.style.setProperty("--at", Math.min(1, Math.max(0, entry.scale.share(value))));
      entry.output.textContent = value.toFixed(entry.about.whole ? 0 : digits(entry.about));
    }
  }
}

// So many that a step is about a hundredth of the slider's way: the text keeps its width.
const digits = ({ low, high }) => Math.min(5, Math.max(0, 2 - Math.floor(Math.log10(high - low))));
const short = (value) => Number(value.toPrecision(3));

// Between which values a start moves a slider: from its lowest to where it is; of some from the default a little up.
function span({ about, input, scale }) {
  if (about.around) return [about.default, about.default + (about.high - about.default) / 5];
  const value = scale.value((input.value - scale.low) / (scale.high - scale.low));
  return [about.low, value > about.low ? value : about.high];
}
