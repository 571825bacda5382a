/** Imports as they are carried out, kept on the device, and taken back later. */

import type { Edit, Fields, Json } from "@syncline/sdk";
import { expect, it } from "vitest";
import type { Crm } from "../src/data/client.ts";
import { IMPORTS_MAX, type KeptImport, keepImport, loadImports } from "../src/features/transfer/kept.ts";
import type { Planned } from "../src/features/transfer/plan.ts";
import { type Progress, runImport, undoImport } from "../src/features/transfer/run.ts";

const id = (number: number): string => `0198c0de-0000-7000-8000-${String(number).padStart(12, "0")}`;

/** A device that lasts: what is kept, and the records. */
interface Device {
  readonly kept: Map<string, Json>;
  readonly records: Map<string, { readonly entity: string; readonly id: string; readonly fields: Fields }>;
  /** Calls of the outbox. */
  steps: number;
}

const deviceOf = (): Device => ({ kept: new Map(), records: new Map(), steps: 0 });

/** A client as far as imports use one. `refuses`: names of contacts that it does not take; `stopsAt`: a step that never ends. */
function clientOf(device: Device, { refuses = "", stopsAt = 0 } = {}): Crm {
  let minted = 1_000_000;
  const take = (edit: Edit): void => {
    if (edit.edit === "create") {
      device.records.set(edit.id, { entity: edit.entity, id: edit.id, fields: edit.fields });
    } else if (edit.edit === "delete") {
      device.records.delete(edit.id);
    }
  };
  const client = {
    mintId: () => {
      minted += 1;
      return id(minted);
    },
    status: async () => ({ pending: 0 }),
    select: async (entity: string) => [...device.records.values()].filter((record) => record.entity === entity),
    works: {
      keep: async (key: string, value: Json) => {
        value === null ? device.kept.delete(key) : device.kept.set(key, structuredClone(value));
        return { ok: true, value: undefined };
      },
      kept: async (key: string) => ({ ok: true, value: structuredClone(device.kept.get(key)) }),
      mutateSome: async (mutations: readonly { readonly edits: readonly Edit[] }[]) => {
        device.steps += 1;
        if (device.steps === stopsAt) {
          await new Promise(() => undefined);
        }
        const value = mutations.map(({ edits }) => {
          const [first] = edits;
          if (refuses !== "" && first?.edit === "create" && first.fields.firstname === refuses) {
            return { ok: false, error: { code: "validation", class: "rejected", message: "no room for this one" } };
          }
          edits.forEach(take);
          return { ok: true, value: { clientSeq: 1, ids: [] } };
        });
        return { ok: true, value };
      },
    },
  };
  return client as unknown as Crm;
}

const rows = (count: number): readonly Planned[] =>
  Array.from({ length: count }, (_, place): Planned => {
    const contact = id(2 * place + 1);
    const edits: readonly Edit[] = [
      {
        edit: "create",
        entity: "contacts",
        id: contact,
        fields: { firstname: `P${place}`, email: `p${place}@x.example` },
      },
      { edit: "create", entity: "leads", id: id(2 * place + 2), fields: { contact_id: contact } },
    ];
    return { line: place + 2, cells: [`P${place}`], plan: { does: "create", edits } };
  });

const free = { signal: new AbortController().signal, untilWanted: async () => undefined };
const options = (change: object = {}) => ({
  ...free,
  id: id(999),
  name: "people.csv",
  onProgress: (_: Progress) => undefined,
  ...change,
});

it("[IMP-1] rows are taken hundreds at a time, and one that is refused holds up no other", async () => {
  const device = deviceOf();
  const { progress, kept } = await runImport(clientOf(device, { refuses: "P3" }), rows(600), options());
  expect(progress).toMatchObject({ done: 600, total: 600, created: 599, isWaiting: false });
  expect(progress.failed).toEqual([{ line: 5, cells: ["P3"], reason: "no room for this one" }]);
  expect(device.steps).toBe(3);
  expect(kept.counters).toEqual({ read: 600, created: 599, skipped: 0, failed: 1 });
});

