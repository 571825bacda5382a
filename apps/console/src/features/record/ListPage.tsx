/** A list of records with search, one filter and sorting; leads have a richer one of their own. */

import { Plus } from "lucide-react";
import { type ReactNode, useCallback, useDeferredValue, useMemo, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose, type Option } from "../../components/Choose.tsx";
import { Page } from "../../components/Page.tsx";
import { SearchField } from "../../components/SearchField.tsx";
import { Notice } from "../../components/States.tsx";
import { type Column, VirtualTable } from "../../components/VirtualTable.tsx";
import type { EntityName } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { type KeyOf, useOrdered } from "../../data/ordered.ts";
import { wordsOf } from "../../data/searching.ts";
import { useSyncView } from "../../data/sync.ts";
import { number } from "../../format/text.ts";
import { FirstCopy, useIsFirst } from "../sync/FirstCopy.tsx";
import type { ListSearch } from "./listSearch.ts";

export interface ListRow {
  readonly id: string;
  /** Everything a search looks in, in lower case. */
  readonly haystack: string;
}

interface ListPageProps<R extends ListRow> {
  readonly entity: EntityName;
  readonly title: string;
  /** "contact", "contacts". */
  readonly noun: readonly [one: string, many: string];
  readonly icon: ReactNode;
  readonly state: "loading" | "ready";
  readonly rows: readonly R[];
  readonly columns: readonly Column<R>[];
  readonly keys: Readonly<Record<string, KeyOf<R>>>;
  readonly renderCard: (row: R) => ReactNode;
  readonly search: ListSearch;
  readonly onSearch: (change: Partial<ListSearch>) => void;
  readonly filter: {
    readonly label: string;
    readonly none: string;
    readonly options: readonly Option[];
    readonly matches: (row: R, value: string) => boolean;
  };
  readonly onOpen: (row: R) => void;
  /** What else can be done here, before the button that makes a record. */
  readonly actions?: ReactNode;
  readonly form: (props: { readonly isOpen: boolean; readonly onClose: () => void }) => ReactNode;
}

const idOf = ({ id }: ListRow): string => id;

export function ListPage<R extends ListRow>(props: ListPageProps<R>) {
  const { title, noun, icon, state, rows, columns, keys, renderCard, search, onSearch, filter, onOpen, form } = props;
  const { entity, actions } = props;
  const [isCreating, setIsCreating] = useState(false);
  const sync = useSyncView();
  const isFirst = useIsFirst();
  const wanted = useDeferredValue(search);
  const { matches } = filter;
  const ordered = useOrdered(rows, keys[wanted.sort] ?? idOf, wanted.isDescending);
  const shown = useMemo(() => {
    const words = wordsOf(wanted.q);
    const isMatch = (row: R): boolean =>
      (wanted.filter === "" || matches(row, wanted.filter)) && words.every((word) => row.haystack.includes(word));
    return ordered.filter(isMatch);
  }, [ordered, wanted, matches]);
  const onQuery = useCallback((q: string) => onSearch({ q }), [onSearch]);
  const create = useMay()("create", entity) && (
    <Button tone="primary" data-create icon={<Plus className="size-4" />} onClick={() => setIsCreating(true)}>
      New {noun[0]}
    </Button>
  );
  return (
    <Page
      title={title}
      aside={
        state === "ready" &&
        (shown.length === rows.length ? number(rows.length) : `${number(shown.length)} of ${number(rows.length)}`)
      }
      actions={
        <>
          {actions}
          {create}
        </>
      }
      tools={
        <div className="flex flex-wrap items-center gap-2">
          <SearchField label={`Search ${noun[1]}`} value={search.q} onChange={onQuery} />
          <Choose
            isFilter
            label={filter.label}
            none={filter.none}
            value={search.filter}
            options={filter.options}
            onChange={(value) => onSearch({ filter: value })}
          />
        </div>
      }
      isFilled
    >
      {shown.length > 0 ? (
        <VirtualTable
          label={title}
          rows={shown}
          idOf={idOf}
          columns={columns}
          sorting={{ key: search.sort, isDescending: search.isDescending }}
          onSort={(key) => onSearch({ sort: key, isDescending: key === search.sort ? !search.isDescending : false })}
          onOpen={onOpen}
          renderCard={renderCard}
        />
      ) : state === "loading" || (rows.length === 0 && isFirst) ? (
        <FirstCopy what={noun[1]} />
      ) : rows.length > 0 || search.filter !== "" ? (
        <Notice
          icon={icon}
          title={`No ${noun[0]} matches`}
          action={<Button onClick={() => onSearch({ q: "", filter: "" })}>Clear filters</Button>}
        >
          Other words or fewer filters may find it.
        </Notice>
      ) : (
        <Notice icon={icon} title={`No ${noun[1]} yet`} action={create}>
          {create === false
            ? "What others add is shown here."
            : sync.kind === "offline"
              ? "This device has none, and the server is out of reach. What you add now is sent later."
              : "What you add is here at once, with or without a network."}
        </Notice>
      )}
      {form({ isOpen: isCreating, onClose: () => setIsCreating(false) })}
    </Page>
  );
}
