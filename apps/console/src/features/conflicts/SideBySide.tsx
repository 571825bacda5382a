import type { Fields, Json } from "@syncline/sdk";
import { cx } from "../../components/cx.ts";
import { labelOf } from "../../data/schema.ts";
import type { Pick, Picks, Side, Sides } from "./sides.ts";

interface SideBySideProps {
  readonly sides: Sides;
  readonly names: { readonly mine: string; readonly theirs: string };
  readonly shown: (name: string, side: Readonly<Record<string, Json>>) => string;
  readonly picks?: Picks;
  readonly onPick?: (name: string, side: Pick) => void;
  /** What the record holds afterwards; `undefined`: it is deleted. */
  readonly preview: Fields | undefined;
}

/** Base, both sides and the result, a row per field; on a phone a card per field. */
export function SideBySide({ sides, names, shown, picks = {}, onPick, preview }: SideBySideProps) {
  const heads = ["Before", names.theirs, names.mine, "Result"];
  return (
    <div role="table" aria-label="Both sides" className="overflow-hidden rounded-xl border bg-surface shadow-card">
      <div
        role="row"
        className="hidden grid-cols-[9rem_repeat(4,minmax(0,1fr))] border-b bg-page text-xs font-medium text-ink-3 md:grid"
      >
        <span role="columnheader" className="px-4 py-2.5">
          Field
        </span>
        {heads.map((head) => (
          <span key={head} role="columnheader" className="truncate px-3 py-2.5">
            {head}
          </span>
        ))}
      </div>
      {sides.names.map((name) => {
        const base = shown(name, sides.base);
        const picked = picks[name] ?? "theirs";
        return (
          <div
            key={name}
            role="row"
            className="grid grid-cols-1 gap-2 border-b p-4 last:border-0 md:grid-cols-[9rem_repeat(4,minmax(0,1fr))] md:items-stretch md:gap-0 md:p-0"
          >
            <span role="rowheader" className="font-medium md:px-4 md:py-3">
              {labelOf(name)}
            </span>
            <Cell head="Before" text={base} isFaint />
            <SideCell
              head={names.theirs}
              name={name}
              side={sides.theirs}
              text={sideText(sides.theirs, name, shown)}
              isPicked={picked === "theirs"}
              {...(onPick && { onPick: () => onPick(name, "theirs") })}
            />
            <SideCell
              head={names.mine}
              name={name}
              side={sides.mine}
              text={sideText(sides.mine, name, shown)}
              isPicked={picked === "mine"}
              {...(onPick && { onPick: () => onPick(name, "mine") })}
            />
            <Cell head="Result" text={preview === undefined ? "Deleted" : shown(name, preview)} isStrong />
          </div>
        );
      })}
    </div>
  );
}

function sideText(side: Side, name: string, shown: SideBySideProps["shown"]): string {
  return side.did === "deleted" ? "Deleted the record" : shown(name, side.fields);
}

function Cell({
  head,
  text,
  isFaint = false,
  isStrong = false,
}: {
  head: string;
  text: string;
  isFaint?: boolean;
  isStrong?: boolean;
}) {
  return (
    <div
      role="cell"
      className={cx(
        "min-w-0 break-words md:px-3 md:py-3",
        isFaint && "text-ink-3",
        isStrong && "bg-accent-soft font-semibold text-accent max-md:rounded-lg max-md:px-3 max-md:py-2",
      )}
    >
      <span className="mr-2 text-xs font-medium text-ink-3 md:hidden">{head}</span>
      {text}
    </div>
  );
}

interface SideCellProps {
  readonly head: string;
  readonly name: string;
  readonly side: Side;
  readonly text: string;
  readonly isPicked: boolean;
  readonly onPick?: () => void;
}

function SideCell({ head, name, side, text, isPicked, onPick }: SideCellProps) {
  if (onPick === undefined || side.did === "deleted") {
    return <Cell head={head} text={text} />;
  }
  return (
    <div role="cell" className="min-w-0 md:p-1.5">
      <label
        className={cx(
          "flex h-full cursor-pointer items-start gap-2 rounded-lg border px-3 py-1.5 break-words",
          isPicked ? "border-accent" : "border-line-strong hover:bg-hover",
        )}
      >
        <input
          type="radio"
          name={`side of ${name}`}
          checked={isPicked}
          onChange={onPick}
          className="mt-1 accent-accent"
          aria-label={`${labelOf(name)}: ${head}, ${text}`}
        />
        <span className="min-w-0">
          <span className="block text-xs font-medium text-ink-3 md:hidden">{head}</span>
          {text}
        </span>
      </label>
    </div>
  );
}
