/** Which records a field that refers to one offers. Pure. */

/** Fields that say whether a record can be chosen, whichever entity has them. */
interface Choosable {
  readonly category?: string;
  readonly type?: string;
  readonly status?: string;
  readonly is_archived?: boolean;
  readonly is_active?: boolean;
}

/** What the statuses of an entity are called among all; a field that names others says so itself. */
const CATEGORIES: Readonly<Record<string, string>> = { leads: "lead", contacts: "lead", opportunities: "opportunity" };
const CATEGORIES_OF_FIELDS: Readonly<Record<string, string>> = {
  appointment_status_id: "appointment",
  appointment_result_id: "appointment_result",
  result_option_id: "appointment_result",
};

/**
 * Whether a field of an entity offers the record with these fields. Statuses are those of the category that the field or else the
 * entity has; a reason for a loss is one that means a loss.
 */
export function isChoosable(entity: string, field: string, fields: object): boolean {
  const { category, type, status, is_archived, is_active } = fields as Choosable;
  const wanted = CATEGORIES_OF_FIELDS[field] ?? CATEGORIES[entity];
  return (
    (category === undefined || wanted === undefined || category === wanted) &&
    (field !== "lost_reason_id" || type === "lost") &&
    status !== "deleted" &&
    is_archived !== true &&
    is_active !== false
  );
}
