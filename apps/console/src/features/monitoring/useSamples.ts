import { useEffect, useState } from "react";
import { type ApiFailure, ask } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { type Health, type Sample, withSample } from "./samples.ts";

export interface ClientLag {
  readonly client_id: string;
  readonly device_id: string;
  readonly lag: number;
  readonly pending_count: number;
  readonly oldest_pending_ms: number | null;
  readonly reported_ms: number;
}

export interface Watched {
  readonly samples: readonly Sample[];
  readonly health: Health | undefined;
  readonly error: ApiFailure | undefined;
  readonly retry: () => void;
}

const EVERY_MS = 5_000;

/** Asks the server how it is, and how far this person's devices are, while the page is open. */
export function useSamples(): Watched {
  const client = useClient();
  const [round, setRound] = useState(0);
  const [watched, setWatched] = useState<Omit<Watched, "retry">>({
    samples: [],
    health: undefined,

    error: undefined,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a round begins at once when the person asks for it
  useEffect(() => {
    let isOpen = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      const began = performance.now();
      const health = await ask<Health>(client, "/health");
      const roundTripMs = Math.round(performance.now() - began);
      const status = await ask<{ readonly clients: readonly ClientLag[] }>(client, "/api/sync/status");
      if (!isOpen) {
        return;
      }
      timer = setTimeout(() => void look(), EVERY_MS);
      if (!health.ok) {
        setWatched((held) => ({ ...held, error: health.error }));
        return;
      }
      const clients = status.ok ? status.value.clients : [];
      const { service, hub } = health.value.components;
      const sample: Sample = {
        atMs: Date.now(),
        roundTripMs,
        connections: hub?.connections ?? null,
        p50Ms: service?.response_p50_ms ?? null,
        p95Ms: service?.response_p95_ms ?? null,
        pending: status.ok ? clients.reduce((sum, { pending_count }) => sum + pending_count, 0) : null,
        lag: status.ok ? clients.reduce((most, { lag }) => Math.max(most, lag), 0) : null,
      };
      setWatched((held) => ({
        samples: withSample(held.samples, sample),
        health: health.value,
        clients,
        error: undefined,
      }));
    };
    void look();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, [client, round]);
  return { ...watched, retry: () => setRound((held) => held + 1) };
}
