// Lines over epochs: nearest point under the pointer or by the arrow keys, zoom by dragging a frame.

const HEIGHT = 340;
const MARGIN = { left: 56, right: 12, top: 10, bottom: 40 };
const NEAR = 60; // pixels from which a point is read
const MOST_BANDS = 24; // lines up to which bands do not bury each other
const DASHES = { "-": null, "--": "7 4", ":": "2 3", "-.": "8 3 2 3" };
const SHAPES = {
  o: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
  s: "M-3.5 -3.5h7v7h-7Z",
  v: "M-4.5 -3.5h9L0 4.5Z",
  "^": "M-4.5 3.5h9L0 -4.5Z",
  D: "M0 -5L5 0L0 5L-5 0Z",
  "*": "M0 -5.5L1.3 -1.8L5.2 -1.7L2.1 .7L3.2 4.4L0 2.2L-3.2 4.4L-2.1 .7L-5.2 -1.7L-1.3 -1.8Z",
  P: "M-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3Z",
  X: "M-2.4 -4.8L0 -2.4L2.4 -4.8L4.8 -2.4L2.4 0L4.8 2.4L2.4 4.8L0 2.4L-2.4 4.8L-4.8 2.4L-2.4 0L-4.8 -2.4Z",
  "+": "M-4 0H4M0 -4V4",
  1: "M0 0V5M0 0L-4 -3M0 0L4 -3",
  2: "M0 0V-5M0 0L-4 3M0 0L4 3",
  3: "M0 0H-5M0 0L3 -4M0 0L3 4",
  "|": "M0 -5V5",
};
const CROSS = "M-5 -5L5 5M-5 5L5 -5";

/** The colour of a line; black is whatever text has, which is light in the dark. */
function ink(line) {
  return line.colour === "#000000" ? "currentColor" : line.colour;
}

function marker(line, x, y) {
  const shape = SHAPES[line.marker];
  return shape ? draw("path", { d: shape, transform: `translate(${x} ${y})`, fill: ink(line), stroke: ink(line) }) : null;
}

/** A line as it looks, for the legend. */
function sample(line) {
  const stroke = { stroke: ink(line), "stroke-dasharray": DASHES[line.dash], class: "curve" };
  const path = draw("path", { d: "M1 7H33", ...stroke });
  return draw("svg", { width: 34, height: 14, "aria-hidden": "true" }, path, marker(line, 17, 7));
}

class Chart {
  constructor(onpoint) {
    this.onpoint = onpoint;
    this.lines = [];
    this.title = "";
    this.logarithmic = true;
    this.seen = null; // the part zoomed into: [x domain, y domain]
    this.cursor = null; // the point read out: { line, place }
    this.svg = draw("svg", {
      height: HEIGHT,
      tabindex: 0,
      role: "application",
      onpointerdown: (event) => this.press(event),
      onpointermove: (event) => this.move(event),
      onpointerup: (event) => this.release(event),
      onpointercancel: () => this.release(null),
      ondblclick: () => this.zoom(null),
      onkeydown: (event) => this.key(event),
      onwheel: (event) => this.wheel(event),
    });
    this.element = make("div", { class: "plot" }, this.svg);
    new ResizeObserver(() => this.paint()).observe(this.element);
  }

  /** Show lines, of `epochs`, `mean`, `low`, `high` and `ends`, with what their values are. */
  show(lines, title) {
    this.lines = lines;
    this.title = title;
    this.point(null);
  }

  zoom(seen) {
    this.seen = seen;
    this.paint();
  }

  zoomBy(factor, shift = 0) {
    this.zoom([this.x.zoomed(factor, shift), this.y.zoomed(factor)]);
  }

  setLogarithmic(on) {
    this.logarithmic = on;
    this.zoom(null);
  }

  point(cursor) {
    this.cursor = cursor;
    this.onpoint(cursor);
    this.paint();
  }

  domains() {
    const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
    const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
    const all = this.lines.flatMap((line) => [...line.mean, ...line.low, ...line.high]);
    const values = this.logarithmic ? all.filter((value) => value > 0) : all;
    if (!values.length) return [[1, 2], [1, 10]];
    const epochs = this.lines.flatMap((line) => line.epochs);
    return [[least(epochs), most(epochs)], [least(values), most(values)]];
  }

  paint() {
    const width = this.element.clientWidth;
    if (!width) return;
    const [xs, ys] = this.seen || this.domains();
    this.inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
    this.x = new Scale(xs, [8, this.inner.width - 8], false);
    this.y = new Scale(ys, [this.inner.height - 8, 8], this.logarithmic);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("aria-label", `${this.title} over epochs, ${plural(this.lines.length, "line")}; arrow keys read out points`);
    const { left: x, top: y } = MARGIN;
    this.selection = draw("rect", { class: "zooming", width: 0, height: 0 });
    const lines = this.lines.flatMap((line) => this.line(line));
    const area = draw("svg", { x, y, ...this.inner }, ...this.grid(), ...lines, this.spot(), this.selection);
    const frame = draw("rect", { x, y, ...this.inner, class: "frame" });
    this.svg.replaceChildren(area, frame, ...this.labels());
  }

