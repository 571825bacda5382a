import type { Fields, Json } from "@syncline/sdk";
import { cx } from "../../components/cx.ts";
import { labelOf } from "../../data/schema.ts";
import { FieldInput } from "../record/FieldInput.tsx";
import { heldBy, type Pick, type Picks, type Side, type Sides, type Unit } from "./sides.ts";

interface SideBySideProps {
  readonly sides: Sides;
  readonly names: { readonly mine: string; readonly theirs: string };
  readonly shown: (name: string, side: Readonly<Record<string, Json>>) => string;
  readonly picks?: Picks;
  /** Values come from a side, or from what is written, for the fields of one unit together. */
  readonly onPick?: (unit: Unit, side: Pick) => void;
  /** What is written in place of both sides, by field, as typed. */
  readonly written?: {
    readonly entity: string;
    readonly textOf: (name: string) => string;
    readonly onText: (name: string, text: string) => void;
  };
  /** What the record holds afterwards; `undefined`: it is deleted. */
  readonly preview: Fields | undefined;
}

/** Base, both sides and the result, a row per field; on a phone a card per field. */
export function SideBySide({ sides, names, shown, picks = {}, onPick, written, preview }: SideBySideProps) {
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
      {sides.units.map((unit) =>
        unit.names.map((name, place) => {
          const picked = picks[unit.key] ?? "theirs";
          const pick = (side: Pick) =>
            onPick === undefined ? {} : { isPicked: picked === side, onPick: () => onPick(unit, side) };
          return (
            <div
              key={name}
              role="row"
              className="grid grid-cols-1 gap-2 border-b p-4 last:border-0 md:grid-cols-[9rem_repeat(4,minmax(0,1fr))] md:items-stretch md:gap-0 md:p-0"
            >
              <span role="rowheader" className="font-medium md:px-4 md:py-3">
                {labelOf(name)}
                {place === 0 && unit.names.length > 1 && onPick !== undefined && (
                  <span className="block text-xs font-normal text-ink-3">
                    together with {unit.names.slice(1).map(labelOf).join(", ")}
                  </span>
                )}
              </span>
              <Cell head="Before" text={shown(name, sides.base)} isFaint />
              <SideCell
                head={names.theirs}
                name={name}
                side={sides.theirs}
                text={sideText(sides, sides.theirs, name, shown)}
                {...pick("theirs")}
              />
              <SideCell
                head={names.mine}
                name={name}
                side={sides.mine}
                text={sideText(sides, sides.mine, name, shown)}
                {...pick("mine")}
              />
              <div
                role="cell"
                className="min-w-0 bg-accent-soft break-words max-md:rounded-lg max-md:px-3 max-md:py-2 md:px-3 md:py-3"
              >
                {picked === "custom" && written !== undefined ? (
                  <>
                    <label htmlFor={`custom-${name}`} className="sr-only">
                      {labelOf(name)}, written
                    </label>
                    <FieldInput
                      id={`custom-${name}`}
                      entity={written.entity}
                      name={name}
                      text={written.textOf(name)}
                      onText={(text) => written.onText(name, text)}
                    />
                  </>
                ) : (
                  <span className="font-semibold text-accent">
                    <span className="mr-2 text-xs font-medium text-ink-3 md:hidden">Result</span>
                    {preview === undefined ? "Deleted" : shown(name, preview)}
                  </span>
                )}
                {written !== undefined && onPick !== undefined && picked !== "custom" && (
                  <button
                    type="button"
                    aria-label={`Write it yourself: ${labelOf(name)}`}
                    onClick={() => onPick(unit, "custom")}
                    className="block rounded text-sm text-ink-2 underline-offset-2 hover:text-ink hover:underline"
                  >
                    Write it yourself
                  </button>
                )}
              </div>
            </div>
          );
        }),
      )}
    </div>
  );
}

function sideText(sides: Sides, side: Side, name: string, shown: SideBySideProps["shown"]): string {
  return side.did === "deleted"
    ? "Deleted the record"
    : shown(name, { ...sides.base, ...side.fields, [name]: heldBy(sides, side, name) });
}

function Cell({ head, text, isFaint = false }: { head: string; text: string; isFaint?: boolean }) {
  return (
    <div role="cell" className={cx("min-w-0 break-words md:px-3 md:py-3", isFaint && "text-ink-3")}>
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
  readonly isPicked?: boolean;
  readonly onPick?: () => void;
}

function SideCell({ head, name, side, text, isPicked = false, onPick }: SideCellProps) {
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
