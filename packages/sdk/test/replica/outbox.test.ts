import { expect, it } from "vitest";
import type { Op } from "../../src/protocol/frames.ts";
import { Outbox } from "../../src/replica/outbox.ts";
import type { Pending } from "../../src/replica/store.ts";

function id(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

function update(number: number): Op {
  return { op: "update", entity: "leads", id: id(number), base_rv: 1, fields: {} };
}

function pending(clientSeq: number, ops: readonly Op[]): Pending {
  return { mutation: { mutation_id: id(clientSeq), client_seq: clientSeq, age_ms: 0, ops }, authoredMs: 1 };
}

function seqs(found: Iterable<Pending>): number[] {
  return [...found].map(({ mutation }) => mutation.client_seq);
}

it("[VEW-1] knows which records its mutations touch, through replacement and deletion", () => {
  const outbox = new Outbox();
  outbox.set(pending(1, [update(1), update(2), update(1)]));
  outbox.set(pending(10, [update(1), { op: "create", entity: "contacts", id: id(1), fields: {} }]));
  outbox.set(pending(2, [update(1), { op: "resolve", id: id(5), base_rv: 1, resolution: "use_mine" }]));
  const touching = (entity: string, number: number): number[] => seqs(outbox.touching([entity, id(number)]));
  expect(touching("leads", 1)).toEqual([1, 2, 10]);
  expect(touching("leads", 2)).toEqual([1]);
  expect(touching("contacts", 1)).toEqual([10]);
  expect(touching("conflicts", 5)).toEqual([2]);
  expect(outbox.touched("leads")).toEqual([
    ["leads", id(1)],
    ["leads", id(2)],
  ]);
  outbox.set(pending(1, [update(3)]));
  expect(touching("leads", 1)).toEqual([2, 10]);
  expect(touching("leads", 2)).toEqual([]);
  outbox.delete(2);
  outbox.delete(10);
  outbox.delete(10);
  expect(touching("leads", 1)).toEqual([]);
  expect(outbox.touched("leads")).toEqual([["leads", id(3)]]);
  expect(outbox.touched("contacts")).toEqual([]);
});

it("is in order of client_seq, whatever was put first", () => {
  const outbox = new Outbox();
  for (const clientSeq of [3, 10, 1, 2, 3]) {
    outbox.set(pending(clientSeq, [update(clientSeq)]));
  }
  expect(seqs(outbox.all())).toEqual([1, 2, 3, 10]);
  expect(seqs(outbox.from(2, 2))).toEqual([2, 3]);
  expect(outbox.size).toBe(4);
  outbox.delete(1);
  outbox.set(pending(4, []));
  expect(seqs(outbox.from(0))).toEqual([2, 3, 4, 10]);
  expect(outbox.touching(["leads", id(1)])).toEqual([]);
  outbox.clear();
  expect(outbox.size).toBe(0);
});