  grid() {
    const { width, height } = this.inner;
    const upright = this.epochs().map((value) => `M${this.x.at(value)} 0V${height}`);
    const level = this.y.ticks(7).map((value) => `M0 ${this.y.at(value)}H${width}`);
    return [draw("path", { class: "grid", d: [...upright, ...level].join("") })];
  }

  epochs() {
    return this.x.ticks(this.inner.width / 70).filter(Number.isInteger);
  }

  labels() {
    const { width, height } = this.inner;
    const middle = MARGIN.left + width / 2;
    const along = this.epochs().map((value) =>
      draw("text", { x: MARGIN.left + this.x.at(value), y: MARGIN.top + height + 16, "text-anchor": "middle" }, brief(value)));
    const up = this.y.ticks(7).map((value) =>
      draw("text", { x: MARGIN.left - 6, y: MARGIN.top + this.y.at(value) + 4, "text-anchor": "end" }, brief(value)));
    const turned = `translate(12 ${MARGIN.top + height / 2}) rotate(-90)`;
    return [
      ...along,
      ...up,
      draw("text", { x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, "epoch"),
      draw("text", { transform: turned, "text-anchor": "middle" }, this.title),
    ];
  }

  line(line) {
    const places = (values) => values.map((value, k) => [this.x.at(line.epochs[k]), this.y.at(value)]);
    const path = (points) => points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    const means = places(line.mean);
    const every = Math.max(1, Math.floor(means.length / 8));
    const stroke = { stroke: ink(line), "stroke-dasharray": DASHES[line.dash] };
    const banded = this.lines.length <= MOST_BANDS;
    const around = banded ? [...places(line.low), ...places(line.high).reverse()] : [];
    const ends = line.ends.map(([epoch, value]) =>
      draw("path", { d: CROSS, class: "curve", stroke: ink(line), transform: `translate(${this.x.at(epoch)} ${this.y.at(value)})` }));
    return [
      around.length ? draw("path", { d: `M${path(around)}Z`, class: "band", fill: ink(line) }) : null,
      draw("path", { d: `M${path(means)}`, class: "curve", ...stroke }),
      ...means.filter((_, k) => k % every === 0).map(([x, y]) => marker(line, x, y)),
      ...ends,
    ];
  }

  spot() {
    if (!this.cursor) return null;
    const { line, place } = this.cursor;
    const at = { cx: this.x.at(line.epochs[place]), cy: this.y.at(line.mean[place]) };
    return draw("circle", { ...at, r: 5, class: "cursor", stroke: ink(line) });
  }

  /** Where an event is, in pixels of the inner frame. */
  where(event) {
    const box = this.svg.getBoundingClientRect();
    return [event.clientX - box.left - MARGIN.left, event.clientY - box.top - MARGIN.top];
  }

  press(event) {
    if (event.pointerType === "touch" || event.button !== 0) return;
    this.start = this.where(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  move(event) {
    const here = this.where(event);
    if (this.start) this.select(here);
    else this.hover(here);
  }

  select([x, y]) {
    const [a, b] = this.start;
    const frame = { x: Math.min(a, x), y: Math.min(b, y), width: Math.abs(x - a), height: Math.abs(y - b) };
    for (const [name, value] of Object.entries(frame)) this.selection.setAttribute(name, value);
  }

  release(event) {
    const start = this.start;
    this.start = null;
    if (!event) return this.paint();
    const here = this.where(event);
    if (!start || Math.abs(here[0] - start[0]) < 8 || Math.abs(here[1] - start[1]) < 8) {
      return this.hover(here);
    }
    const ends = (k, scale) => [start[k], here[k]].map((pixel) => scale.valueAt(pixel)).sort((a, b) => a - b);
    return this.zoom([ends(0, this.x), ends(1, this.y)]);
  }

  hover([x, y]) {
    let nearest = null;
    let least = NEAR;
    for (const line of this.lines) {
      line.mean.forEach((value, place) => {
        const distance = Math.hypot(this.x.at(line.epochs[place]) - x, this.y.at(value) - y);
        if (distance < least) [least, nearest] = [distance, { line, place }];
      });
    }
    const before = this.cursor;
    if (before?.line !== nearest?.line || before?.place !== nearest?.place) this.point(nearest);
  }

  wheel(event) {
    if (!event.ctrlKey) return; // else the page scrolls
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8);
  }

  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const zooms = { "+": 1.5, "-": 1 / 1.5 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && moves[event.key]?.[1]) this.zoomBy(1, 0.2 * moves[event.key][1]);
    else if (moves[event.key]) this.step(...moves[event.key]);
    else if (zooms[event.key]) this.zoomBy(zooms[event.key]);
    else if (event.key === "0" || event.key === "Escape") this.zoom(null);
    else return;
    event.preventDefault();
  }

  /** Move the cursor by lines and points; the first step lands on the first line's last point. */
  step(down, along) {
    if (!this.lines.length) return;
    const count = this.lines.length;
    const at = this.cursor ? this.lines.indexOf(this.cursor.line) : 0;
    const line = this.lines[(at + down + count) % count];
    const place = this.cursor ? this.cursor.place + along : line.mean.length - 1;
    this.point({ line, place: Math.min(Math.max(place, 0), line.mean.length - 1) });
  }
}
