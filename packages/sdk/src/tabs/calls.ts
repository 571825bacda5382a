/** Calls of a tab that another one answers: asked, taken, answered, or met with silence. */

import type { Reply, Request } from "./messages.ts";

/** Calls that may wait for an answer. */
const CALLS_MAX = 1_000;

/** The answer did not come in time. */
export const SILENCE = Symbol("silence");

type Call = Extract<Request, { kind: "call" }>;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  /** The leader works on it. */
  readonly taken: () => void;
}

export class Calls {
  readonly #say: (request: Request) => void;
  readonly #answerMs: number;
  readonly #waiting = new Map<string, Waiting>();

  /** `say` reaches the leader, whichever tab that is. */
  constructor(say: (request: Request) => void, answerMs: number) {
    this.#say = say;
    this.#answerMs = answerMs;
  }

  /**
   * Resolves with the answer, which may take as long as a network does, or with {@link SILENCE} when nobody takes the call, or
   * nobody says any more that it is being worked on.
   */
  async ask({ tab, call, ...asked }: Omit<Call, "kind">): Promise<unknown> {
    if (this.#waiting.size >= CALLS_MAX) {
      throw new Error(`more than ${CALLS_MAX} calls wait for the tab that leads`);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise<unknown>((resolve, reject) => {
        let isTaken = false;
        const taken = (): void => {
          isTaken = true;
        };
        const check = (): void => {
          if (!isTaken) {
            resolve(SILENCE);
            return;
          }
          isTaken = false;
          timer = setTimeout(check, this.#answerMs);
          this.#say({ kind: "still", tab, call });
        };
        this.#waiting.set(call, { resolve, reject, taken });
        timer = setTimeout(check, this.#answerMs);
        this.#say({ kind: "call", tab, call, ...asked });
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(call);
    }
  }

  /** Takes what the leader says of a call; one that nobody waits for any more is passed over. */
  take(reply: Extract<Reply, { call: string }>): void {
    const waiting = this.#waiting.get(reply.call);
    switch (reply.kind) {
      case "taken":
        waiting?.taken();
        return;
      case "answer":
        waiting?.resolve(reply.value);
        return;
      case "failure":
        waiting?.reject(new Error(reply.message));
    }
  }

  /** The tab closes: nothing will be answered. */
  close(): void {
    for (const { reject } of this.#waiting.values()) {
      reject(new Error("the tab was closed"));
    }
  }
}
