import { expect, it } from "vitest";
import { loadDraft, saveDraft } from "../../src/client/drafts.ts";
import { importOnce } from "../../src/client/import.ts";
import type { Edit } from "../../src/index.ts";
import { StoreError } from "../../src/index.ts";
import type { ReplicaWrites } from "../../src/replica/store.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { offlineDevice, signedInStore } from "./offline.ts";

function contact(number: number, email = `p${number}@example.com`): Edit {
  const id = `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
  return { edit: "create", entity: "contacts", id, fields: { firstname: `P${number}`, email } };
}

const EDITS = [
  contact(1),
  contact(2, "no address"),
  contact(3),
  { ...contact(4), entity: "nothing" } as Edit,
  contact(5),
];

it("[SDK-5] legacy data goes into the outbox once, and what does not fit is kept with its reason", async () => {
  const store = await signedInStore();
  const client = await offlineDevice(store);
  for (const round of [1, 2]) {
    const report = await importOnce(client, "old", EDITS);
    expect(report, `round ${round}`).toMatchObject({
      ok: true,
      value: {
        done: 5,
        refused: [
          { edit: EDITS[1], error: { code: "validation", field: "email" } },
          { edit: EDITS[3], error: { code: "unknown_entity" } },
        ],
      },
    });
    expect((await client.db.contacts.select({ sort: "firstname" })).map(({ fields }) => fields.firstname)).toEqual([
      "P1",
      "P3",
      "P5",
    ]);
    expect((await client.status()).pending).toBe(3);
  }
  expect(await importOnce(client, "other", [contact(6)])).toMatchObject({ ok: true, value: { done: 1 } });
});

it("[SDK-5] interrupted at any step and begun again it loses nothing and doubles nothing", async () => {
  for (let failing = 1; failing <= 6; failing++) {
    const store = await signedInStore();
    let writes = 0;
    const { write } = MemoryStore.prototype;
    store.write = (step: ReplicaWrites) => {
      writes += 1;
      return writes === failing ? Promise.reject(new StoreError("storage_full", "no room")) : write.call(store, step);
    };
    const first = await importOnce(await offlineDevice(store), "old", EDITS);
    expect(first.ok, `write ${failing}`).toBe(failing > 5);
    const client = await offlineDevice(store);
    const second = await importOnce(client, "old", EDITS);
    expect(second.ok && second.value.refused).toHaveLength(2);
    expect((await client.status()).pending).toBe(3);
  }
});

it("drafts are kept by key, replaced and deleted, and too large ones are refused", async () => {
  const client = await offlineDevice();
  await saveDraft(client, "contacts new", { firstname: "Ad" });
  await saveDraft(client, "contacts new", { firstname: "Ada" });
  expect(await loadDraft(client, "contacts new")).toEqual({ ok: true, value: { firstname: "Ada" } });
  await saveDraft(client, "contacts new", null);
  expect(await loadDraft(client, "contacts new")).toEqual({ ok: true, value: undefined });
  expect(await saveDraft(client, "x", "y".repeat(300_000))).toMatchObject({ ok: false, error: { code: "too_large" } });
  expect((await client.status()).pending).toBe(0);
});
