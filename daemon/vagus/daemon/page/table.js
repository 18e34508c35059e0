// The table of intents: the same as the board, for those who read or search.

import { arrange, at, h, say, strange } from "./dom.js";
import { brief, chainOf, chainShort, moment, span } from "./format.js";
import { outcome } from "./model.js";

const rows = new Map();
// Said aloud where a narrow window shows rows as cards, which are no table to the browser.
const CELL = { role: "cell" };

export function drawTable(model, stage, limit, now) {
  const shown = model.newest(stage, limit);
  const wanted = new Set(shown.map((intent) => intent.id));
  for (const id of rows.keys()) if (!wanted.has(id)) rows.delete(id);
  arrange(at("rows"), shown.map((intent) => row(intent, now)));
  at("empty").hidden = shown.length > 0 || Boolean(stage) || model.status === null;
}

function row(intent, now) {
  let made = rows.get(intent.id);
  if (!made) {
    made = {
      stage: h("span"),
      said: h("td", { class: "said", ...CELL }),
      age: h("time", { datetime: new Date(intent.seen_at * 1000).toISOString(), title: moment(intent.seen_at) }),
    };
    const to = intent.dest ? chainShort(chainOf(intent.dest)) : "elsewhere";
    made.element = h(
      "tr",
      { role: "row" },
      h("th", { scope: "row", role: "rowheader" }, h("a", { class: "mono", href: `#/intent/${intent.id}` }, brief(intent.id))),
      h("td", CELL, `${chainShort(chainOf(intent.origin))} → ${to}`),
      h("td", CELL, intent.agent ?? "unknown"),
      h("td", CELL, made.stage),
      made.said,
      h("td", { class: "num", ...CELL }, made.age),
    );
    rows.set(intent.id, made);
  }
  const word = outcome(intent);
  say(made.stage, word);
  made.stage.className = `tag ${word}`;
  const text = intent.answer ?? intent.reason ?? "";
  if (made.text !== text) {
    made.text = text;
    made.said.replaceChildren(strange(text.replace(/\s+/g, " ")));
  }
  say(made.age, span(Math.max(0, now - intent.seen_at)));
  return made.element;
}
