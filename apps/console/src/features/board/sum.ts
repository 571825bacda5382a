import { amount } from "../../format/value.ts";
import type { LeadRow } from "../leads/rows.ts";

/** What the leads of a column are worth together, by currency; the largest first. */
export function columnSum(rows: readonly LeadRow[]): string {
  const sums = new Map<string, number>();
  for (const { lead } of rows) {
    const { estimated_value, currency } = lead.fields;
    if (estimated_value !== undefined && currency !== undefined) {
      sums.set(currency, (sums.get(currency) ?? 0) + Number(estimated_value));
    }
  }
  return [...sums]
    .sort(([, a], [, b]) => b - a)
    .map(([currency, sum]) => amount(String(Math.round(sum)), currency))
    .join(" + ");
}
