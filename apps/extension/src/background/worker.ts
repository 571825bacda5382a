/** The service worker's work: requests of pages, and rounds of synchronising. Everything lasting is on disk. */

import { type ClientEvent, type Failure, type Status, StoreError } from "@syncline/sdk";
import { ID_RANDOM_BYTES, idV7 } from "@syncline/sdk/ids";
import { duplicatesOf } from "../intake/duplicates.ts";
import {
  INTAKE_ROWS_MAX,
  type IntakeRow,
  intakeRows,
  isOf,
  type Owner,
  putIntake,
  removeIntake,
  removeIntakeOf,
} from "../intake/intake.ts";
import { readKey, SERVER_KEY, SYNC_ALARM, writeKey } from "../keys.ts";
import type { Answer, Args, Done, Envelope, RequestName, Save, Saved, State } from "../messages.ts";
import { serverAddress } from "../server.ts";
import { type Device, DeviceHolder } from "./device.ts";
import { type Drained, drain } from "./drain.ts";
import { notify, ownConflicts, showBadge, tellLost } from "./notices.ts";
import { forget, forgetAll, recentOf } from "./recent.ts";
import { unsentOf } from "./unsent.ts";

/** How long is waited for one round: less than the browser lets a service worker be idle. */
const ROUND_MS = 25_000;
/** Rounds in a row while something is loaded or sent; then the alarm goes on. */
const ROUNDS_MAX = 12;
/** How often the alarm rings while something waits, and while nothing does; minutes. */
const PERIOD_MIN = { pending: 1, idle: 15 } as const;

type Handlers = { readonly [Name in RequestName]: (args: Args<Name>) => Promise<Answer<Name>> };

export class Worker {
  readonly #holder: DeviceHolder;
  readonly #ports = new Set<chrome.runtime.Port>();
  /** Rows are taken one after another. */
  #drains: Promise<unknown> = Promise.resolve();
  #round: Promise<void> | undefined;
  /** Something came in while a round was under way: it is followed by another one. */
  #isDue = false;
  /** The state is being put together; something changed meanwhile. */
  #telling: "idle" | "telling" | "again" = "idle";

