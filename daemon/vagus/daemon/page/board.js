// The board: a column a stage, a card an intent, and cards that walk from column to column.

import { arrange, at, h, say } from "./dom.js";
import { brief, chainOf, chainShort, count, span } from "./format.js";
import { ENDS, outcome, STAGES } from "./model.js";

export const SHOWN = 5;
// With more moves than this in one drawing nobody could follow them.
const FOLLOWED = 24;
const MEANING = {
  observed: "seen, its block is not final yet",
  final: "read from the hub's state at finality",
  routed: "an agent and a model are chosen",
  executed: "the outcome is fixed",
  attested: "signed",
  submitted: "the delivery is on its way",
  confirmed: "delivered at finality",
  settling: "the settlement is on its way",
  ended: "settled, or ended in another way",
};

const columns = new Map();
const cards = new Map();
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function makeBoard() {
  const made = [...STAGES, "ended"].map((stage) => {
    const parts = {
      number: h("span", { class: "count" }, "0"),
      oldest: h("p", { class: "oldest muted" }),
      list: h("ul"),
      more: h("p", { class: "more muted" }),
    };
    columns.set(stage, parts);
    return h(
      "li",
      { class: `stage ${stage}` },
      h("h3", { title: MEANING[stage] }, h("span", {}, stage), " ", parts.number),
      parts.oldest,
      parts.list,
      parts.more,
    );
  });
  at("board").append(...made);
}

export function drawBoard(model, now) {
  const before = new Map([...cards].map(([id, card]) => [id, card.element.getBoundingClientRect()]));
  const seen = new Set();
  for (const [stage, parts] of columns) {
    const stages = stage === "ended" ? ENDS : [stage];
    const total = stages.reduce((sum, each) => sum + (model.counts[each] ?? 0), 0);
    const shown = model.at(stages, SHOWN);
    const elements = shown.map((intent) => {
      seen.add(intent.id);
      return card(intent, now);
    });
    arrange(parts.list, elements);
    say(parts.number, count(total));
    say(parts.more, total > shown.length && shown.length ? `and ${count(total - shown.length)} more` : "");
    const waiting = model.status?.waiting?.[stage];
    say(parts.oldest, waiting > 60 && total ? `longest ${span(waiting)}` : "");
  }
  for (const id of cards.keys()) if (!seen.has(id)) cards.delete(id);
  walk(before);
  const flying = STAGES.reduce((sum, stage) => sum + (model.counts[stage] ?? 0), 0);
  const ended = ENDS.reduce((sum, stage) => sum + (model.counts[stage] ?? 0), 0);
  say(at("board-sum"), `${count(flying)} under way, ${count(ended)} ended`);
}

function card(intent, now) {
  let made = cards.get(intent.id);
  if (!made) {
    made = { age: h("span", { class: "age" }), tag: h("span", { class: "tag" }) };
    const way = `${chainShort(chainOf(intent.origin))} → ${chainShort(chainOf(intent.dest))}`;
    made.element = h(
      "li",
      {},
      h(
        "a",
        { class: "card", href: `#/intent/${intent.id}` },
        h("span", { class: "mono" }, brief(intent.id)),
        h("span", { class: "way" }, way),
        made.tag,
        made.age,
      ),
    );
    cards.set(intent.id, made);
  }
  const word = outcome(intent);
  say(made.tag, word === intent.stage ? "" : word);
  made.tag.className = `tag ${word}`;
  say(made.age, span(Math.max(0, now - intent.updated_at)));
  return made.element;
}

/** Let cards glide from where they were to where they are. */
function walk(before) {
  if (still.matches) return;
  const moved = [...cards].filter(([id, { element }]) => {
    const from = before.get(id);
    if (!from) return true;
    const to = element.getBoundingClientRect();
    return Math.abs(from.left - to.left) + Math.abs(from.top - to.top) > 1;
  });
  if (moved.length > FOLLOWED) return;
  for (const [id, { element }] of moved) {
    const from = before.get(id);
    const to = element.getBoundingClientRect();
    const start = from
      ? { transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)` }
      : { opacity: 0, transform: "translateY(-6px)" };
    element.animate([start, { opacity: 1, transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.7,.2,1)" });
  }
}
