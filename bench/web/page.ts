/** Runs in the browser: a device on IndexedDB, and what a person waits for on it. Called by `run.mjs`. */

import { type AnyClient, Client, type Edit } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { deviceKey } from "@syncline/sdk/devicekey";
import { mutateAll } from "@syncline/sdk/import";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { sealed } from "@syncline/sdk/sealed";
import { TabClient } from "@syncline/sdk/tabs";

type Device = AnyClient<CrmEntities>;

/** Rows of a screen. */
const SCREEN = 50;
const LOAD_TIMEOUT_MS = 120_000;
const UPLOAD_TIMEOUT_MS = 600_000;
const LOOK_MS = 100;

let device: Device | undefined;
let seen: Record<string, number> = {};

/** Milliseconds of each of `count` runs. */
async function timed(count: number, run: (index: number) => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const started = performance.now();
    await run(index);
    took.push(performance.now() - started);
  }
  return took;
}

function opened(): Device {
  if (device === undefined) {
    throw new Error("open the device first");
  }
  return device;
}

/** Resolves when everything of the server is here and everything of this device there. */
async function untilSynced(client: Device, timeoutMs: number): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const { phase, loading, pending, meta } = await client.status();
    if (phase === "live" && loading === undefined && pending === 0 && (meta?.lastSyncMs ?? 0) > 0) {
      return;
    }
    if (performance.now() > endMs) {
      throw new Error("not in step in time");
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const bench = {
  /** `isWhole`: as the console does it, in a sealed store and several tabs; otherwise the client and its store alone. */
  async open(server: string, isWhole: boolean): Promise<void> {
    const options = { server, ...crm, mode: "web_app", deviceName: "bench" } as const;
    const store = indexedDb({ name: "bench" });
    device = isWhole
      ? await TabClient.open<CrmEntities>({ ...options, name: "bench", store: sealed(store, await deviceKey("bench")) })
      : await Client.open<CrmEntities>({ ...options, store });
  },

  /**
   * Signs in, then from nothing to everything, with or without a list of leads on the screen: when the list fills, and when
   * all is there. Times count from the moment when the server knows the person.
   */
  async load(email: string, isListShown: boolean): Promise<{ screenMs: number; wholeMs: number; longestTaskMs: number }> {
    const client = opened();
    const signed = await client.signIn({ email, password: "syncline-demo" });
    if (!signed.ok) {
      throw new Error(JSON.stringify(signed.error));
    }
    let [screenMs, longestTaskMs] = [Number.NaN, 0];
    new PerformanceObserver((list) => {
      longestTaskMs = Math.max(longestTaskMs, ...list.getEntries().map(({ duration }) => duration));
    }).observe({ type: "longtask" });
    const started = performance.now();
    const live = client.db.leads.live({ sort: "product_interest", limit: SCREEN });
    const stop = isListShown
      ? live.subscribe(() => {
          if (Number.isNaN(screenMs) && live.snapshot().rows.length === SCREEN) {
            screenMs = performance.now() - started;
          }
        })
      : () => undefined;
    await client.start();
    await untilSynced(client, LOAD_TIMEOUT_MS);
    const wholeMs = performance.now() - started;
    stop();
    return { screenMs, wholeMs, longestTaskMs };
  },

  /** A program that was started anew on a full store: until its first list is there. */
  async reopen(server: string, isWhole: boolean): Promise<number> {
    const started = performance.now();
    await bench.open(server, isWhole);
    await opened().db.leads.select({ sort: "product_interest", limit: SCREEN });
    const took = performance.now() - started;
    await opened().start();
    await untilSynced(opened(), LOAD_TIMEOUT_MS);
    return took;
  },

  indexed: (count: number): Promise<number[]> =>
    timed(count, (index) => opened().db.leads.select({ where: { external_id: `bench ${index * 97}` }, limit: SCREEN })),

  /** What a list does at a keystroke: part of a text, in order, a screen full. */
  typed: (count: number): Promise<number[]> =>
    timed(count, (index) => {
      const wanted = `interest ${index % 10}`;
      return opened().db.leads.select({
        filter: ({ fields }) => fields.product_interest?.includes(wanted) === true,
        sort: "product_interest",
        limit: SCREEN,
      });
    }),

  /** Creates contacts as an import does: until they are durable on the device, and until the server has decided them. */
  async import(mark: string, count: number): Promise<{ localMs: number; sentMs: number }> {
    const client = opened();
    const contacts = Array.from({ length: count }, (_, index): Edit[] => {
      const fields = { firstname: `New ${index}`, lastname: "Import", email: `${mark}${index}@bench.example` };
      return [{ edit: "create", entity: "contacts", id: client.mintId(), fields }];
    });
    const started = performance.now();
    const results = await mutateAll(client, contacts);
    const localMs = performance.now() - started;
    if (!results.every(({ ok }) => ok)) {
      throw new Error("a contact was not taken");
    }
    await untilSynced(client, UPLOAD_TIMEOUT_MS);
    return { localMs, sentMs: performance.now() - started };
  },

  async ids(count: number): Promise<string[]> {
    return (await opened().db.leads.select({ limit: count })).map(({ id }) => id);
  },

  /** Edits records one after another with texts that begin with `mark`; returns by their text when each was asked for, in milliseconds since the epoch. */
  async edit(ids: readonly string[], mark: string, pauseMs: number): Promise<Record<string, number>> {
    const asked: Record<string, number> = {};
    for (const [index, id] of ids.entries()) {
      const text = `${mark} ${index}`;
      asked[text] = performance.timeOrigin + performance.now();
      await opened().db.leads.update(id, { market: text });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return asked;
  },

  /** Opens a live list of the records whose text begins with `mark`; resolves once it is there. */
  watch(mark: string): Promise<void> {
    const live = opened().db.leads.live({ filter: ({ fields }) => fields.market?.startsWith(mark) === true });
    seen = {};
    return new Promise((resolve) => {
      live.subscribe(() => {
        const { state, rows } = live.snapshot();
        for (const { fields } of rows) {
          seen[fields.market ?? ""] ??= performance.timeOrigin + performance.now();
        }
        if (state === "ready") {
          resolve();
        }
      });
    });
  },

  /** When the list of `watch` showed each text first, in milliseconds since the epoch; waits until it has shown `count`. */
  async seen(count: number): Promise<Record<string, number>> {
    while (Object.keys(seen).length < count) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return seen;
  },
};

export type Bench = typeof bench;
Object.assign(globalThis, { bench });