  readonly #handlers: Handlers = {
    state: () => this.#state(),
    save: (save) => this.#save(save),
    duplicates: async (contact) => {
      const device = await this.#holder.device();
      return device === undefined ? [] : duplicatesOf(await device.select("contacts", {}), contact);
    },
    sync: async () => {
      void this.round();
      return { done: true };
    },
    sign_in: ({ email, password, workspace }) => this.#signIn(email, password, workspace),
    sign_out: () => this.#signOut(),
    unsent: async () => {
      const device = await this.#holder.device();
      return unsentOf(device, await rowsOf(await ownerOf(device)));
    },
    set_server: ({ address }) => this.#setServer(address),
    resend: ({ clientSeq, changes }) => this.#resend(clientSeq, changes),
    discard: ({ id }) => this.#discard(id),
  };

  constructor() {
    this.#holder = new DeviceHolder((event) => this.#onEvent(event));
  }

  /** Answers a request. What fails for a reason a person can understand is an answer; the rest is thrown. */
  async answer<Name extends RequestName>({ request, args }: Envelope<Name>): Promise<Answer<Name>> {
    return this.#handlers[request](args);
  }

  /** A page shows the state until it goes. While there is one, the connection stays. */
  connected(port: chrome.runtime.Port): void {
    this.#ports.add(port);
    port.onDisconnect.addListener(() => {
      this.#ports.delete(port);
      // A round under way comes to its end first.
      void (this.#round ?? this.#rest());
    });
    this.#tell();
    void this.round();
  }

  /** One round: what waits goes out, what is new comes in, the person is told, and the connection ends if nobody looks. */
  round(): Promise<void> {
    this.#isDue = true;
    this.#round ??= this.#goRounds().finally(() => {
      this.#round = undefined;
      this.#tell();
    });
    return this.#round;
  }

  async #goRounds(): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX && this.#isDue; round++) {
      this.#isDue = false;
      try {
        this.#isDue = (await this.#goRound()) || this.#isDue;
      } catch (error) {
        // The state that pages are told next says what is wrong with the store.
        if (!(error instanceof StoreError)) {
          throw error;
        }
      }
    }
    await this.#rest();
  }

  /** Returns whether it is worth while to go on at once: connected, and not done yet. */
  async #goRound(): Promise<boolean> {
    const device = await this.#holder.device();
    await this.#drain();
    if (device?.credentials === undefined) {
      return false;
    }
    await device.start();
    const isSynced = await device.untilSynced(ROUND_MS);
    // Also tells the browser that the service worker is at work.
    await notify(device);
    return !isSynced && (await device.status()).phase === "live";
  }

  /** Leaves the connection when nobody looks, and says what waits. */
  async #rest(): Promise<void> {
    if (this.#ports.size === 0) {
      await this.#holder.device().then(
        (device) => device?.pause(),
        () => undefined,
      );
    }
    await this.#mark();
  }

  /** Says on the badge what waits, and sets the alarm by it: from then on it goes out even if this is the end of us. */
  async #mark(): Promise<void> {
    const device = await this.#holder.device().catch(() => undefined);
    const rows = await rowsOf(await ownerOf(device));
    const status = await device?.status();
    const pending = waitingOf(rows) + (status?.pending ?? 0);
    const refused = rows.length - waitingOf(rows) + (status?.rejected ?? 0);
    await showBadge(pending, refused);
    const periodInMinutes = pending > 0 ? PERIOD_MIN.pending : PERIOD_MIN.idle;
    const alarm = await chrome.alarms.get(SYNC_ALARM);
    if (alarm?.periodInMinutes !== periodInMinutes) {
      await chrome.alarms.create(SYNC_ALARM, { periodInMinutes });
    }
  }

  async #save(save: Save): Promise<Saved> {
    const { server, userId } = await ownerOf(await this.#holder.device().catch(() => undefined));
    const earlier = (await intakeRows()).find((row) => row.save.id === save.id);
    const row: IntakeRow = {
      save,
      contactId: earlier?.contactId ?? mintId(),
      leadId: earlier?.leadId ?? mintId(),
      activityId: earlier?.activityId ?? mintId(),
      atMs: earlier?.atMs ?? Date.now(),
      ...(server !== undefined && { server }),
      ...(userId !== undefined && { userId }),
    };
    if (!(await putIntake(row))) {
      return { saved: false, message: `${INTAKE_ROWS_MAX} captures wait already: sign in, so that they can be sent.` };
    }
    const drained = (await this.#drain())?.get(save.id);
    if (drained?.how === "invalid") {
      // The person has it before them still. One that was kept before stays kept, whatever becomes of this attempt.
      if (earlier === undefined) {
        await removeIntake(save.id);
      }
      await this.#mark();
      return { saved: false, message: drained.message, ...(drained.field !== undefined && { field: drained.field }) };
    }
    await this.#mark();
    void this.round();
    return { saved: true };
  }

  /** Takes what is in the intake; `undefined`: there is no device to take it, and it stays. */
  #drain(): Promise<Map<string, Drained> | undefined> {
    const drained = this.#drains.then(async () => {
      const server = await readKey<string>(SERVER_KEY);
      try {
        const device = await this.#holder.device();
        return device === undefined || server === undefined ? undefined : await drain(device, server);
      } catch (error) {
        if (error instanceof StoreError) {
          return undefined;
        }
        throw error;
      }
    });
    this.#drains = drained.catch(() => undefined);
    return drained;
  }

  async #signIn(email: string, password: string, workspace: string): Promise<Done> {
    const device = await this.#holder.device();
    if (device === undefined) {
      return { done: false, message: "Choose a server in the options first." };
    }
    const signed = await device.signIn({ email, password, ...(workspace !== "" && { workspace }) });
    if (!signed.ok) {
      return { done: false, message: sayFailure(signed.error) };
    }
    void this.round();
    return { done: true };
  }

  async #signOut(): Promise<Done> {
    const device = await this.#holder.device();
    // Known only as long as somebody is signed in.
    const owner = await ownerOf(device);
    await device?.signOut();
    await removeIntakeOf(owner);
    await forgetAll();
    await this.#rest();
    this.#tell();
    return { done: true };
  }

  async #setServer(text: string): Promise<Done> {
    const checked = serverAddress(text);
    if ("error" in checked) {
      return { done: false, message: checked.error };
    }
    if (checked.address !== (await readKey<string>(SERVER_KEY))) {
      await writeKey(SERVER_KEY, checked.address);
      await forgetAll();
      await this.#holder.close();
    }
    void this.round();
    return { done: true };
  }

  async #resend(clientSeq: number, changes: Args<"resend">["changes"]): Promise<Saved> {
    const device = await this.#holder.device();
    const sent = await device?.resendRejected(clientSeq, changes);
    if (sent !== undefined && !sent.ok) {
      const { message, field } = sent.error;
      return { saved: false, message, ...(field !== undefined && { field }) };
    }
    void this.round();
    return { saved: true };
  }

  async #discard(id: string): Promise<Done> {
    await removeIntake(id);
    await forget(id);
    const device = await this.#holder.device();
    const rejected = (await device?.rejected())?.find(({ mutation }) => mutation.mutation_id === id);
    const discarded = rejected && (await device?.discardRejected(rejected.mutation.client_seq));
    await this.#rest();
    this.#tell();
    return discarded?.ok === false ? { done: false, message: discarded.error.message } : { done: true };
  }

  async #state(): Promise<State> {
    const server = await readKey<string>(SERVER_KEY);
    const about = server === undefined ? {} : { server };
    let rows = await rowsOf({ server });
    const counts = () => ({ pending: waitingOf(rows), refused: rows.length - waitingOf(rows) });
    const nothing = { conflicts: 0, isLocked: false, lastSyncMs: 0 };
    try {
      const device = await this.#holder.device();
      rows = await rowsOf(await ownerOf(device));
      if (device === undefined) {
        return { ...nothing, ...counts(), phase: "signed_out", recent: await recentOf(undefined, rows) };
      }
      const status = await device.status();
      const { credentials } = device;
      return {
        ...about,
        ...(credentials !== undefined && { account: { email: credentials.email } }),
        phase: phaseOf(status),
        pending: counts().pending + status.pending,
        refused: counts().refused + status.rejected,
        conflicts: (await ownConflicts(device)).length,
        isLocked: status.isLocked,
        lastSyncMs: status.meta?.lastSyncMs ?? 0,
        recent: await recentOf(device, rows),
      };
    } catch (error) {
      if (!(error instanceof StoreError)) {
        throw error;
      }
      return {
        ...nothing,
        ...counts(),
        ...about,
        phase: "unknown",
        recent: await recentOf(undefined, rows),
        problem: error.message,
      };
    }
  }

  #onEvent(event: ClientEvent): void {
    // What goes with a sign-out went before it, and the person was asked.
    if (event.event === "purged" && event.code !== "signed_out") {
      void this.#purged();
    }
    this.#tell();
  }

  /** Everything of a person goes with their access; what the server cannot have had is named. */
  async #purged(): Promise<void> {
    await forgetAll();
    const lost = await removeIntakeOf(await ownerOf(await this.#holder.device(), "also_purged"));
    if (lost > 0) {
      await tellLost(lost);
    }
    await this.#mark();
    this.#tell();
  }

  /** Tells every page the state. Changes that come while it is put together are told in one. */
  #tell(): void {
    if (this.#telling !== "idle") {
      this.#telling = "again";
      return;
    }
    this.#telling = "telling";
    void this.#state().then((state) => {
      for (const port of this.#ports) {
        port.postMessage(state);
      }
      const isAgain = this.#telling === "again";
      this.#telling = "idle";
      if (isAgain) {
        this.#tell();
      }
    });
  }
}

