export { crmSchema } from "./schema.ts";
export type * from "./types.ts";
