/** Runs steps one after the other: a replica has one owner. */

/** Steps that may wait. More are refused, so that a stuck store cannot fill the memory. */
const WAITING_MAX = 10_000;

export class Serial {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  get waiting(): number {
    return this.#waiting;
  }

  /** Runs `work` after everything that was given before, also when that failed. */
  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX) {
      return Promise.reject(new Error(`more than ${WAITING_MAX} steps wait for the local store`));
    }
    this.#waiting += 1;
    const done = this.#last.then(work, work).finally(() => {
      this.#waiting -= 1;
    });
    // The one who gave the step hears of its failure; the next step does not.
    this.#last = done.catch(() => undefined);
    return done;
  }
}
