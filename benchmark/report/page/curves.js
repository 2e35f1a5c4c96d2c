// The curves of an experiment: which panel, which measure, which lines.

const MEASURES = {
  "validation-error": "validation error (%)",
  "training-error": "training error (%)",
  "validation-loss": "validation loss (nats)",
  "training-loss": "training loss (nats)",
};
const FEW_LINES = 16;

/** The lines shown at first: all where they are few, else the best of each algorithm. */
function firstShown(lines) {
  if (lines.length <= FEW_LINES) return new Set(lines);
  const best = new Map();
  for (const line of lines) {
    const value = lastError(line);
    const other = best.get(line.algorithm);
    if (!other || value < lastError(other)) best.set(line.algorithm, line);
  }
  return new Set([...best.values()].slice(0, FEW_LINES));
}

function lastError(line) {
  return line.measures["validation-error"]?.mean.at(-1) ?? Infinity;
}

class Curves {
  constructor(panels) {
    this.panels = panels;
    this.measures = Object.keys(MEASURES).filter((measure) =>
      panels.some((panel) => panel.lines.some((line) => line.measures[measure])));
    this.measure = this.measures[0];
    this.readout = make("p", { class: "readout", role: "status" });
    this.legend = make("div", { class: "legend", role: "group", "aria-label": "Lines shown" });
    this.note = make("p", { class: "status" });
    this.chart = new Chart((cursor) => this.read(cursor));
    this.element = make("div", null, this.controls(), this.chart.element, this.readout, this.toggles(), this.legend, this.note);
    this.open(0);
  }

  controls() {
    const log = make("input", { type: "checkbox", onchange: () => this.chart.setLogarithmic(log.checked) });
    log.checked = true;
    const button = (text, onclick) => make("button", { type: "button", onclick }, text);
    return make(
      "div",
      { class: "controls" },
      this.panels.length > 1 ? choice("Panel", this.panels.map((panel) => panel.title), (k) => this.open(k)) : null,
      choice("Measure", this.measures.map((measure) => MEASURES[measure]), (k) => this.change(this.measures[k])),
      make("label", null, log, "Logarithmic"),
      button("Zoom in", () => this.chart.zoomBy(1.5)),
      button("Zoom out", () => this.chart.zoomBy(1 / 1.5)),
      button("Reset zoom", () => this.chart.zoom(null)),
    );
  }

  toggles() {
    const button = (text, lines) => make("button", { type: "button", onclick: () => this.set(lines()) }, text);
    const all = button("Show all lines", () => this.panel.lines);
    const none = button("Hide all lines", () => []);
    return make("div", { class: "controls" }, all, none);
  }

  open(place) {
    this.panel = this.panels[place];
    const left = this.panel.left_out;
    const crosses = this.panel.lines.some((line) => Object.values(line.measures).some((m) => m.ends.length));
    this.note.textContent = [
      `${this.panel.title}. Means over seeds; bands, of up to ${MOST_BANDS} lines, go from the lowest to the highest.`,
      crosses ? "A cross is where a trial diverged." : "",
      left ? `${plural(left, "setting")} with higher validation errors are not drawn: see the table.` : "",
      "Drag a frame to zoom, double-click to reset; keys: arrows, +, -, 0.",
    ].filter(Boolean).join(" ");
    this.set(firstShown(this.panel.lines));
  }

  change(measure) {
    this.measure = measure;
    this.chart.seen = null;
    this.show();
  }

  set(lines) {
    this.shown = new Set(lines);
    this.chart.seen = null;
    const hidden = this.panel.lines.filter((line) => !this.shown.has(line));
    this.legend.replaceChildren(...[...this.shown, ...hidden].map((line) => this.entry(line)));
    this.show();
  }

  entry(line) {
    const text = line.n > 1 ? `${line.label} (n = ${line.n})` : line.label;
    const button = make("button", { type: "button", "aria-pressed": this.shown.has(line), onclick: () => this.toggle(line, button) }, sample(line), text);
    return button;
  }

  toggle(line, button) {
    if (!this.shown.delete(line)) this.shown.add(line);
    button.setAttribute("aria-pressed", this.shown.has(line));
    this.show();
  }

  show() {
    const drawn = this.panel.lines.filter((line) => this.shown.has(line) && line.measures[this.measure]);
    this.chart.show(drawn.map((line) => ({ ...line, ...line.measures[this.measure] })), MEASURES[this.measure]);
  }

  read(cursor) {
    if (!cursor) {
      this.readout.textContent = "Point at a line to read it.";
      return;
    }
    const { line, place } = cursor;
    const range = line.low.length ? ` (${brief(line.low[place])} to ${brief(line.high[place])}, n = ${line.n})` : "";
    this.readout.textContent = `${line.label}, epoch ${line.epochs[place]}: ${MEASURES[this.measure]} ${brief(line.mean[place])}${range}`;
  }
}
