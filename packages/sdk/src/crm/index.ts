import { formats } from "../schema/formats.ts";
import { crmSchema } from "./schema.ts";

/** The default CRM schema with the checks of its formats: `Client.open<CrmEntities>({ ...crm, … })`. */
export const crm = { schema: crmSchema, formats } as const;

export type * from "./types.ts";
export { crmSchema };
