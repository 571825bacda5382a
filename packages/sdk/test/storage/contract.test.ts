import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, it } from "vitest";
import { asyncStorage } from "../../src/storage/asyncstorage.ts";
import { chromeStorage } from "../../src/storage/chrome.ts";
import { cases, type StoreUnderTest } from "../../src/storage/contract.ts";
import { indexedDb } from "../../src/storage/indexeddb.ts";
import { memory } from "../../src/storage/memory.ts";
import { sealed } from "../../src/storage/sealed.ts";
import { FakeAsyncStorage, FakeStorageArea } from "./platforms.ts";

const KEY = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);

const ADAPTERS: Record<string, () => StoreUnderTest> = {
  AsyncStorage: () => ({ open: asyncStorage(new FakeAsyncStorage(), { name: "contract" }), isDurable: true }),
  "chrome.storage": () => ({ open: chromeStorage(new FakeStorageArea(), { name: "contract" }), isDurable: true }),
  "sealed IndexedDB": () => ({ open: sealed(indexedDb({ name: "contract" }), KEY), isDurable: true }),
  "sealed memory": () => ({ open: sealed(memory(), KEY), isDurable: false }),
  memory: () => ({ open: memory(), isDurable: false }),
  IndexedDB: () => ({ open: indexedDb({ name: "contract" }), isDurable: true }),
};

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

describe.each(Object.entries(ADAPTERS))("[inv 11] %s passes the contract", (_, make) => {
  it.each(cases())("$name", ({ run }) => run(make));
});
