// Makes elements, of text and attributes only. Nothing of the page is ever parsed as HTML, so no name can be markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Properties that are functions become listeners; true is an empty attribute; null and false are none. */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function drawn(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** A button that does something. */
export function button(text, onClick, properties = {}) {
  return element("button", { type: "button", click: onClick, ...properties }, text);
}

/** A row of buttons of which one is pressed. `choose` is called with the value of another one. */
export function choices(label, values, chosen, choose) {
  const buttons = values.map(({ value, text }) => button(text, () => choose(value), { "aria-pressed": String(value === chosen) }));
  return element("div", { class: "choices", role: "group", "aria-label": label }, ...buttons);
}

function fill(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  // `append` takes strings as text.
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
