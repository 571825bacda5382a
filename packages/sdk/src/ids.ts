/** Identifiers (spec §1): UUIDs in lower-case hyphenated text, compared as text. */

/** The lowest and the highest id: bounds of a whole id range. */
export const ID_MIN = "00000000-0000-0000-0000-000000000000";
export const ID_MAX = "ffffffff-ffff-ffff-ffff-ffffffffffff";
/** Bytes of randomness in an id. */
export const ID_RANDOM_BYTES = 10;
/** Namespace of natural-key record ids (spec ID-3). */
const NATURAL_KEY_NAMESPACE = "125458fa-970c-532b-8e9b-0f7432d59cfd";
const HYPHEN = 0x2d;
const DIGIT_0 = 0x30;
const LETTER_A = 0x61;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether `text` is an id in the form of the wire. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/** Whether `text` names a scope: `workspace`, `team:<uuid>` or `owner:<uuid>` (spec ID-4). */
export function isScopeId(text: string): boolean {
  return text === "workspace" || (/^(team|owner):/.test(text) && isId(text.slice(text.indexOf(":") + 1)));
}

/** The UUIDv7 of a moment (milliseconds since the Unix epoch) and 10 random bytes; the caller brings both. */
export function idV7(nowMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  let rest = nowMs;
  for (let index = 5; index >= 0; index--) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes.set(random.subarray(0, ID_RANDOM_BYTES), 6);
  return uuidText(bytes, 7);
}

/**
 * The id of a record with a natural key (spec ID-3): two devices that create it offline converge on one row.
 *
 * `key`: the values of the key's fields joined by U+0000. Asynchronous because browsers hash no other way.
 */
export async function naturalId(workspace: string, entity: string, key: string): Promise<string> {
  const name = new TextEncoder().encode(`${workspace}\u0000${entity}\u0000${key}`);
  const namespace = idBytes(NATURAL_KEY_NAMESPACE);
  const input = new Uint8Array(namespace.length + name.length);
  input.set(namespace);
  input.set(name, namespace.length);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", input));
  return uuidText(hash.slice(0, 16), 5);
}

/** The 16 bytes of an id. */
export function idBytes(id: string): Uint8Array {
  const bytes = new Uint8Array(16);
  let at = 0;
  // Character by character: a download asks for those of each of its records.
  for (let index = 0; index < id.length; index++) {
    const code = id.charCodeAt(index);
    if (code !== HYPHEN) {
      bytes[at >> 1] = (bytes[at >> 1] ?? 0) * 16 + code - (code < LETTER_A ? DIGIT_0 : LETTER_A - 10);
      at += 1;
    }
  }
  return bytes;
}

function uuidText(bytes: Uint8Array, version: number): string {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const cuts = [0, 8, 12, 16, 20, 32];
  return cuts
    .slice(1)
    .map((end, index) => digits.slice(cuts[index], end))
    .join("-");
}