it("[IMP-1] an import is taken back after a restart, but for what somebody has worked on", async () => {
  const device = deviceOf();
  await runImport(clientOf(device), rows(300), options());
  const changed = device.records.get(id(1));
  device.records.set(id(1), { entity: "contacts", id: id(1), fields: { ...changed?.fields, city: "Oslo" } });
  device.records.set(id(5_000), { entity: "lead_activities", id: id(5_000), fields: { lead_id: id(4) } });
  const client = clientOf(device);
  const [kept, ...others] = await loadImports(client);
  expect(others).toEqual([]);
  const undone = await undoImport(client, kept as KeptImport, { ...free, onProgress: () => undefined });
  // The changed contact; the lead somebody has written about, and with it its contact.
  expect(undone).toEqual({ deleted: 597, kept: 3, failed: 0 });
  expect([...device.records.keys()].sort()).toEqual([id(1), id(3), id(4), id(5_000)]);
  expect(await loadImports(client)).toMatchObject([{ state: "undone", undone: { deleted: 597, kept: 3 } }]);
  expect([...device.kept.keys()]).toEqual(["draft imports"]);
});

it("[IMP-1] an import that was interrupted in the middle can be taken back", async () => {
  const device = deviceOf();
  void runImport(clientOf(device, { stopsAt: 2 }), rows(600), options());
  await expect.poll(() => device.steps).toBe(2);
  expect(device.records.size).toBe(500);
  const client = clientOf(device);
  const [kept] = await loadImports(client);
  expect(kept).toMatchObject({ state: "running", counters: { created: 250 } });
  // Those of the step that was never done are not there, and are passed over.
  expect(await undoImport(client, kept as KeptImport, { ...free, onProgress: () => undefined })).toMatchObject({
    deleted: 500,
    kept: 0,
  });
  expect(device.records.size).toBe(0);
});

it("[IMP-1] an import is held up and ended between two steps", async () => {
  const device = deviceOf();
  const stopping = new AbortController();
  let release = (): void => undefined;
  const untilWanted = () =>
    device.steps === 1
      ? new Promise<void>((resolve) => {
          release = resolve;
        })
      : Promise.resolve();
  const running = runImport(clientOf(device), rows(1_000), options({ signal: stopping.signal, untilWanted }));
  await expect.poll(() => device.steps).toBe(1);
  await new Promise((resolve) => setTimeout(resolve));
  expect(device.records.size).toBe(500);
  stopping.abort();
  release();
  const { progress, kept } = await running;
  expect(progress).toMatchObject({ done: 250, total: 1_000, created: 250 });
  expect(kept).toMatchObject({ state: "ended", parts: 1 });
});

it("[IMP-1] an undo that was ended goes on where it was", async () => {
  const device = deviceOf();
  await runImport(clientOf(device), rows(600), options());
  const stopping = new AbortController();
  const client = clientOf(device);
  const [kept] = (await loadImports(client)) as [KeptImport];
  const onProgress = ({ done }: { readonly done: number }): void => (done > 0 ? stopping.abort() : undefined);
  expect(await undoImport(client, kept, { ...free, signal: stopping.signal, onProgress })).toMatchObject({
    deleted: 500,
  });
  const [again] = (await loadImports(client)) as [KeptImport];
  expect(again.state).toBe("ended");
  expect(await undoImport(client, again, { ...free, onProgress: () => undefined })).toMatchObject({ deleted: 1_200 });
  expect(device.records.size).toBe(0);
});

it("[IMP-1] the oldest imports are forgotten with all that is kept of them", async () => {
  const device = deviceOf();
  const client = clientOf(device);
  for (let place = 0; place < IMPORTS_MAX + 2; place += 1) {
    device.kept.set(`draft imports ${id(place)} 0`, []);
    const counters = { read: 1, created: 1, skipped: 0, failed: 0 };
    const about = { id: id(place), name: `${place}.csv`, beganMs: place, state: "ended", counters, parts: 1 } as const;
    expect((await keepImport(client, about)).ok).toBe(true);
  }
  expect((await loadImports(client)).map(({ name }) => name)).toHaveLength(IMPORTS_MAX);
  expect(device.kept.has(`draft imports ${id(1)} 0`)).toBe(false);
  expect(device.kept.has(`draft imports ${id(2)} 0`)).toBe(true);
});
