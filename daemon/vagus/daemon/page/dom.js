// Elements without HTML: every text is set as text, so that nothing a stranger wrote is ever markup.

/** Make an element. `props` are attributes, `class`, or `on…` listeners; children are nodes or texts. */
export function h(name, props = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element with an id. */
export const at = (id) => document.getElementById(id);

/** Set an element's text, only where it differs: screen readers hear no change that is none. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Characters that are not seen, or that turn the reading order of those beside them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffd\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/** A stranger's text: as text, in its own direction, with what would not be seen made visible. */
export function strange(text, name = "span") {
  const element = h(name, { class: "strange", dir: "auto" });
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    element.append(text.slice(from, found.index), h("span", { class: "mark" }, `U+${code}`));
    from = found.index + found[0].length;
  }
  element.append(text.slice(from));
  return element;
}

/** Give a parent these children in this order, moving no more than has to be moved. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

/** Do what moves elements; the one that had the focus has it afterwards too. */
export function keepFocus(act) {
  const focused = document.activeElement;
  act();
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}