/** Whose browser this is; `also_purged`: or was, until the access was withdrawn. */
async function ownerOf(device: Device | undefined, which: "current" | "also_purged" = "current"): Promise<Owner> {
  const server = await readKey<string>(SERVER_KEY);
  const meta = (await device?.status())?.meta;
  const isCurrent = meta !== undefined && (meta.purged === undefined || which === "also_purged");
  return { server, userId: device?.credentials?.userId ?? (isCurrent ? meta.userId : undefined) };
}

async function rowsOf(owner: Owner): Promise<IntakeRow[]> {
  return (await intakeRows()).filter((row) => isOf(row, owner));
}

/** Rows that go to the server by themselves. */
function waitingOf(rows: readonly IntakeRow[]): number {
  return rows.filter(({ invalid }) => invalid === undefined).length;
}

function mintId(): string {
  return idV7(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
}

function phaseOf({ phase }: Status): State["phase"] {
  switch (phase) {
    case "live":
    case "depositing":
      return "live";
    case "connecting":
    case "greeting":
      return "connecting";
    case "paused":
    case "waiting":
      return "offline";
    case "stopped":
      return "stopped";
    case "signed_out":
      return "signed_out";
  }
}

function sayFailure(failure: Failure): string {
  switch (failure.failure) {
    case "refused":
      return failure.problem.message;
    case "sign_in_needed":
      return failure.message;
    case "unreachable":
      return "The server does not answer. Check its address in the options, and that it admits this extension.";
  }
}
