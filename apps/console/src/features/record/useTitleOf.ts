import type { EntityName } from "../../data/live.ts";
import { useTitles } from "./titles.ts";

/** Names records of every entity that fields refer to. */
export function useTitleOf(): (entity: string, id: string) => string | undefined {
  const titles: Readonly<Partial<Record<EntityName, (id: string) => string | undefined>>> = {
    contacts: useTitles("contacts"),
    companies: useTitles("companies"),
    leads: useTitles("leads"),
    users: useTitles("users"),
    teams: useTitles("teams"),
    status_options: useTitles("status_options"),
    pipelines: useTitles("pipelines"),
    pipeline_stages: useTitles("pipeline_stages"),
    opportunities: useTitles("opportunities"),
  };
  return (entity, id) => titles[entity as EntityName]?.(id);
}
