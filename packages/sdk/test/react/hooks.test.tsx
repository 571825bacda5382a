// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { StrictMode, startTransition, useState } from "react";
import { afterEach, expect, it, vi } from "vitest";
import type { CrmEntities } from "../../src/crm/index.ts";
import type { Client } from "../../src/index.ts";
import { hooksFor, SynclineProvider, useAuth, useConflicts, useSyncState } from "../../src/react/index.ts";
import { offlineDevice } from "../client/offline.ts";
import { App } from "../readme/react.tsx";

const { useClient, useMutation, useQuery, useRecord } = hooksFor<CrmEntities>();
const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
afterEach(cleanup);

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets promises and renders come to rest. */
async function settle(): Promise<void> {
  await act(() => pause(20));
}

async function shown(client: Client<CrmEntities>, component: React.ReactNode): Promise<void> {
  render(
    <StrictMode>
      <SynclineProvider client={client}>{component}</SynclineProvider>
    </StrictMode>,
  );
  await settle();
}

it("useQuery loads, follows edits, and takes another query", async () => {
  const client = await offlineDevice();
  await client.db.contacts.create({ firstname: "Ada", city: "London" });
  function People() {
    const [city, setCity] = useState("London");
    const { state, rows } = useQuery("contacts", { where: { city }, sort: "firstname" });
    return (
      <button type="button" onClick={() => setCity("Paris")}>
        {state}: {rows.map(({ fields }) => fields.firstname).join(", ")}
      </button>
    );
  }
  await shown(client, <People />);
  const button = screen.getByRole("button");
  expect(button.textContent).toBe("ready: Ada");
  await client.db.contacts.create({ firstname: "Bob", city: "London" });
  await client.db.contacts.create({ firstname: "Eve", city: "Paris" });
  await settle();
  expect(button.textContent).toBe("ready: Ada, Bob");
  act(() => button.click());
  await settle();
  expect(button.textContent).toBe("ready: Eve");
});

it("two components never show two states of one record, also while a transition renders", async () => {
  const client = await offlineDevice();
  const made = await client.db.contacts.create({ firstname: "0" });
  const id = made.ok ? made.value : "";
  const torn = vi.fn();
  let rerender: (count: number) => void = () => undefined;
  const seen = new Map<string, string | undefined>();
  function Half({ name }: { name: string }) {
    const record = useRecord("contacts", id);
    // A slow render gives edits the time to come in between.
    for (const endMs = performance.now() + 2; performance.now() < endMs; );
    seen.set(name, record?.fields.firstname);
    return <span>{record?.fields.firstname}</span>;
  }
  function Both() {
    const [count, setCount] = useState(0);
    rerender = setCount;
    return (
      <div data-testid="both">
        {NAMES.map((name) => (
          <Half key={name} name={`${count} ${name}`} />
        ))}
      </div>
    );
  }
  await shown(client, <Both />);
  const observer = new MutationObserver(() => {
    const texts = new Set([...document.querySelectorAll("span")].map((span) => span.textContent));
    if (texts.size > 1) {
      torn([...texts]);
    }
  });
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
  // Only outside of `act` does React render in slices.
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
  for (let count = 1; count <= 10; count++) {
    startTransition(() => rerender(count));
    await pause(8);
    await client.db.contacts.update(id, { firstname: String(count) });
    await pause(80);
  }
  vi.unstubAllGlobals();
  observer.disconnect();
  expect(torn).not.toHaveBeenCalled();
  expect(screen.getByTestId("both").textContent).toBe("10".repeat(10));
  expect(seen.size).toBeGreaterThan(10);
});

it("useMutation, useSyncState, useConflicts and useAuth", async () => {
  const client = await offlineDevice();
  function Panel() {
    const { create } = useMutation("tasks");
    const status = useSyncState();
    const conflicts = useConflicts();
    const { isReady, credentials } = useAuth();
    const isSame = useClient() === client;
    const contacts = useMutation("tasks");
    return (
      <button type="button" onClick={() => void contacts.create({ title: "Call" })}>
        {[status?.pending, conflicts.rows.length, isReady, credentials === undefined, isSame, typeof create].join(" ")}
      </button>
    );
  }
  await shown(client, <Panel />);
  const button = screen.getByRole("button");
  expect(button.textContent).toBe("0 0 true true true function");
  act(() => button.click());
  await settle();
  expect(button.textContent).toBe("1 0 true true true function");
});

it("a component without a provider says so", () => {
  const silence = vi.spyOn(console, "error").mockImplementation(() => undefined);
  expect(() => render(<Lonely />)).toThrow("no SynclineProvider");
  silence.mockRestore();
});

function Lonely() {
  useClient();
  return null;
}

it("the code of the README lists people, shows a record and changes it", async () => {
  const client = await offlineDevice();
  const made = await client.db.contacts.create({ lastname: "Hopper", tags: ["navy"], job_title: "Captain" });
  const id = made.ok ? made.value : "";
  render(<App client={client} id={id} />);
  await settle();
  expect(screen.getByLabelText("People").textContent).toBe("Hopper");
  const input = screen.getByRole("textbox") as HTMLInputElement;
  expect(input.value).toBe("Captain");
  await act(async () => {
    fireEvent.focus(input);
    fireEvent.change(input, { target: { value: "Admiral" } });
    await pause(20);
  });
  expect(input.value).toBe("Admiral");
  expect((await client.db.contacts.get(id))?.fields.job_title).toBe("Admiral");
});
