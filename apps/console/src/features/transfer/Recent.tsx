/** Imports that were made on this device: what each did, and the way back. */

import { Undo2 } from "lucide-react";
import { useState } from "react";
import { Badge, type Tone } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Confirm } from "../../components/Dialog.tsx";
import { Card } from "../../components/Page.tsx";
import { counted, number } from "../../format/text.ts";
import { ago, dateTime } from "../../format/value.ts";
import { useImports } from "./current.ts";
import type { KeptImport } from "./kept.ts";

type Face = readonly [label: string, tone: Tone];

const INTERRUPTED: Face = ["Interrupted", "warn"];
const FACES: Readonly<Record<KeptImport["state"], Face>> = {
  running: ["Under way", "info"],
  ended: ["Imported", "good"],
  undoing: ["Being taken back", "info"],
  undone: ["Taken back", "neutral"],
};

export function Recent({ onUndo }: { onUndo: (kept: KeptImport) => void }) {
  const { imports, running } = useImports();
  const [chosen, setChosen] = useState<KeptImport>();
  if (imports === undefined || imports.length === 0) {
    return null;
  }
  return (
    <Card title="Imported on this device">
      <ul className="divide-y">
        {imports.map((kept) => (
          <RecentImport key={kept.id} kept={kept} isRunning={running.has(kept.id)} onUndo={() => setChosen(kept)} />
        ))}
      </ul>
      <Confirm
        isOpen={chosen !== undefined}
        onClose={() => setChosen(undefined)}
        title={`Take back ${chosen?.name ?? ""}?`}
        deed="Take it back"
        onConfirm={() => chosen !== undefined && onUndo(chosen)}
      >
        What it made is deleted from every device, but for records that somebody has worked on since: those stay.
      </Confirm>
    </Card>
  );
}

function RecentImport({ kept, isRunning, onUndo }: { kept: KeptImport; isRunning: boolean; onUndo: () => void }) {
  const { name, beganMs, counters, state, undone } = kept;
  const isOver = state === "ended" || state === "undone";
  const [label, tone] = isOver || isRunning ? FACES[state] : INTERRUPTED;
  const isOfUse = !isRunning && state !== "undone" && kept.parts > 0;
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2.5">
      <div className="min-w-0 flex-1 basis-56">
        <div className="flex min-w-0 items-center gap-2">
          <span className="truncate font-medium">{name}</span>
          <Badge tone={tone}>{label}</Badge>
        </div>
        <div className="text-sm text-ink-3">
          <time title={dateTime(beganMs)}>{ago(beganMs, Date.now())}</time>
          {` · ${counted(counters.created, "row")} of ${number(counters.read)} imported`}
          {undone !== undefined &&
            ` · ${counted(undone.deleted, "record")} deleted again${undone.kept > 0 ? `, ${number(undone.kept)} kept` : ""}`}
        </div>
        {state === "running" && !isRunning && (
          <p className="text-sm text-ink-2">
            To go on, import the file again with “Leave the row out”: rows whose e-mail, phone or name is here already
            are left out.
          </p>
        )}
      </div>
      {isOfUse && (
        <Button
          icon={<Undo2 className="size-4" />}
          aria-label={`Take back ${name}, ${dateTime(beganMs)}`}
          onClick={onUndo}
        >
          {state === "undoing" ? "Go on taking back" : "Take back"}
        </Button>
      )}
    </li>
  );
}
