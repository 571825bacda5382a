/** Words for people out of words for programs. */

/** "in_process" → "In process". */
export function sentence(name: string): string {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const plurals = new Intl.PluralRules("en");
const counts = new Intl.NumberFormat();

/** "1 lead", "1,204 leads". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${counts.format(count)} ${plurals.select(count) === "one" ? one : many}`;
}

export function number(value: number): string {
  return counts.format(value);
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toUpperCase();
}

const bytes = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** "3.4 MB". */
export function fileSize(count: number): string {
  const units = ["B", "kB", "MB", "GB"];
  const step = count === 0 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${bytes.format(count / 1_000 ** step)} ${units[step]}`;
}
