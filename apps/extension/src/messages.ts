/** What pages of the extension ask of the service worker, and what it answers. One map: both sides are checked by it. */

import type { Capture } from "./capture/capture.ts";
import type { ContactField, ContactFields } from "./capture/fields.ts";

/** A capture as the person wants it saved. `id` is minted once per save: asking again with it saves nothing twice. */
export interface Save {
  readonly id: string;
  readonly contact: ContactFields;
  readonly lead: Capture["lead"];
  readonly sources: Capture["sources"];
  readonly pageTitle: string;
  /** Adds the lead to this contact, and fills what it lacks, instead of making a new one. */
  readonly existing?: string;
}

export type Saved =
  /** On disk; it goes to the server by itself. */
  | { readonly saved: true }
  /** Nothing was saved. `field`: of the contact or lead. */
  | { readonly saved: false; readonly message: string; readonly field?: string };

export interface Duplicate {
  readonly id: string;
  readonly name: string;
  readonly company: string;
  /** What is the same. */
  readonly same: readonly ("email" | "phone" | "company")[];
}

export interface Recent {
  /** Of the mutation. */
  readonly id: string;
  readonly name: string;
  readonly detail: string;
  readonly state: "waiting" | "synced" | "refused" | "invalid";
  /** Why, and what to do. */
  readonly message?: string;
  /** Values to begin with when the person edits one that the server refused; absent: there is no contact in it. */
  readonly contact?: ContactFields;
  /** Of one that is invalid: everything that was to be saved. */
  readonly save?: Save;
  /** Of a refused one. */
  readonly clientSeq?: number;
}

export interface State {
  readonly server?: string;
  readonly account?: { readonly email: string };
  /** `unknown`: the local store cannot be opened; `problem` says why. */
  readonly phase: "signed_out" | "offline" | "connecting" | "live" | "stopped" | "unknown";
  /** Not on the server yet. */
  readonly pending: number;
  /** Refused by the server, or invalid. They are not among {@link pending}. */
  readonly refused: number;
  readonly conflicts: number;
  readonly isLocked: boolean;
  /** Device time; 0: never. */
  readonly lastSyncMs: number;
  readonly recent: readonly Recent[];
  readonly problem?: string;
}

/** Success or what to do. */
export type Done = { readonly done: true } | { readonly done: false; readonly message: string };

export interface Requests {
  readonly state: { readonly args: null; readonly answer: State };
  readonly save: { readonly args: Save; readonly answer: Saved };
  readonly duplicates: { readonly args: ContactFields; readonly answer: readonly Duplicate[] };
  readonly sync: { readonly args: null; readonly answer: Done };
  readonly sign_in: {
    readonly args: { readonly email: string; readonly password: string; readonly workspace: string };
    readonly answer: Done;
  };
  /** Also deletes everything of the person here. */
  readonly sign_out: { readonly args: null; readonly answer: Done };
  /** What the server does not have, for a copy that the person keeps: a JSON text. */
  readonly unsent: { readonly args: null; readonly answer: string };
  readonly set_server: { readonly args: { readonly address: string }; readonly answer: Done };
  /** Sends a refused capture again with other values of the contact. */
  readonly resend: {
    readonly args: { readonly clientSeq: number; readonly changes: Partial<Record<ContactField, string | null>> };
    readonly answer: Saved;
  };
  /** Forgets a refused or invalid capture. */
  readonly discard: { readonly args: { readonly id: string }; readonly answer: Done };
}

export type RequestName = keyof Requests;
export type Args<Name extends RequestName> = Requests[Name]["args"];
export type Answer<Name extends RequestName> = Requests[Name]["answer"];

export interface Envelope<Name extends RequestName = RequestName> {
  readonly request: Name;
  readonly args: Args<Name>;
}

/** Times a request is sent: the browser may end the service worker while it works on it. */
const ATTEMPTS = 3;

/** Asks the service worker. Every request may arrive twice and is made for it. Throws when there is no answer at all. */
export async function ask<Name extends RequestName>(request: Name, args: Args<Name>): Promise<Answer<Name>> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = (await chrome.runtime.sendMessage({ request, args } satisfies Envelope<Name>)) as
        | Answer<Name>
        | undefined;
      if (answer !== undefined && answer !== null) {
        return answer;
      }
    } catch (error) {
      if (attempt >= ATTEMPTS) {
        throw error;
      }
    }
    if (attempt >= ATTEMPTS) {
      throw new Error("the extension does not answer: close this window and try again");
    }
  }
}
