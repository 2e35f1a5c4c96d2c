// Confusion matrices: one at a time, of the setting chosen.

const STRONGEST = 0.55; // of the shade, so that numbers stay readable on it

class Matrices {
  constructor(matrices) {
    this.matrices = matrices;
    this.place = make("div");
    const named = matrices.map((matrix) => matrix.label);
    const list = matrices.length > 1 ? choice("Setting", named, (k) => this.show(k)) : null;
    this.element = make("details", { ontoggle: () => this.open() }, make("summary", null, "Confusion matrices"),
      make("div", { class: "controls" }, list), this.place);
  }

  open() {
    if (this.element.open && !this.place.hasChildNodes()) this.show(0);
  }

  show(place) {
    const { label, n, classes, counts, pairs } = this.matrices[place];
    const what = counts ? matrixTable(label, counts) : pairsTable(label, pairs);
    const rows = counts
      ? "Rows are true classes, columns predictions"
      : `The most frequent confusions of ${classes} classes`;
    const text = `${label}: ${rows}; counts of test images${n > 1 ? `, means over ${n} trials` : ""}.`;
    this.place.replaceChildren(make("p", { class: "status" }, text), what);
  }
}

function matrixTable(label, counts) {
  const heads = counts.map((_, k) => make("th", { scope: "col" }, String(k)));
  const lines = counts.map((row, k) => {
    const whole = row.reduce((a, b) => a + b, 0) || 1;
    return make("tr", null, make("th", { scope: "row" }, String(k)), ...row.map((count) => shaded(count, count / whole)));
  });
  const corner = make("td", null, "true \\ predicted");
  const caption = make("caption", { class: "hidden" }, `Confusion matrix of ${label}`);
  const table = make("table", { class: "matrix" }, caption, make("thead", null, make("tr", null, corner, ...heads)), make("tbody", null, ...lines));
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Confusion matrix of ${label}` }, table);
}

function shaded(count, share) {
  const cell = make("td", null, String(count));
  if (count) cell.style.backgroundColor = `rgb(0 114 178 / ${(STRONGEST * Math.sqrt(share)).toFixed(3)})`;
  return cell;
}

function pairsTable(label, pairs) {
  const cells = pairs.map((pair) => pair.map(String));
  const content = { headings: ["true class", "predicted", "images"], cells, names: 0 };
  return new Sheet(content, `Confusions of ${label}`).element;
}
