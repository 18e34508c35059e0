// The node's events: with EventSource, which comes back by itself, and once more where it gives up.

const SILENCE = 12_000; // ms without a word from a node that speaks every two seconds
const LONGEST = 10_000;

/**
 * Listen for as long as the page lives. `on` has hello(), reset(), transition(event, key), status(value)
 * and state("live" | "waiting").
 */
export function listen(on) {
  let source = null;
  let last = null;
  let pause = 500;
  let heard = performance.now();

  function open() {
    source = new EventSource(last === null ? "/v1/events" : `/v1/events?after=${last}`);
    heard = performance.now();
    const take = (kind, act) =>
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        heard = performance.now();
        pause = 500;
        on.state("live");
        act(JSON.parse(event.data), Number(event.lastEventId));
      });
    take("hello", () => on.hello());
    take("reset", () => on.reset());
    take("transition", (event, key) => on.transition(event, key));
    take("status", (status) => on.status(status));
    source.onerror = () => {
      on.state("waiting");
      if (source.readyState === EventSource.CLOSED) again();
    };
  }

  function again() {
    source.close();
    source = null;
    setTimeout(open, pause);
    pause = Math.min(pause * 2, LONGEST);
  }

  setInterval(() => {
    if (source && performance.now() - heard > SILENCE) {
      on.state("waiting");
      again();
    }
  }, 1000);
  open();
}

/** The JSON at a path; an Error in the node's words where it says no. */
export async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error ?? `the node answers ${answer.status}`);
  return value;
}
