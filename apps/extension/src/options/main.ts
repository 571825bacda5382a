/** The options: which server, what it may be asked for, and who is signed in. */

import { ask, type State } from "../messages.ts";
import { originPattern, serverAddress } from "../server.ts";
import { byId } from "../ui/dom.ts";
import { ago, indicatorOf } from "../ui/words.ts";

const form = byId("server_form", HTMLFormElement);
const address = byId("server", HTMLInputElement);
const access = byId("access", HTMLInputElement);
const account = byId("account", HTMLElement);
const indicator = byId("indicator", HTMLElement);
const state = byId("state", HTMLElement);
const signOut = byId("sign_out", HTMLButtonElement);
const copy = byId("copy", HTMLButtonElement);
const message = byId("message", HTMLElement);

byId("origin", HTMLElement).textContent = location.origin;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void save().catch(fail);
});
signOut.addEventListener("click", () => void leave().catch(fail));
copy.addEventListener("click", () => void keep().catch(fail));
void show().catch(fail);

async function show(): Promise<State> {
  const now = await ask("state", null);
  address.value = now.server ?? "";
  access.checked = now.server !== undefined && (await isGranted(now.server));
  account.textContent =
    now.account === undefined ? "Nobody is signed in. Sign in from the popup." : `Signed in as ${now.account.email}.`;
  const { tone, text } = indicatorOf(now, Date.now());
  indicator.dataset.tone = tone;
  indicator.textContent = text;
  state.textContent = `Last sync: ${ago(now.lastSyncMs, Date.now())}.`;
  signOut.hidden = now.account === undefined;
  copy.hidden = now.pending + now.refused === 0;
  return now;
}

async function save(): Promise<void> {
  const checked = serverAddress(address.value);
  if ("error" in checked) {
    say(checked.error);
    address.focus();
    return;
  }
  const origins = [originPattern(checked.address)];
  const hasAccess = await isGranted(checked.address);
  // Asked first: the browser takes the question for the person's own only right after their click.
  if (access.checked && !hasAccess && !(await chrome.permissions.request({ origins }))) {
    access.checked = false;
    say(
      "The browser keeps this extension away from the server's address. It works all the same if the server admits the extension.",
    );
  } else if (!access.checked && hasAccess) {
    // What the administrator of the browser has granted cannot be given back here.
    await chrome.permissions.remove({ origins }).catch(() => false);
  }
  const done = await ask("set_server", { address: checked.address });
  say(done.done ? "Saved. Sign in from the popup." : done.message);
  await show();
}

/** Deletes everything of this person here. What the server does not have is named first, because it would be lost. */
async function leave(): Promise<void> {
  const { pending, refused } = await show();
  const lost = [
    ...(pending === 0 ? [] : [`${pending} not sent yet`]),
    ...(refused === 0 ? [] : [`${refused} refused or in need of a change`]),
  ];
  const what = lost.length === 0 ? "" : ` The server does not have ${lost.join(" and ")}: they will be lost.`;
  if (confirm(`Sign out and delete everything of this account from the extension?${what}`)) {
    await ask("sign_out", null);
    say("Signed out. Nothing of this account is kept in the extension any more.");
    await show();
  }
}

/** Writes what the server does not have to a file of the person's. */
async function keep(): Promise<void> {
  const url = URL.createObjectURL(new Blob([await ask("unsent", null)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "syncline-not-sent.json";
  link.click();
  URL.revokeObjectURL(url);
}

function isGranted(server: string): Promise<boolean> {
  return chrome.permissions.contains({ origins: [originPattern(server)] });
}

function fail(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
}

function say(text: string): void {
  message.textContent = text;
}
