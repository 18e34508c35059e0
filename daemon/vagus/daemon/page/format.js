// Numbers, times, ids and amounts as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** 12,345. */
export const count = (number) => whole.format(number);

/** Seconds: 0.03 s, 4.2 s, 3 min, 5 h, 2 d. */
export function span(seconds) {
  if (seconds < 0) return "0 s";
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A time in seconds, by the reader's clock. */
export const moment = (at) => clock.format(new Date(at * 1000));

/** 0x1234abcd… of an id or hash. */
export const brief = (id) => (id.length > 12 ? `${id.slice(0, 10)}…` : id);

/** 0x1234…abcd of an address or a long hash. */
export const ends = (text) => (text.length > 20 ? `${text.slice(0, 8)}…${text.slice(-6)}` : text);

/** The chain of a CAIP-10 account: eip155:1:0x… is eip155:1. */
export const chainOf = (account) => (account ? account.slice(0, account.lastIndexOf(":")) : null);

/** A chain without its namespace where that is EVM's, which most are: 31337. */
export const chainShort = (chain) => (chain ? chain.replace(/^eip155:/, "") : "elsewhere");

/** An amount of a chain's smallest unit: in coins where the unit is wei, else as it is. */
export function amount(text, chain) {
  if (text === null || text === undefined) return "–";
  if (!chain?.startsWith("eip155:")) return `${text} units`;
  const digits = text.padStart(19, "0");
  const before = digits.slice(0, -18).replace(/\B(?=(\d{3})+$)/g, ",");
  const after = digits.slice(-18).replace(/0+$/, "");
  if (text === "0") return "0";
  if (before === "0" && /^0{8}/.test(after)) return `${text.replace(/\B(?=(\d{3})+$)/g, ",")} wei`;
  const shown = before === "0" ? after.slice(0, 10) : after.slice(0, 4);
  const kept = shown.replace(/0+$/, "");
  return `${before}${kept ? `.${kept}` : ""} coins`;
}

/** Bytes of 0x-hex. */
export function bytesOf(hex) {
  const bytes = new Uint8Array((hex.length - 2) / 2);
  for (let index = 0; index < bytes.length; index++) bytes[index] = parseInt(hex.substr(2 + index * 2, 2), 16);
  return bytes;
}

/** UTF-8 text, or null for bytes that are none. */
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** A dump in lines of 16: offset, bytes, what of it is ASCII. */
export function dump(bytes) {
  const lines = [];
  for (let from = 0; from < bytes.length; from += 16) {
    const part = [...bytes.slice(from, from + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${from.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}
