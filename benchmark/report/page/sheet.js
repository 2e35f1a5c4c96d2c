// A table that sorts by any column, and shows the rows that hold every word of a filter.

const FEW_ROWS = 200;
const SHORT = { number: 16, word: 24 }; // letters of a cell that stays in one line
const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The number that a cell starts with, or null: `1,179 (1,170–1,190)` is 1179. */
function leading(text) {
  const found = text.replaceAll(",", "").match(/^[^\d-]{0,2}(-?\d+(\.\d+)?(e[+-]?\d+)?)/i);
  return found ? Number(found[1]) : null;
}

function compareNumbers(a, b) {
  const [x, y] = [leading(a), leading(b)];
  if (x === null || y === null) return (x === null) - (y === null); // what has none goes last
  return x - y;
}

/** A text that, where it is long, may go on in a new line where a component's parameters part. */
function breakable(text, long) {
  if (!long) return [text];
  return text.split(/(?<=\[)|(?<=,)(?!\d)/).flatMap((part, place) => (place ? [make("wbr"), part] : [part]));
}

class Sheet {
  constructor(content, title) {
    this.content = content;
    this.rows = content.cells.map((cells, place) => ({ cells, place, text: cells.join(" ").toLowerCase() }));
    this.sorted = { column: null, falling: false };
    this.limit = FEW_ROWS;
    this.wanted = [];
    this.body = make("tbody");
    this.heads = content.headings.map((heading, column) => this.head(heading, column));
    this.count = make("span", { class: "status", role: "status" });
    this.more = make("button", { type: "button", onclick: () => this.showAll() });
    const caption = make("caption", { class: "hidden" }, title);
    const table = make("table", null, caption, make("thead", null, make("tr", null, ...this.heads)), this.body);
    const frame = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
    const notes = (content.notes || []).map((note) => make("li", null, note));
    this.element = make(
      "div",
      null,
      this.rows.length > 1 ? this.controls() : null,
      frame,
      this.more,
      notes.length ? make("ul", { class: "notes" }, ...notes) : null,
    );
    this.show();
  }

  controls() {
    const input = make("input", { type: "search", oninput: () => this.filter(input.value) });
    return make("div", { class: "controls" }, make("label", null, "Filter", input), this.count);
  }

  head(heading, column) {
    const button = make("button", { type: "button", onclick: () => this.sort(column) }, heading);
    return make("th", { scope: "col", class: this.style(column), "aria-sort": "none" }, button);
  }

  isNumber(column) {
    return column >= this.content.names;
  }

  style(column) {
    return this.isNumber(column) ? "number" : "word";
  }

  filter(text) {
    this.wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.show();
  }

  /** Sort by a column; once more turns it round, and a third time restores the order as made. */
  sort(column) {
    const { column: before, falling } = this.sorted;
    if (before !== column) this.sorted = { column, falling: false };
    else this.sorted = falling ? { column: null, falling: false } : { column, falling: true };
    this.heads.forEach((head, place) => {
      const state = this.sorted.falling ? "descending" : "ascending";
      head.setAttribute("aria-sort", place === this.sorted.column ? state : "none");
    });
    this.show();
  }

  order(rows) {
    const { column, falling } = this.sorted;
    if (column === null) return rows;
    const compare = this.isNumber(column) ? compareNumbers : words.compare;
    const hasNone = (row) => this.isNumber(column) && leading(row.cells[column]) === null;
    return [...rows].sort((a, b) => {
      const way = falling && hasNone(a) === hasNone(b) ? -1 : 1;
      return way * compare(a.cells[column], b.cells[column]) || a.place - b.place;
    });
  }

  showAll() {
    this.limit = Infinity;
    this.show();
    this.element.querySelector(".scroll").focus();
  }

  show() {
    const fitting = this.rows.filter((row) => this.wanted.every((word) => row.text.includes(word)));
    const shown = this.order(fitting).slice(0, this.limit);
    this.body.replaceChildren(...shown.map((row) => this.line(row)));
    this.count.textContent = `${fitting.length} of ${plural(this.rows.length, "row")}`;
    this.more.textContent = `Show all ${plural(fitting.length, "row")}`;
    this.more.hidden = shown.length === fitting.length;
  }

  line(row) {
    const link = (this.content.links || [])[row.place];
    return make("tr", null, ...row.cells.map((text, column) => {
      const long = text.length > SHORT[this.style(column)];
      const style = `${this.style(column)} ${long ? "long" : "short"}`;
      if (column > 0) return make("td", { class: style }, ...breakable(text, long));
      return make("th", { scope: "row", class: style }, ...(link ? [make("a", { href: link }, text)] : breakable(text, long)));
    }));
  }
}
