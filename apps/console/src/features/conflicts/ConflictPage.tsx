import type { Fields } from "@syncline/sdk";
import { previewOf } from "@syncline/sdk/foresee";
import { Link, useNavigate } from "@tanstack/react-router";
import { ArrowLeft, Undo2 } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../components/Badge.tsx";
import { Button, buttonClass } from "../../components/Button.tsx";
import { Loading } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { useTitle } from "../../components/useTitle.ts";
import { type Row, useClient, useRecord } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { entityOf, labelOf, nounOf } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { PAGES } from "../record/pages.ts";
import { NoRecord } from "../record/RecordPage.tsx";
import { inputText, typedValue } from "../record/value.ts";
import { Afterwards } from "./Afterwards.tsx";
import { Assignment } from "./Assignment.tsx";
import { SideBySide } from "./SideBySide.tsx";
import {
  type Decision,
  decisionOf,
  heldBy,
  outcomeOf,
  type Pick,
  type Picks,
  type Side,
  sidesOf,
  type Unit,
} from "./sides.ts";
import { OTHER_SIDE, useConflictNames } from "./useConflictNames.ts";

export function ConflictPage({ id }: { id: string }) {
  const conflict = useRecord("conflicts", id);
  if (conflict === undefined) {
    return <Loading what="the conflict" />;
  }
  return conflict === null ? (
    <NoRecord entity="conflicts" backTo="/conflicts" />
  ) : (
    <Review key={conflict.id} conflict={conflict} />
  );
}

/** Both sides beside what they started from, a choice per field, and what the record will be. Works without a network. */
function Review({ conflict }: { conflict: Row<"conflicts"> }) {
  const client = useClient();
  const navigate = useNavigate();
  const names = useConflictNames(conflict);
  const sides = sidesOf(conflict);
  const [picks, setPicks] = useState<Picks>({});
  const { state, strategy, kind } = conflict.fields;
  useTitle(`Conflict about ${names.record}`);
  const isOpen = state === "open";
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, once] = useBusy();
  const written = Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, typedValue(names.entity, name, text)]),
  );
  const decision = decisionOf(sides, picks, written);
  const { live } = names;
  const may = useMay();
  const canDecide = may("update", names.entity);
  /** That a record is deleted takes more than changing it. */
  const canUse = (side: Side): boolean =>
    canDecide && (side.did === "edited" || live === undefined || may("delete", names.entity));
  const canSwitch = canUse(sides.mine) && canUse(sides.theirs);
  const preview = previewOf({
    entity: entityOf(names.entity),
    conflict: { ...conflict.fields } as Fields,
    ...(live !== undefined && { live }),
    resolution: decision.resolution,
    custom: decision.fields,
  });
  const decide = async (made: Decision): Promise<void> => {
    const saved = await client.resolve(conflict.id, made.resolution, made.fields);
    if (!saved.ok) {
      toast(saved.error.message);
      return;
    }
    void navigate({ to: "/conflicts" });
    toast("Conflict decided", { ...(canSwitch && { action: { label: "Undo", run: () => attempt(undo()) } }) });
  };
  const undo = async (): Promise<void> => {
    const undone = await client.undo(conflict.id);
    toast(
      undone.ok
        ? `Now: ${undone.value === "use_mine" ? `the side of ${names.mine}` : `the side of ${names.theirs}`}`
        : undone.error.message,
    );
  };
  const page = PAGES[names.entity];
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto max-w-5xl px-4 pt-3 pb-10 sm:px-6">
        <Link to="/conflicts" className={buttonClass("quiet")}>
          <ArrowLeft aria-hidden="true" className="size-4" />
          Conflicts
        </Link>
        <header className="mt-1 mb-4 flex flex-wrap items-center gap-3">
          <div className="min-w-0 flex-1">
            <h1 className="truncate text-xl font-semibold tracking-tight">{names.record}</h1>
            <p className="text-ink-2">
              {kind === "delete_edit"
                ? `One side deleted this ${nounOf(names.entity)}, the other changed it.`
                : `${names.mine} and ${names.theirs} changed the same ${nounOf(names.entity)} without seeing each other.`}
            </p>
          </div>
          <Badge tone={isOpen ? "warn" : "good"}>{isOpen ? "Open" : "Decided"}</Badge>
          {page !== undefined && names.isHere && (
            <Link to={page} params={{ id: names.recordId }} className={buttonClass()}>
              Open {nounOf(names.entity)}
            </Link>
          )}
        </header>
        {isOpen && (
          <div className="mb-4">
            <Assignment conflict={conflict} />
          </div>
        )}
        <SideBySide
          sides={sides}
          names={{ mine: names.mine, theirs: names.theirs }}
          shown={names.shown}
          {...(isOpen &&
            canDecide &&
            kind !== "delete_edit" && {
              picks,
              onPick: (unit: Unit, side: Pick) => setPicks((held) => ({ ...held, [unit.key]: side })),
              written: {
                entity: names.entity,
                textOf: (name: string) =>
                  texts[name] ?? inputText(names.entity, name, heldBy(sides, sides.theirs, name)),
                onText: (name: string, text: string) => setTexts((held) => ({ ...held, [name]: text })),
              },
            })}
          preview={
            isOpen ? outcomeOf(sides, decision) : sides.result.did === "edited" ? sides.result.fields : undefined
          }
        />
        {isOpen && canDecide && kind !== "delete_edit" && (
          <div className="mt-4">
            <Afterwards entity={names.entity} preview={preview} shown={names.shown} />
          </div>
        )}
        <div className="mt-4 flex flex-wrap items-center gap-2">
          {isOpen ? (
            <>
              {canUse(sides.theirs) && (
                <Button disabled={isBusy} onClick={() => once(() => decide({ resolution: "use_theirs", fields: {} }))}>
                  Use {sideOf(names.theirs)}
                </Button>
              )}
              {canUse(sides.mine) && (
                <Button disabled={isBusy} onClick={() => once(() => decide({ resolution: "use_mine", fields: {} }))}>
                  Use {sideOf(names.mine)}
                </Button>
              )}
              {decision.resolution === "custom" && (
                <Button tone="primary" disabled={isBusy || !preview.ok} onClick={() => once(() => decide(decision))}>
                  Use this combination
                </Button>
              )}
            </>
          ) : (
            <>
              {canSwitch && (
                <Button icon={<Undo2 className="size-4" />} disabled={isBusy} onClick={() => once(undo)}>
                  Decide the other way
                </Button>
              )}
              <p className="text-ink-2">
                {state === "auto_resolved"
                  ? `Decided by the rule “${sentence((strategy ?? "").replaceAll("-", " "))}” for ${sides.names.map(labelOf).join(", ")}.`
                  : `Decided by ${names.decider === "You" ? "you" : names.decider}.`}
              </p>
            </>
          )}
        </div>
        {isOpen && (
          <p className="mt-3 text-sm text-ink-3">
            Until somebody decides, everybody sees {sideOf(names.theirs)}.{" "}
            {canDecide
              ? "A decision made without a network counts when the network is back."
              : "Your role may not decide it."}
          </p>
        )}
      </div>
    </div>
  );
}

/** "your side", "Milo’s side", "the other side". */
function sideOf(name: string): string {
  return name === "You" ? "your side" : name === OTHER_SIDE ? "the other side" : `${name}’s side`;
}
