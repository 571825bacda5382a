/** The popup: what stands where, the last captures, and the way to a new one. */

import { ID_RANDOM_BYTES, idV7 } from "@syncline/sdk/ids";
import type { Capture } from "../capture/capture.ts";
import { STATE_PORT } from "../keys.ts";
import { ask, type Recent, type State } from "../messages.ts";
import { byId, h } from "../ui/dom.ts";
import { indicatorOf } from "../ui/words.ts";
import { formOf } from "./form.ts";
import { capturePage } from "./page.ts";
import { signInForm } from "./sign-in.ts";

const RECONNECT_MS = 500;
const NOTHING: Capture = { contact: {}, sources: {}, lead: {}, pageTitle: "" };
const STATES: Readonly<Record<Recent["state"], string>> = {
  waiting: "waits here",
  synced: "on the server",
  refused: "refused",
  invalid: "needs a change",
};

const view = byId("view", HTMLElement);
const indicator = byId("indicator", HTMLElement);
const message = byId("message", HTMLElement);
/** Whether the list is shown, or a form that must not be taken away while somebody writes in it. */
let shown: "list" | "form" = "list";
let state: State | undefined;

byId("options", HTMLButtonElement).addEventListener("click", () => void chrome.runtime.openOptionsPage());
connect();
// The browser keeps this store when room gets short. Service workers cannot ask for it.
void navigator.storage.persist();

/** Listens to the state for as long as the popup is open; the service worker may come and go. */
function connect(): void {
  const port = chrome.runtime.connect({ name: STATE_PORT });
  port.onMessage.addListener((told: State) => {
    state = told;
    render();
  });
  port.onDisconnect.addListener(() => setTimeout(connect, RECONNECT_MS));
}

function render(): void {
  if (state === undefined) {
    return;
  }
  const { tone, text } = indicatorOf(state, Date.now());
  indicator.dataset.tone = tone;
  indicator.textContent = text;
  if (shown === "list") {
    showList(state);
  }
}

function showList(now: State): void {
  shown = "list";
  const focused = document.activeElement?.id ?? "";
  const isSignInWanted = now.server !== undefined && (now.account === undefined || now.phase === "signed_out");
  const held = view.querySelector("form");
  view.replaceChildren(
    h(
      "button",
      { class: "primary wide", attributes: { id: "capture", type: "button" }, on: { click: () => void capture() } },
      "Capture this page",
    ),
    ...(now.server === undefined ? [chooseServer()] : []),
    // Somebody may be writing in it.
    ...(isSignInWanted ? [held ?? signInForm()] : []),
    ...(now.conflicts > 0 ? [h("p", { class: "note" }, conflictsText(now.conflicts))] : []),
    h("h2", { attributes: { id: "recent" } }, "Recent leads"),
    now.recent.length === 0
      ? h("p", { class: "empty" }, "Nothing was captured in this browser yet.")
      : h("ul", { class: "recent", attributes: { "aria-labelledby": "recent" } }, ...now.recent.map(rowOf)),
  );
  document.getElementById(focused)?.focus();
}

function rowOf(recent: Recent): HTMLElement {
  const isOpen = recent.state === "refused" || recent.state === "invalid";
  const button = (text: string, click: () => void): HTMLElement =>
    h(
      "button",
      {
        attributes: { id: `${text} ${recent.id}`, type: "button", "aria-label": `${text} ${recent.name}` },
        on: { click },
      },
      text,
    );
  return h(
    "li",
    { attributes: { "data-state": recent.state } },
    h("div", {}, h("bdi", { class: "name" }, recent.name), h("bdi", { class: "detail" }, recent.detail)),
    h("span", { class: "state" }, STATES[recent.state]),
    ...(recent.message === undefined ? [] : [h("p", { class: "why" }, recent.message)]),
    ...(isOpen
      ? [
          h(
            "div",
            { class: "actions" },
            button("Change", () => correct(recent)),
            button("Discard", () => void discard(recent)),
          ),
        ]
      : []),
  );
}

async function capture(): Promise<void> {
  const captured = await capturePage();
  const found = "capture" in captured ? captured.capture : NOTHING;
  say("problem" in captured ? captured.problem : "");
  const id = mintId();
  showForm(
    formOf({
      capture: found,
      title: "New lead",
      parts: "contact_and_lead",
      save: (filled) => ask("save", { id, sources: found.sources, pageTitle: found.pageTitle, ...filled }),
      close,
    }),
  );
}

/** Opens a capture that was not taken as it was. */
function correct(recent: Recent): void {
  const contact = recent.contact ?? {};
  const { clientSeq } = recent;
  showForm(
    formOf({
      capture: { ...NOTHING, contact },
      title: "Change and send again",
      parts: "contact",
      save: async (filled) => {
        if (clientSeq !== undefined) {
          const cleared = Object.keys(contact).map((name) => [name, null]);
          return ask("resend", { clientSeq, changes: { ...Object.fromEntries(cleared), ...filled.contact } });
        }
        return ask("save", { id: recent.id, sources: {}, pageTitle: "", ...filled });
      },
      close,
    }),
  );
}

async function discard(recent: Recent): Promise<void> {
  const done = await ask("discard", { id: recent.id });
  say(done.done ? "Discarded." : done.message);
}

function showForm(form: HTMLFormElement): void {
  shown = "form";
  view.replaceChildren(form);
  form.querySelector("input")?.focus();
}

function close(said: string): void {
  shown = "list";
  say(said);
  if (state !== undefined) {
    showList(state);
  }
  document.getElementById("capture")?.focus();
}

function say(text: string): void {
  message.textContent = text;
}

function chooseServer(): HTMLElement {
  const open = h(
    "button",
    { attributes: { type: "button" }, on: { click: () => void chrome.runtime.openOptionsPage() } },
    "Choose your server",
  );
  return h("p", { class: "note" }, open);
}

function conflictsText(count: number): string {
  return `${count === 1 ? "1 conflict waits" : `${count} conflicts wait`} for you in the console.`;
}

function mintId(): string {
  return idV7(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
}
