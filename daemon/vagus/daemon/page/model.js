// What the page knows: intents by id, counts by stage, the node's last status.

export const STAGES = ["observed", "final", "routed", "executed", "attested", "submitted", "confirmed", "settling"];
export const ENDS = ["settled", "closed", "left", "orphaned"];
// Intents that have ended are forgotten, the oldest first, once there are so many.
const KEPT = 1000;

export const isEnded = (stage) => ENDS.includes(stage);

/** How an intent stands, in a word: its outcome once it has ended. */
export function outcome(intent) {
  if (!isEnded(intent.stage)) return intent.stage;
  if (intent.stage === "settled") return intent.status ?? "settled";
  return intent.stage === "left" && intent.status ? "missed" : intent.stage;
}

// A block's intents are seen at one time: without this their order would be chance.
const byId = (a, b) => (a.id < b.id ? 1 : -1);

export class Model {
  constructor() {
    this.intents = new Map();
    this.counts = Object.fromEntries([...STAGES, ...ENDS].map((stage) => [stage, 0]));
    this.status = null;
    this.counted = null; // the newest transition that the counts have in them; null before a status
  }

  /** Take a list of intents as /v1/intents has it. */
  load(list) {
    for (const intent of list) {
      const known = this.intents.get(intent.id);
      if (!known || known.updated_at <= intent.updated_at) this.intents.set(intent.id, { ...known, ...intent });
    }
  }

  /** Take a transition, and its key; returns the intent, or null where it was known already. */
  move(event, key) {
    if (this.counted !== null && key > this.counted) {
      if (event.from) this.counts[event.from] -= 1;
      this.counts[event.stage] += 1;
      this.counted = key;
    }
    const known = this.intents.get(event.id);
    if (known && known.updated_at >= event.at && known.stage === event.stage) return null;
    if (known && known.updated_at > event.at) return null;
    const moved = { ...known, ...event.intent, stage: event.stage, updated_at: event.at };
    // The summary is of now: what it says of a later stage is not shown before that stage comes.
    if (event.stage !== event.intent.stage && !isEnded(event.stage)) {
      moved.reason = known?.reason ?? "";
      moved.answer = known?.answer ?? null;
    }
    this.intents.delete(event.id);
    this.intents.set(event.id, moved);
    this.forget();
    return moved;
  }

  /** Take the node's status, with its counts unless transitions that they lack were counted already. */
  know(status) {
    this.status = status;
    if (this.counted !== null && status.key < this.counted) return;
    this.counts = { ...status.intents };
    this.counted = status.key;
  }

  /** Forget the intents, and to what transition they were counted: all is loaded anew. */
  clear() {
    this.intents.clear();
    this.counted = null;
  }

  /** The intents at a stage, those that came last first. */
  at(stages, limit) {
    const found = [...this.intents.values()].filter((intent) => stages.includes(intent.stage));
    return found.sort((a, b) => b.updated_at - a.updated_at || byId(a, b)).slice(0, limit);
  }

  /** The newest intents, of one stage or of all, in the order of /v1/intents. */
  newest(stage, limit) {
    const found = [...this.intents.values()].filter((intent) => !stage || intent.stage === stage);
    return found.sort((a, b) => b.seen_at - a.seen_at || byId(a, b)).slice(0, limit);
  }

  forget() {
    if (this.intents.size <= 2 * KEPT) return;
    const ended = [...this.intents.values()].filter((intent) => isEnded(intent.stage));
    ended.sort((a, b) => a.updated_at - b.updated_at);
    for (const intent of ended.slice(0, Math.max(0, ended.length - KEPT))) this.intents.delete(intent.id);
  }
}
