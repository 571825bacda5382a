/** Runs in the browser: a device on IndexedDB, and what a person waits for on it. Called by `run.mjs`. */

import { Client } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { indexedDb } from "@syncline/sdk/indexeddb";

type Device = Client<CrmEntities>;

/** Rows of a screen. */
const SCREEN = 50;
const LOAD_TIMEOUT_MS = 120_000;

let device: Device | undefined;

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

const bench = {
  async open(server: string, email: string): Promise<void> {
    device = await Client.open<CrmEntities>({
      server,
      ...crm,
      store: indexedDb({ name: "bench" }),
      mode: "web_app",
      deviceName: "bench",
    });
    if (device.credentials === undefined) {
      const signed = await device.signIn({ email, password: "syncline-demo" });
      if (!signed.ok) {
        throw new Error(JSON.stringify(signed.error));
      }
    }
  },

  /** From nothing to everything, with or without a list of leads on the screen: when the list fills, and when all is there. */
  async load(isListShown: boolean): Promise<{ screenMs: number; wholeMs: number; longestTaskMs: number }> {
    const client = opened();
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
    if (!(await client.untilSynced(LOAD_TIMEOUT_MS))) {
      throw new Error("not loaded in time");
    }
    const wholeMs = performance.now() - started;
    stop();
    return { screenMs, wholeMs, longestTaskMs };
  },

  /** A program that was started anew on a full store: until its first list is there. */
  async reopen(): Promise<number> {
    const started = performance.now();
    await opened().db.leads.select({ sort: "product_interest", limit: SCREEN });
    return performance.now() - started;
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

  async ids(count: number): Promise<string[]> {
    return (await opened().db.leads.select({ limit: count })).map(({ id }) => id);
  },

  /** Edits records one after another; returns by their text when each was asked for, in milliseconds since the epoch. */
  async edit(ids: readonly string[], pauseMs: number): Promise<Record<string, number>> {
    const asked: Record<string, number> = {};
    for (const [index, id] of ids.entries()) {
      const text = `edit ${index}`;
      asked[text] = performance.timeOrigin + performance.now();
      await opened().db.leads.update(id, { market: text });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return asked;
  },

  /** Notes when a live list shows each text; ends when it has seen `count` of them. */
  watch(count: number): Promise<Record<string, number>> {
    const seen: Record<string, number> = {};
    const live = opened().db.leads.live({ filter: ({ fields }) => fields.market?.startsWith("edit ") === true });
    return new Promise((resolve) => {
      const stop = live.subscribe(() => {
        for (const { fields } of live.snapshot().rows) {
          seen[fields.market ?? ""] ??= performance.timeOrigin + performance.now();
        }
        if (Object.keys(seen).length >= count) {
          stop();
          resolve(seen);
        }
      });
    });
  },
};

export type Bench = typeof bench;
Object.assign(globalThis, { bench });
