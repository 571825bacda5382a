/** Who else has a record open, and whether they are about to change it: the warning before a conflict. */

import { type PresenceWatch, watchPresence } from "@syncline/sdk/presence";
import { Eye, PencilLine } from "lucide-react";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { type EntityName, useById, useClient } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";

interface Here {
  readonly watch: PresenceWatch;
  /** An editor opens (1) or closes (−1): the others are warned while there is one. */
  readonly count: (step: 1 | -1) => void;
}

const HereContext = createContext<Here | undefined>(undefined);

/** Says that this person looks at a record for as long as what is inside is shown. */
export function Presence({ entity, id, children }: { entity: EntityName; id: string; children: ReactNode }) {
  const client = useClient();
  const editors = useRef(0);
  const here = useMemo((): Here => {
    const watch = watchPresence(client, entity, id);
    return {
      watch,
      count: (step) => {
        editors.current += step;
        watch.edit(editors.current > 0);
      },
    };
  }, [client, entity, id]);
  return <HereContext value={here}>{children}</HereContext>;
}

interface Other {
  readonly name: string;
  readonly isEditing: boolean;
}

const nobody = { subscribe: () => () => undefined, snapshot: () => undefined };

/** Everybody else on the record, each once; this person too when they have it open on another device. */
function useOthers(): readonly Other[] {
  const watch = useContext(HereContext)?.watch;
  const seen = useSyncExternalStore(watch?.subscribe ?? nobody.subscribe, watch?.snapshot ?? nobody.snapshot);
  const users = useById("users");
  const { userId } = useMe();
  const byName = new Map<string, boolean>();
  for (const viewer of seen?.viewers ?? []) {
    const known = users.get(viewer.userId)?.fields.name ?? "Somebody";
    const name = viewer.userId === userId ? "You, on another device" : known;
    byName.set(name, viewer.isEditing || byName.get(name) === true);
  }
  return [...byName].map(([name, isEditing]) => ({ name, isEditing }));
}

/** Who else is here. Nothing when nobody is, or nobody can say. */
export function OthersHere() {
  const others = useOthers();
  if (others.length === 0) {
    return null;
  }
  const editing = others.filter(({ isEditing }) => isEditing).map(({ name }) => name);
  const [Icon, tone, text] =
    editing.length > 0
      ? [PencilLine, "bg-warn-soft text-warn", `${list(editing)} ${are(editing)} changing this now.`]
      : [Eye, "bg-sunken text-ink-2", `${list(others.map(({ name }) => name))} ${look(others)} at this too.`];
  return (
    <p role="status" className={`flex items-center gap-2 rounded-xl border px-4 py-2 font-medium ${tone}`}>
      <Icon aria-hidden="true" className="size-4 shrink-0" />
      {text}
    </p>
  );
}

/** Beside the editor of a field: the others are warned of this person, and this person of the others. */
export function EditingWarning() {
  const count = useContext(HereContext)?.count;
  useEffect(() => {
    count?.(1);
    return () => count?.(-1);
  }, [count]);
  const editing = useOthers()
    .filter(({ isEditing }) => isEditing)
    .map(({ name }) => name);
  return editing.length === 0 ? null : (
    <p role="status" className="text-sm text-warn">
      {list(editing)} {are(editing)} changing this record too.
    </p>
  );
}

const names = new Intl.ListFormat("en", { type: "conjunction" });
const list = (those: readonly string[]): string => names.format(those);
const isYou = (those: readonly string[]): boolean => those.length > 1 || those[0]?.startsWith("You") === true;
const are = (those: readonly string[]): string => (isYou(those) ? "are" : "is");
const look = (others: readonly Other[]): string => (isYou(others.map(({ name }) => name)) ? "look" : "looks");
