/** Where the service worker begins. Listeners are there before anything else happens: an event may be why it was started. */

import { readKey, SERVER_KEY, STATE_PORT, SYNC_ALARM } from "../keys.ts";
import type { Envelope } from "../messages.ts";
import { placeOf } from "./notices.ts";
import { Worker } from "./worker.ts";

const worker = new Worker();

chrome.runtime.onMessage.addListener((message: unknown, sender, respond) => {
  if (!isOurs(sender) || !isEnvelope(message)) {
    return false;
  }
  worker.answer(message).then(respond, () => respond(null));
  return true;
});

chrome.runtime.onConnect.addListener((port) => {
  if (port.name === STATE_PORT && isOurs(port.sender)) {
    worker.connected(port);
  }
});

chrome.alarms.onAlarm.addListener(({ name }) => {
  if (name === SYNC_ALARM) {
    void worker.round();
  }
});

chrome.notifications.onClicked.addListener((id) => {
  void readKey<string>(SERVER_KEY)
    .then((server) => chrome.tabs.create({ url: placeOf(id, server) }))
    .then(() => chrome.notifications.clear(id));
});

chrome.runtime.onInstalled.addListener(() => void worker.round());
chrome.runtime.onStartup.addListener(() => void worker.round());

/** Pages of this extension alone: not other extensions, and not what runs in a web page. */
function isOurs(sender: chrome.runtime.MessageSender | undefined): boolean {
  return sender?.id === chrome.runtime.id && sender.url?.startsWith(chrome.runtime.getURL("")) === true;
}

function isEnvelope(message: unknown): message is Envelope {
  return typeof message === "object" && message !== null && Object.hasOwn(message, "request");
}
