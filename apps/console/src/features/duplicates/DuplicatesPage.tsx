import { Link } from "@tanstack/react-router";
import { ArrowLeft, CopyCheck, LoaderCircle } from "lucide-react";
import { useMemo, useState } from "react";
import { Avatar } from "../../components/Avatar.tsx";
import { Badge } from "../../components/Badge.tsx";
import { Button, buttonClass } from "../../components/Button.tsx";
import { Dialog } from "../../components/Dialog.tsx";
import { Page } from "../../components/Page.tsx";
import { Notice } from "../../components/States.tsx";
import { Switch } from "../../components/Switch.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { VirtualList } from "../../components/VirtualList.tsx";
import { useClient } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { relationsTo } from "../../data/relations.ts";
import { number } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { contactName } from "../record/titles.ts";
import type { DuplicateGroup, SameBy } from "./find.ts";
import { type KeptMerge, keepApart } from "./kept.ts";
import { MergeForm } from "./MergeForm.tsx";
import { unmerge, useDuplicates, useKept } from "./useDuplicates.ts";

const BY: Readonly<Record<SameBy, string>> = {
  "e-mail": "Same e-mail",
  phone: "Same phone",
  name: "Same name and company",
};
type View = "open" | "apart" | "merged";

/** Contacts that are likely the same person, from the records of this device; merged, or said to be different people. */
export function DuplicatesPage() {
  const client = useClient();
  const may = useMay();
  const canMerge =
    may("update", "contacts") &&
    may("delete", "contacts") &&
    relationsTo("contacts").every(({ entity, isMovable }) => !isMovable || may("update", entity));
  const groups = useDuplicates();
  const { apart, merges, reload } = useKept();
  const [view, setView] = useState<View>("open");
  const [chosen, setChosen] = useState<DuplicateGroup>();
  const [open, aside] = useMemo(() => {
    const all = groups ?? [];
    return [all.filter(({ key }) => !apart.has(key)), all.filter(({ key }) => apart.has(key))];
  }, [groups, apart]);
  const setApart = async (group: DuplicateGroup, isApart: boolean): Promise<void> => {
    await keepApart(client, group.key, isApart);
    await reload();
  };
  const undo = async (merge: KeptMerge): Promise<void> => {
    const undone = await unmerge(client, merge);
    const detail = undone.ok && (undone.kept ?? 0) > 0 ? "What somebody has changed since stayed as it is." : undefined;
    toast(undone.ok ? "The merge was taken back" : undone.message, detail === undefined ? {} : { detail });
    await reload();
  };
  const shown = view === "apart" ? aside : open;
  return (
    <Page
      title="Duplicates"
      actions={
        <Link to="/contacts" className={buttonClass("quiet")}>
          <ArrowLeft aria-hidden="true" className="size-4" />
          All contacts
        </Link>
      }
      tools={
        <Switch
          label="Which"
          value={view}
          options={[
            { value: "open", label: "To look at", ...(groups !== undefined && { count: open.length }) },
            { value: "apart", label: "Not the same" },
            { value: "merged", label: "Merged here" },
          ]}
          onChange={(next) => setView(next as View)}
        />
      }
      isFilled
    >
      {view === "merged" ? (
        <Merges merges={merges} {...(canMerge && { onUndo: (merge: KeptMerge) => attempt(undo(merge)) })} />
      ) : groups === undefined ? (
        <div role="status" className="flex flex-1 items-center justify-center gap-2 py-16 text-ink-3">
          <LoaderCircle aria-hidden="true" className="size-4 animate-spin" />
          Comparing contacts …
        </div>
      ) : shown.length === 0 ? (
        <Notice
          icon={<CopyCheck className="size-5" />}
          title={view === "apart" ? "Nobody was set apart" : "No duplicates"}
        >
          {view === "apart"
            ? "Contacts that look alike and are different people are listed here once you say so."
            : "No two contacts have the same e-mail, the same phone, or the same name at the same company."}
        </Notice>
      ) : (
        <VirtualList
          label="Likely the same"
          items={shown}
          keyOf={({ key }) => key}
          render={(group) => (
            <Group
              group={group}
              isApart={view === "apart"}
              {...(canMerge && { onReview: () => setChosen(group) })}
              onApart={(isApart) => attempt(setApart(group, isApart))}
            />
          )}
          estimatePx={110}
          gapPx={12}
          className="min-h-0 flex-1 overflow-y-auto px-4 pb-8 sm:px-6"
        />
      )}
      <Dialog
        isOpen={chosen !== undefined}
        onClose={() => setChosen(undefined)}
        title="Merge contacts"
        description="What would happen. Nothing is changed before you say so."
        isWide
      >
        {chosen !== undefined && (
          <MergeForm
            key={chosen.key}
            group={chosen}
            onMerged={() => {
              setChosen(undefined);
              attempt(reload());
            }}
            onClose={() => setChosen(undefined)}
          />
        )}
      </Dialog>
    </Page>
  );
}

