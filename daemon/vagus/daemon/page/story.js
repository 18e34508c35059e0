// One intent's whole story: when it came where, what was asked and answered, who is paid, the proof.

import { at, h, strange } from "./dom.js";
import { amount, bytesOf, chainOf, dump, moment, span, textOf } from "./format.js";
import { outcome } from "./model.js";
import { get } from "./stream.js";

let shown = null;
let asked = 0;

/** The id of the intent that is shown, or null. */
export const storyId = () => shown;

/** Show an intent; `now` true where the reader has just come to it. */
export async function drawStory(id, arrived) {
  shown = id;
  const turn = ++asked;
  let intent;
  try {
    intent = await get(`/v1/intents/${id}`);
  } catch (error) {
    intent = { error };
  }
  if (turn !== asked || shown !== id) return;
  const kept = [...at("story").querySelectorAll("[aria-pressed=true]")].map((each) => each.dataset.of);
  const open = document.activeElement?.dataset?.of;
  at("story").replaceChildren(...(intent.error ? missing(id, intent.error) : whole(intent)));
  for (const of of kept) at("story").querySelector(`[data-of="${of}"]`)?.click();
  if (arrived) at("story-title").focus({ preventScroll: true });
  else if (open) at("story").querySelector(`[data-of="${open}"]`)?.focus({ preventScroll: true });
}

export function leaveStory() {
  shown = null;
  asked++;
  at("story").replaceChildren();
}

const title = (text) => h("h1", { id: "story-title", tabindex: "-1" }, text);
const back = () => h("p", {}, h("a", { href: "#/" }, "← All intents"));

function missing(id, error) {
  return [back(), title("This intent cannot be shown"), h("p", {}, strange(error.message)), h("p", { class: "mono id" }, strange(id))];
}

function whole(intent) {
  const chain = chainOf(intent.origin);
  return [
    back(),
    h("div", { class: "title" }, title("Intent"), h("span", { class: `tag big ${outcome(intent)}` }, outcome(intent))),
    h("p", { class: "mono id" }, intent.id),
    intent.reason ? h("p", { class: "fault" }, strange(intent.reason)) : null,
    h("h2", {}, "What happened"),
    timeline(intent),
    h(
      "div",
      { class: "two" },
      words("Question", "payload", intent.payload),
      words("Answer", "output", intent.output_bytes, intent.callback_failed),
    ),
    h("h2", {}, "Facts"),
    facts([
      ["Asked on", intent.origin],
      ["Answered to", intent.dest ?? `${intent.dest_hub} (no hub of this network)`],
      ["Agent", intent.agent ?? `${intent.agent_id} (not served here)`],
      ["Backend", intent.backend ? strange(intent.backend) : "–"],
      ["Requester", intent.requester],
      ["Deadline", moment(intent.deadline)],
      ["Fee", `${amount(intent.fee, chain)} of at most ${amount(intent.max_fee, chain)}`],
      ["Request", intent.request_tx || "–"],
      ["Delivery", intent.deliver_tx ?? "–"],
      ["Settlement", intent.settle_tx ?? "–"],
      ["Output hash", intent.output_hash ?? "–"],
      [
        "Evidence",
        intent.evidence_hash
          ? h("a", { href: `/v1/evidence/${intent.evidence_hash}` }, intent.evidence_hash)
          : "–",
      ],
    ]),
  ].filter(Boolean);
}

function timeline(intent) {
  const lines = intent.history;
  const steps = lines.map((line, index) => (index ? line.at - lines[index - 1].at : 0));
  const total = lines.length ? lines.at(-1).at - lines[0].at : 0;
  const part = (seconds) => Math.min(1, Math.max(0, seconds / (total || 1))).toFixed(4);
  const items = lines.map((line, index) => {
    const bar = h("span", { class: "bar" });
    bar.style.setProperty("--from", part(line.at - steps[index] - lines[0].at));
    bar.style.setProperty("--part", part(steps[index]));
    return h(
      "li",
      {},
      h("span", { class: "name" }, line.stage),
      h("span", { class: "num" }, index ? `after ${span(steps[index])}` : moment(line.at)),
      h("span", { class: "lane", "aria-hidden": "true" }, bar),
      line.note ? strange(line.note) : null,
    );
  });
  return h("div", {}, h("ol", { class: "timeline" }, items), h("p", { class: "muted" }, `${span(total)} in all`));
}

/** A stranger's bytes: as text where they are text, and as they are. */
function words(name, of, hex, callbackFailed) {
  const bytes = bytesOf(hex);
  const text = textOf(bytes);
  const body = h("pre", { tabindex: "0", role: "group", "aria-label": `${name}, in full` });
  const draw = (raw) => body.replaceChildren(raw || text === null ? dump(bytes) : strange(text));
  const toggle = h(
    "button",
    {
      type: "button",
      "data-of": of,
      "aria-pressed": "false",
      onclick: () => {
        const raw = toggle.getAttribute("aria-pressed") !== "true";
        toggle.setAttribute("aria-pressed", String(raw));
        draw(raw);
      },
    },
    "Show bytes",
  );
  draw(false);
  const about = bytes.length ? `${bytes.length} bytes${text === null ? ", no UTF-8 text" : ""}` : "none";
  return h(
    "section",
    { "aria-label": name },
    h("div", { class: "title" }, h("h2", {}, name), bytes.length && text !== null ? toggle : null),
    h("p", { class: "muted" }, about),
    bytes.length ? body : null,
    callbackFailed ? h("p", { class: "fault" }, "The consumer's callback failed; the answer is stored in the hub.") : null,
  );
}

const facts = (pairs) =>
  h("dl", { class: "facts" }, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "mono" }, value)]));
