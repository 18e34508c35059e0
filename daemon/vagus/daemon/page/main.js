// The page's life: load, listen, draw what has changed, follow the address.

import { drawBoard, makeBoard, SHOWN } from "./board.js";
import { at, h, keepFocus, say, strange } from "./dom.js";
import { brief, moment } from "./format.js";
import { ENDS, isEnded, Model, outcome, STAGES } from "./model.js";
import { drawPanels } from "./panels.js";
import { drawStory, leaveStory, storyId } from "./story.js";
import { get, listen } from "./stream.js";
import { drawTable } from "./table.js";

const FIRST = 25;
const STEP = 50;
const MOST = 500;
// ms between two drawings while much happens, and between two sentences of the live region.
const FRAME = 200;
const SPEAK = 5000;

const model = new Model();
let limit = FIRST;
let paused = false;
let wanted = false;
let news = [];
// Seconds: when the node was last heard, and that time again while it does not answer.
let heard = null;
let silent = null;

// Drawing

function draw() {
  wanted = true;
}

function drawNow() {
  const now = Date.now() / 1000;
  if (storyId() === null) {
    keepFocus(() => {
      drawBoard(model, now);
      drawTable(model, at("stage").value, limit, now);
    });
    at("more").hidden = limit >= MOST || model.newest(at("stage").value, limit + 1).length <= limit;
  }
  if (model.status?.chains) drawPanels(model.status, silent);
}

setInterval(() => {
  if (!wanted || paused || document.hidden) return;
  wanted = false;
  requestAnimationFrame(drawNow);
}, FRAME);
setInterval(draw, 1000); // ages grow

setInterval(() => {
  if (!news.length || paused) return;
  const last = news.at(-1);
  const others = news.length > 1 ? `, and ${news.length - 1} more` : "";
  say(at("said"), `Intent ${brief(last.id)} ended: ${outcome(last)}${others}.`);
  news = [];
}, SPEAK);

// What the node says

async function load() {
  const lists = [`/v1/intents?limit=${Math.max(limit, 100)}`, ...[...STAGES, ...ENDS].map((stage) => `/v1/intents?limit=${2 * SHOWN}&stage=${stage}`)];
  try {
    const answers = await Promise.all(lists.map(get));
    for (const { intents } of answers) model.load(intents);
  } catch (error) {
    fault(error.message);
  }
  draw();
}

// An event has the beginning of an answer alone: the story that is shown is read again a moment after it
// moved.
let again = null;

function readStoryAgain(id) {
  clearTimeout(again);
  again = setTimeout(() => storyId() === id && drawStory(id, false), 250);
}

function fault(reason) {
  say(at("ready"), "Not ready");
  at("ready").className = "pill not-ready";
  at("why").replaceChildren(strange(reason));
}

listen({
  hello: load,
  reset: () => {
    model.clear();
    load();
  },
  transition: (event, key) => {
    const moved = model.move(event, key);
    if (!moved) return;
    if (isEnded(moved.stage)) news.push(moved);
    if (storyId() === event.id) readStoryAgain(event.id);
    draw();
  },
  status: (status) => {
    if (status.error) return fault(status.error);
    model.know(status);
    const faults = Object.entries(status.faults);
    if (faults.length) {
      const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
      fault(`${faults[0][0]}: ${faults[0][1]}${more}`);
    } else {
      say(at("ready"), "Ready");
      at("ready").className = "pill ready";
      at("why").replaceChildren();
    }
    draw();
  },
  state: (state) => {
    const live = state === "live";
    say(at("stream"), live ? "Live" : "The node does not answer, trying again");
    at("stream").className = live ? "pill ready" : "pill halted";
    if (live) heard = Date.now() / 1000;
    if (live !== (silent === null)) draw();
    silent = live ? null : heard;
    if (live || heard === null) return;
    say(at("ready"), "Unknown");
    at("ready").className = "pill quiet";
    at("why").replaceChildren(`no answer since ${moment(heard)}`);
  },
});

// What the reader does

function route() {
  const [, id] = location.hash.match(/^#\/intent\/(0x[0-9a-f]{64})$/) ?? [];
  at("overview").hidden = Boolean(id);
  at("story").hidden = !id;
  document.title = id ? `${brief(id)} – vagus` : "vagus";
  if (id) {
    scrollTo(0, 0);
    drawStory(id, true);
  } else if (storyId() !== null) {
    const from = storyId();
    leaveStory();
    drawNow();
    document.querySelector(`#board a[href="#/intent/${from}"], #rows a[href="#/intent/${from}"]`)?.focus();
  }
}

at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = at("wanted").value.trim().toLowerCase();
  const fits = /^0x[0-9a-f]{64}$/.test(id);
  at("find-said").hidden = fits;
  say(at("find-said"), fits ? "" : "An intent's id is 0x and 64 hex digits.");
  if (fits) location.hash = `#/intent/${id}`;
});
at("stage").append(...[...STAGES, ...ENDS].map((stage) => h("option", { value: stage }, stage)));
at("stage").addEventListener("change", async () => {
  limit = FIRST;
  draw();
  const stage = at("stage").value;
  if (stage) model.load((await get(`/v1/intents?limit=${MOST}&stage=${stage}`)).intents);
  draw();
});
at("more").addEventListener("click", async () => {
  limit = Math.min(MOST, limit + STEP);
  const stage = at("stage").value;
  // One step more than is shown: only then is it known whether there is more.
  const ahead = Math.min(MOST, limit + STEP);
  model.load((await get(`/v1/intents?limit=${ahead}${stage ? `&stage=${stage}` : ""}`)).intents);
  drawNow();
});
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  draw();
});
for (const link of document.querySelectorAll("a.skip")) {
  // The address says which intent is shown: a skip must not change it.
  link.addEventListener("click", (event) => {
    event.preventDefault();
    at(link.getAttribute("href").slice(1)).focus();
  });
}
addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && storyId() !== null) location.hash = "#/";
});

makeBoard();
route();