interface GroupProps {
  readonly group: DuplicateGroup;
  readonly isApart: boolean;
  /** Absent: the person may not merge. */
  readonly onReview?: () => void;
  readonly onApart: (isApart: boolean) => void;
}

function Group({ group: { contacts, by }, isApart, onReview, onApart }: GroupProps) {
  const names = contacts.map(contactName);
  return (
    <section aria-label={names.join(", ")} className="max-w-4xl rounded-xl border bg-surface shadow-card">
      <header className="flex flex-wrap items-center gap-2 border-b px-4 py-2">
        <div className="flex flex-1 flex-wrap gap-1.5 max-sm:basis-full">
          {by.map((each) => (
            <Badge key={each} tone={each === "name" ? "neutral" : "warn"}>
              {BY[each]}
            </Badge>
          ))}
        </div>
        {isApart ? (
          <Button onClick={() => onApart(false)}>Look at it again</Button>
        ) : (
          <>
            <Button tone="quiet" onClick={() => onApart(true)}>
              Not the same
            </Button>
            {onReview !== undefined && <Button onClick={onReview}>Merge …</Button>}
          </>
        )}
      </header>
      <ul className="divide-y">
        {contacts.map((contact, place) => {
          const { email, phone_number, company_name, city } = contact.fields;
          return (
            <li key={contact.id} className="flex items-center gap-3 px-4 py-2">
              <Avatar name={names[place] ?? ""} />
              <div className="min-w-0 flex-1">
                <Link to="/contacts/$id" params={{ id: contact.id }} className="font-medium hover:underline">
                  {names[place]}
                </Link>
                <div className="truncate text-sm text-ink-2">
                  {[email, phone_number, company_name, city].filter((part) => part !== undefined).join(" · ")}
                </div>
              </div>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Merges({ merges, onUndo }: { merges: readonly KeptMerge[]; onUndo?: (merge: KeptMerge) => void }) {
  return merges.length === 0 ? (
    <Notice icon={<CopyCheck className="size-5" />} title="Nothing was merged on this device">
      Each merge is listed here, and can be taken back.
    </Notice>
  ) : (
    <div className="min-h-0 flex-1 overflow-y-auto px-4 pb-8 sm:px-6">
      <ul aria-label="Merged here" className="max-w-4xl divide-y rounded-xl border bg-surface shadow-card">
        {merges.map((merge) => (
          <li key={merge.id} className="flex flex-wrap items-center gap-3 px-4 py-2.5">
            <div className="min-w-0 flex-1">
              <Link
                to="/contacts/$id"
                params={{ id: merge.contactId }}
                className="block truncate font-medium hover:underline"
              >
                {merge.name}
              </Link>
              <div className="text-sm text-ink-3">
                {number(merge.count)} contacts became one {ago(merge.mergedMs, Date.now())}
              </div>
            </div>
            {onUndo !== undefined && (
              <Button aria-label={`Take back the merge of ${merge.name}`} onClick={() => onUndo(merge)}>
                Take back
              </Button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
