import { expect, it } from "vitest";
import { complaintsOf, type Health, spanOf } from "../src/features/monitoring/samples.ts";

const health = (components: Health["components"]): Health => ({ status: "degraded", components });
const MB = 1e6;

it.each([
  ["one sample", [1_000_000], 999_700],
  ["samples of two minutes", [999_880, 1_000_000], 999_700],
  ["samples of ten minutes", [999_400, 1_000_000], 999_400],
])("[WEB-1] with %s a chart shows at least five minutes that end with the last one", (_, times, from) => {
  const [begins, ends] = spanOf(times);
  expect(begins).toBe(from);
  expect(ends).toBeGreaterThan(1_000_000);
  expect(ends).toBeLessThan(1_000_020);
});

it.each<[string, Health["components"], readonly RegExp[]]>([
  ["nothing", { database: { status: "ok" }, bus: { status: "connected" } }, []],
  ["the database", { database: { status: "failing", is_ok: false } }, [/database does not answer/]],
  ["a slow database", { database: { status: "degraded", is_ok: true, response_ms: 1_500 } }, [/took 1,500 ms/]],
  ["the queue", { writer: { status: "degraded", queue_depth: 600, queue_max: 1_024 } }, [/600 of 1,024/]],
  ["stopping", { hub: { status: "failing", connections: 0 } }, [/about to stop/]],
  [
    "the disk",
    { system: { status: "degraded", disk_free_bytes: 90 * MB, disk_total_bytes: 1_000 * MB, cpu_load: 0.1 } },
    [/disk is nearly full: 90 MB/],
  ],
  ["the processors", { system: { status: "degraded", cpu_load: 3.25 } }, [/busy: 3\.[23] programs/]],
  ["answers", { service: { status: "degraded", response_p95_ms: 900, error_rate: 0.02 } }, [/900 ms, and 2%/]],
  ["the bus", { bus: { status: "degraded" } }, [/nodes do not reach each other/]],
])("[WEB-1] a server that is not well says why: %s", (_, components, expected) => {
  const said = complaintsOf(health(components));
  expect(said).toHaveLength(expected.length);
  for (const [place, pattern] of expected.entries()) {
    expect(said[place]).toMatch(pattern);
  }
});
