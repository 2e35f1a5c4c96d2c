"use strict";

// Elements are built from text alone: what a name holds is never read as markup.

/** An element with attributes, handlers (`onclick`) and children, which are elements or text. */
function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

const DRAWING = document.getElementById("drawing").content.firstElementChild.namespaceURI;

/** The same of a drawing. */
function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(DRAWING, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

let made = 0;

/** An id for an element that another refers to. */
function newId() {
  made += 1;
  return `part-${made}`;
}

/** A list to choose from; `onchange` is told the place of what was chosen. */
function choice(title, options, onchange) {
  const entries = options.map((text, place) => make("option", { value: place }, text));
  const list = make("select", { onchange: () => onchange(Number(list.value)) }, ...entries);
  return make("label", null, title, list);
}

function plural(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
