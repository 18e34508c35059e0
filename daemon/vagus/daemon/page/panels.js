// Beside the intents: the node's chains with their balances, and its models.

import { at, h, strange } from "./dom.js";
import { amount, count, ends, moment, span } from "./format.js";

let drawn = "";

/** Draw the node's last status; `silent` is since when (seconds) the node does not answer, or null. */
export function drawPanels(status, silent) {
  const key = JSON.stringify([status.chains, status.backends, silent]);
  if (key === drawn) return;
  drawn = key;
  at("chains").replaceChildren(...status.chains.map((each) => chain(each, silent)));
  at("models").replaceChildren(...status.backends.map((each) => backend(each, silent)));
}

function chain(each, silent) {
  const behind = each.final && each.read !== null ? each.final.height - each.read : null;
  const broken = each.endpoints.filter((endpoint) => endpoint.fault);
  const facts = [
    ["Newest block", each.latest ? count(each.latest.height) : "–"],
    ["Final block", each.final ? `${count(each.final.height)}, ${span(each.finality_seconds)} old` : "–"],
    ["Read to", each.read === null ? "–" : behind > 0 ? `${count(each.read)}, ${count(behind)} behind` : "the final block"],
    ["Endpoints", `${each.quorum.needed} of ${each.quorum.of} must agree`],
    ["Balance", balance(each)],
    ["Enough for", each.account.runway === null ? "–" : `${count(each.account.runway)} transactions`],
  ];
  if (each.committee) {
    const { threshold, signers, paused } = each.committee;
    facts.push(["Committee", `${threshold} of ${signers} sign${paused ? ", hub paused" : ""}`]);
  }
  return h(
    "div",
    { class: "panel" },
    h("h3", {}, h("span", {}, each.chain), state(each.halted ? "halted" : each.fault ? "not ready" : "ready", silent)),
    old(silent),
    each.fault ? h("p", { class: "fault" }, strange(each.halted ?? each.fault)) : null,
    h("p", { class: "mono muted", title: each.hub }, `hub ${ends(each.hub.slice(each.hub.lastIndexOf(":") + 1))}`),
    list(facts),
    ...broken.map((endpoint) => h("p", { class: "fault" }, strange(endpoint.name), ": ", strange(endpoint.fault))),
  );
}

function balance(each) {
  if (each.account.balance === null) return "–";
  return h("span", { title: `${each.account.balance} in the smallest unit` }, amount(each.account.balance, each.chain));
}

function backend(each, silent) {
  const models = each.models.map((model) =>
    h(
      "li",
      {},
      strange(model.model),
      model.quantization ? h("span", { class: "muted" }, " ", strange(model.quantization)) : null,
      h("br"),
      h("span", { class: "mono muted", title: model.digest }, ends(model.digest)),
      h("span", { class: "muted" }, price(model.price)),
    ),
  );
  return h(
    "div",
    { class: "panel" },
    h("h3", {}, strange(each.backend), state(each.fault ? "not ready" : "ready", silent)),
    old(silent),
    each.fault ? h("p", { class: "fault" }, strange(each.fault)) : null,
    h("p", { class: "muted" }, strange(`${each.engine}, ${each.region}, ${each.network}`)),
    h("ul", { class: "plain" }, models),
  );
}

const price = (known) => {
  if (known === null) return " price not known now";
  const { input, output } = known;
  return Number(input) || Number(output) ? ` ${input} read, ${output} written, per million tokens` : " free";
};

const state = (word, silent) =>
  silent === null
    ? h("span", { class: `pill ${word.replace(" ", "-")}` }, word)
    : h("span", { class: "pill quiet" }, "unknown");

const old = (silent) => (silent === null ? null : h("p", { class: "muted" }, `as it was at ${moment(silent)}`));

const list = (facts) => h("dl", {}, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
