// From values to places on paper and back, and the values that an axis names.

const LIMIT = 1e12; // how far one may zoom out

/** A scale from a domain to a range of pixels; logarithmic ones clamp what is not positive. */
class Scale {
  constructor(domain, range, logarithmic) {
    this.logarithmic = logarithmic;
    this.range = range;
    this.ends = domain.map((value) => this.forth(value));
    if (this.ends[0] === this.ends[1]) this.ends = [this.ends[0] - 0.5, this.ends[1] + 0.5];
  }

  forth(value) {
    const within = Math.min(Math.max(value, this.logarithmic ? 1 / LIMIT : -LIMIT), LIMIT);
    return this.logarithmic ? Math.log10(within) : within;
  }

  back(value) {
    return this.logarithmic ? 10 ** value : value;
  }

  at(value) {
    const [from, to] = this.ends;
    const share = (this.forth(value) - from) / (to - from);
    return this.range[0] + share * (this.range[1] - this.range[0]);
  }

  valueAt(pixel) {
    const share = (pixel - this.range[0]) / (this.range[1] - this.range[0]);
    return this.back(this.ends[0] + share * (this.ends[1] - this.ends[0]));
  }

  /** The domain seen when the middle part, or for factors below 1 more, is shown. */
  zoomed(factor, shift = 0) {
    const [from, to] = this.ends;
    const middle = (from + to) / 2 + shift * (to - from);
    const half = (to - from) / 2 / factor;
    return [this.back(middle - half), this.back(middle + half)];
  }

  ticks(most) {
    const [low, high] = this.ends.map((end) => this.back(end));
    if (this.logarithmic) {
      const found = decades(low, high).filter((value) => value >= low && value <= high);
      if (found.length >= 3) return thinned(found, most);
    }
    return evenly(low, high, most);
  }
}

function decades(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    found.push(...[1, 2, 5].map((digit) => digit * 10 ** power));
  }
  return found;
}

function thinned(values, most) {
  const step = Math.ceil(values.length / most);
  return values.filter((_, place) => place % step === 0);
}

function evenly(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
  const found = [];
  const first = Math.ceil(low / step);
  for (let k = 0; k <= most && (first + k) * step <= high; k += 1) found.push((first + k) * step);
  return found;
}

function brief(value) {
  return String(Number(value.toPrecision(4)));
}
