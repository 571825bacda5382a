/** Chooses a record of another entity: from a list when they are few, by searching when they are many. */

import { Combobox } from "@base-ui/react/combobox";
import { Check, ChevronsUpDown } from "lucide-react";
import { useMemo, useState } from "react";
import { type EntityName, useLive } from "../../data/live.ts";
import { isChoosable } from "./choosable.ts";
import type { FieldInputProps } from "./FieldInput.tsx";
import { useTitles } from "./titles.ts";

/** More records than this are searched, not listed. */
const LISTED_MAX = 40;
const FOUND_MAX = 30;

interface Item {
  readonly value: string;
  readonly label: string;
}

interface Props extends FieldInputProps {
  readonly of: EntityName;
  readonly isRequired: boolean;
}

export function ReferenceInput(props: Props) {
  const { id, of, entity, name, text, onText, isRequired, isInvalid = false, describedBy, isFocused = false } = props;
  const items = useItems(of, entity, name, text);
  if (items.length > LISTED_MAX) {
    return <SearchInput {...props} items={items} />;
  }
  return (
    <select
      id={id}
      className="control"
      value={text}
      aria-invalid={isInvalid}
      aria-describedby={describedBy}
      aria-required={isRequired}
      // biome-ignore lint/a11y/noAutofocus: opened by the person to be filled in
      autoFocus={isFocused}
      onChange={(event) => onText(event.target.value)}
    >
      {(!isRequired || text === "") && <option value="">None</option>}
      {items.map(({ value, label }) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}

/** What can be chosen, by name; what does not fit, or not any more, is there only when it is `held` already. */
function useItems(of: EntityName, entity: string, field: string, held: string): readonly Item[] {
  const { rows } = useLive(of, of === "status_options" || of === "pipeline_stages" ? { sort: "position" } : {});
  const titleOf = useTitles(of);
  return useMemo(() => {
    const items = rows
      .filter(({ id, fields }) => id === held || isChoosable(entity, field, fields))
      .map(({ id }) => ({ value: id, label: titleOf(id) ?? "Untitled" }));
    return of === "status_options" || of === "pipeline_stages"
      ? items
      : items.sort((a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
  }, [rows, titleOf, of, entity, field, held]);
}

function SearchInput({
  id,
  text,
  onText,
  items,
  isInvalid = false,
  describedBy,
  isFocused = false,
}: Props & { items: readonly Item[] }) {
  const [query, setQuery] = useState("");
  const chosen = useMemo(() => items.find(({ value }) => value === text) ?? null, [items, text]);
  const found = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    const hits: Item[] = [];
    for (const item of items) {
      if (hits.length === FOUND_MAX) {
        break;
      }
      if (wanted === "" || item.label.toLowerCase().includes(wanted)) {
        hits.push(item);
      }
    }
    return hits;
  }, [items, query]);
  return (
    <Combobox.Root
      items={found}
      filter={null}
      value={chosen}
      onValueChange={(item: Item | null) => onText(item?.value ?? "")}
      onInputValueChange={(typed: string) => setQuery(typed === chosen?.label ? "" : typed)}
      isItemEqualToValue={(a: Item, b: Item) => a.value === b.value}
    >
      <div className="relative">
        <Combobox.Input
          id={id}
          className="control pr-8"
          placeholder="Search …"
          aria-invalid={isInvalid}
          aria-describedby={describedBy}
          autoFocus={isFocused}
        />
        <Combobox.Trigger
          aria-label="Show choices"
          className="absolute top-1/2 right-1.5 -translate-y-1/2 p-1 text-ink-3"
        >
          <ChevronsUpDown className="size-4" />
        </Combobox.Trigger>
      </div>
      <Combobox.Portal>
        <Combobox.Positioner sideOffset={4} className="z-60 outline-none">
          <Combobox.Popup className="max-h-72 w-(--anchor-width) overflow-y-auto rounded-xl border bg-surface p-1 shadow-pop">
            <Combobox.Empty className="px-2.5 py-2 text-ink-3 empty:hidden">Nothing is called so.</Combobox.Empty>
            <Combobox.List>
              {(item: Item) => (
                <Combobox.Item
                  key={item.value}
                  value={item}
                  className="flex cursor-pointer items-center gap-2 rounded-lg px-2.5 py-1.5 data-[highlighted]:bg-hover"
                >
                  <span className="flex-1 truncate">{item.label}</span>
                  <Combobox.ItemIndicator>
                    <Check className="size-4 text-accent" />
                  </Combobox.ItemIndicator>
                </Combobox.Item>
              )}
            </Combobox.List>
          </Combobox.Popup>
        </Combobox.Positioner>
      </Combobox.Portal>
    </Combobox.Root>
  );
}
