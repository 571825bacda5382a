/** What is not synced is asked for over HTTP: devices, people, history, health. It needs the network and says so. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Crm } from "./client.ts";
import { useClient } from "./live.ts";

/** Why there is no answer, for a person. */
export type ApiFailure =
  | { readonly failure: "offline"; readonly message: string }
  | { readonly failure: "sign_in_needed"; readonly message: string }
  | { readonly failure: "refused"; readonly code: string; readonly message: string; readonly field?: string };

export type ApiResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ApiFailure };

const TIMEOUT_MS = 20_000;

export interface ApiRequest {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly body?: unknown;
}

/** Asks the server as the person signed in; renews the token once when it is refused. `T` is what the endpoint answers. */
export async function ask<T>(
  client: Crm,
  path: string,
  { method = "GET", body }: ApiRequest = {},
): Promise<ApiResult<T>> {
  for (const renew of ["if_needed", "always"] as const) {
    const token = await client.token(renew);
    if (!token.ok) {
      const { error } = token;
      return error.failure === "refused"
        ? refused(error.problem)
        : { ok: false, error: error.failure === "unreachable" ? OFFLINE : { ...error, failure: "sign_in_needed" } };
    }
    const answer = await send(path, {
      method,
      headers: {
        authorization: `Bearer ${token.value}`,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (answer === undefined) {
      return { ok: false, error: OFFLINE };
    }
    if (answer.status !== 401 || renew === "always") {
      return read<T>(answer);
    }
  }
  return { ok: false, error: OFFLINE };
}

const OFFLINE: ApiFailure = {
  failure: "offline",
  message: "The server cannot be reached. Check the network and try again.",
};

async function send(path: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(path, init);
  } catch {
    return undefined;
  }
}

async function read<T>(answer: Response): Promise<ApiResult<T>> {
  const body: unknown = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  if (answer.ok) {
    return { ok: true, value: body as T };
  }
  const problem = (body ?? {}) as { code?: string; message?: string; field?: string };
  return typeof problem.code === "string"
    ? refused({
        code: problem.code,
        message: problem.message ?? problem.code,
        ...(problem.field !== undefined && { field: problem.field }),
      })
    : { ok: false, error: OFFLINE };
}

function refused(problem: {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
}): ApiResult<never> {
  const { code, message, field } = problem;
  return { ok: false, error: { failure: "refused", code, message, ...(field !== undefined && { field }) } };
}

export type Remote<T> =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly data: T }
  | { readonly state: "failed"; readonly error: ApiFailure; readonly data?: T };

/** An answer of the server and a way to ask again; keeps what it has while it asks. */
export function useRemote<T>(path: string): { readonly remote: Remote<T>; readonly reload: () => Promise<void> } {
  const client = useClient();
  const [remote, setRemote] = useState<Remote<T>>({ state: "loading" });
  const asked = useRef(0);
  const reload = useCallback(async () => {
    asked.current += 1;
    const round = asked.current;
    const answer = await ask<T>(client, path);
    // An answer to an earlier question does not replace that to a later one.
    if (round === asked.current) {
      setRemote((before) =>
        answer.ok
          ? { state: "ready", data: answer.value }
          : { state: "failed", error: answer.error, ...("data" in before && { data: before.data as T }) },
      );
    }
  }, [client, path]);
  useEffect(() => {
    void reload();
  }, [reload]);
  return { remote, reload };
}
