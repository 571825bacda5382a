/** What the server will decide, for programs that want to show it before. The server decides; this is its twin. */

export { canonicalCreate, canonicalUpdate, type Invalid } from "../schema/canonical.ts";
export { type Entity, type Field, type Group, readSchema, type Schema, type Strategy } from "../schema/schema.ts";
export { authoredAt } from "./clock.ts";
export { type GroupCase, type GroupPlan, planGroup, type SeenHistory, type Version } from "./plan.ts";
