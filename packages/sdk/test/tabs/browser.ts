/** Tabs of one browser as far as they meet: Web Locks, and a channel between them that can freeze. */

interface Request {
  readonly name: string;
  readonly grant: () => void;
  readonly steal: (by: DOMException) => void;
}

/** Web Locks: exclusive, in order, with `ifAvailable`, `steal` and `signal`. */
export class FakeLocks {
  readonly #held = new Map<string, Request>();
  readonly #queues = new Map<string, Request[]>();

  request(name: string, options: LockOptions, work: (lock: Lock | null) => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#queue(name).splice(
          0,
          Number.POSITIVE_INFINITY,
          ...this.#queue(name).filter((other) => other !== request),
        );
        reject(new DOMException("aborted", "AbortError"));
      };
      const request: Request = {
        name,
        steal: reject,
        grant: () => {
          options.signal?.removeEventListener("abort", abort);
          this.#held.set(name, request);
          const ended = work({ name, mode: "exclusive" } as Lock);
          ended.then(resolve, reject).finally(() => this.#release(request));
        },
      };
      if (options.steal === true) {
        this.#held.get(name)?.steal(new DOMException("stolen", "AbortError"));
        request.grant();
      } else if (!this.#held.has(name)) {
        request.grant();
      } else if (options.ifAvailable === true) {
        work(null).then(resolve, reject);
      } else {
        options.signal?.addEventListener("abort", abort);
        this.#queue(name).push(request);
      }
    });
  }

  #release(request: Request): void {
    if (this.#held.get(request.name) === request) {
      this.#held.delete(request.name);
      this.#queue(request.name).shift()?.grant();
    }
  }

  #queue(name: string): Request[] {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return queue;
  }
}

/** Channels by name; a message is cloned and arrives later, except at a frozen tab, which gets it when it wakes. */
export class FakeChannel {
  static readonly open = new Set<FakeChannel>();
  onmessage: ((event: { data: unknown }) => void) | null = null;
  isFrozen = false;
  readonly name: string;
  readonly #kept: unknown[] = [];

  constructor(name: string) {
    this.name = name;
    FakeChannel.open.add(this);
  }

  postMessage(message: unknown): void {
    for (const channel of FakeChannel.open) {
      if (channel !== this && channel.name === this.name) {
        const data = structuredClone(message);
        setTimeout(() => channel.#deliver(data), 0);
      }
    }
  }

  wake(): void {
    this.isFrozen = false;
    for (const data of this.#kept.splice(0)) {
      this.#deliver(data);
    }
  }

  close(): void {
    FakeChannel.open.delete(this);
  }

  #deliver(data: unknown): void {
    if (this.isFrozen) {
      this.#kept.push(data);
    } else if (FakeChannel.open.has(this)) {
      this.onmessage?.({ data });
    }
  }
}
