/** The device of this browser: one SDK client for the chosen server, opened when it is needed. */

import { Client, type ClientEvent } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { deviceKey } from "@syncline/sdk/devicekey";
import { fallback } from "@syncline/sdk/fallback";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { sealed } from "@syncline/sdk/sealed";
import { readKey, SERVER_KEY } from "../keys.ts";

export type Device = Client<CrmEntities>;

interface Opened {
  readonly server: string;
  readonly client: Promise<Device>;
}

/**
 * Holds the open client. What it holds can be made again from the disk at any moment: the browser ends the service worker
 * whenever it likes.
 */
export class DeviceHolder {
  readonly #onEvent: (event: ClientEvent) => void;
  #opened: Opened | undefined;

  constructor(onEvent: (event: ClientEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** The client of the chosen server; `undefined`: none was chosen. Throws `StoreError`. */
  async device(): Promise<Device | undefined> {
    const server = await readKey<string>(SERVER_KEY);
    if (this.#opened !== undefined && this.#opened.server !== server) {
      await this.close();
    }
    if (server === undefined) {
      return undefined;
    }
    this.#opened ??= { server, client: this.#open(server) };
    const opened = this.#opened;
    try {
      return await opened.client;
    } catch (error) {
      // The next one who asks tries again.
      this.#opened = this.#opened === opened ? undefined : this.#opened;
      throw error;
    }
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.client.then(
      (client) => client.close(),
      () => undefined,
    );
  }

  async #open(server: string): Promise<Device> {
    // One database for each server: choosing another one loses nothing of the first.
    const name = `syncline ${new URL(server).host}${new URL(server).pathname.replace(/\/$/, "")}`;
    const key = await deviceKey(name);
    const client = await Client.open<CrmEntities>({
      server,
      ...crm,
      store: sealed(indexedDb({ name }), key),
      mode: "browser_extension",
      deviceName: "Browser extension",
      connect: fallback(),
    });
    client.onEvent(this.#onEvent);
    return client;
  }
}
