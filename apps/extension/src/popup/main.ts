/** The popup: what stands where, the last captures, and the way to a new one. */

import { ID_RANDOM_BYTES, idV7 } from "@syncline/sdk/ids";
import type { Capture } from "../capture/capture.ts";
import { STATE_PORT } from "../keys.ts";
import { ask, type Recent, type State } from "../messages.ts";
import { byId, h } from "../ui/dom.ts";
import { indicatorOf } from "../ui/words.ts";
import { formOf, LABELS } from "./form.ts";
import { capturePage, serverInFront } from "./page.ts";
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
/** The server whose console is in front. */
let front: string | undefined;

byId("options", HTMLButtonElement).addEventListener("click", () => attempt(chrome.runtime.openOptionsPage()));
connect();
void serverInFront().then((found) => {
  front = found;
  render();
});
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
      { class: "primary wide", attributes: { id: "capture", type: "button" }, on: { click: () => attempt(capture()) } },
      "Capture this page",
    ),
    ...(now.server === undefined ? [chooseServer()] : []),
    // Somebody may be writing in it.
    ...(isSignInWanted ? [held ?? signInForm()] : []),
    ...(now.conflicts > 0 && now.server !== undefined ? [conflictsNote(now.conflicts, now.server)] : []),
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
    ...(recent.message === undefined ? [] : [h("p", { class: "why" }, inWords(recent.message))]),
    ...(isOpen
      ? [
          h(
            "div",
            { class: "actions" },
            recent.save !== undefined || recent.contact !== undefined
              ? button("Change", () => correct(recent))
              : button("Send again", () => attempt(sendAgain(recent))),
            button("Discard", () => attempt(discard(recent))),
          ),
        ]
      : []),
  );
}

/** What is wrong with a value begins with the name of its field, which on screens is another one. */
function inWords(message: string): string {
  const [name = "", ...rest] = message.split(": ");
  const label = Object.entries(LABELS).find(([field]) => field === name)?.[1];
  return label === undefined ? message : [label, ...rest].join(": ");
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
  const title = "Change and send again";
  const { save, contact = {}, clientSeq } = recent;
  if (save !== undefined) {
    const { existing, ...kept } = save;
    showForm(
      formOf({
        capture: kept,
        title,
        parts: "contact_and_lead",
        ...(existing !== undefined && { existing }),
        save: (filled) => ask("save", { ...kept, ...filled }),
        close,
      }),
    );
  } else if (clientSeq !== undefined) {
    const cleared = Object.fromEntries(Object.keys(contact).map((name) => [name, null]));
    showForm(
      formOf({
        capture: { ...NOTHING, contact },
        title,
        parts: "contact",
        save: (filled) => ask("resend", { clientSeq, changes: { ...cleared, ...filled.contact } }),
        close,
      }),
    );
  }
}

async function sendAgain({ clientSeq }: Recent): Promise<void> {
  if (clientSeq !== undefined) {
    const sent = await ask("resend", { clientSeq, changes: {} });
    say(sent.saved ? "Sent again." : sent.message);
  }
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

/** What the service worker could not do is said, not swallowed. */
function attempt(work: Promise<unknown>): void {
  work.catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
}

function say(text: string): void {
  message.textContent = text;
}

/** With the console in front its server is one click away. */
function chooseServer(): HTMLElement {
  const button = (id: string, text: string, click: () => void): HTMLElement =>
    h("button", { attributes: { id, type: "button" }, on: { click } }, text);
  return h(
    "p",
    { class: "note" },
    ...(front === undefined ? [] : [button("use_front", `Use ${front}`, () => attempt(use(front ?? "")))]),
    button(
      "choose_server",
      front === undefined ? "Choose your server" : "Another server",
      () => void chrome.runtime.openOptionsPage(),
    ),
  );
}

async function use(address: string): Promise<void> {
  const done = await ask("set_server", { address });
  say(done.done ? "" : done.message);
}

function conflictsNote(count: number, server: string): HTMLElement {
  const text = `${count === 1 ? "1 conflict waits" : `${count} conflicts wait`} for you`;
  const open = (): void => void chrome.tabs.create({ url: `${server}/conflicts` });
  return h("p", { class: "note" }, h("button", { attributes: { type: "button" }, on: { click: open } }, text));
}

function mintId(): string {
  return idV7(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
}
