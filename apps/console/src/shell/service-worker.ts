/** Registers the service worker, which keeps the shell on the device, and says when a new version waits. */

const listeners = new Set<() => void>();
let waiting: ServiceWorker | undefined;

/** Only of a build: in development there is no `sw.js`. */
export async function registerServiceWorker(): Promise<void> {
  if (!("serviceWorker" in navigator) || import.meta.env.DEV) {
    return;
  }
  const hadOne = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    // The first worker takes a page that was loaded from the network; only its successor brings other files.
    if (hadOne) {
      location.reload();
    }
  });
  const registration = await navigator.serviceWorker.register("/sw.js");
  const note = (worker: ServiceWorker | null): void => {
    if (worker !== null && navigator.serviceWorker.controller !== null) {
      waiting = worker;
      for (const listener of listeners) {
        listener();
      }
    }
  };
  note(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const arriving = registration.installing;
    arriving?.addEventListener("statechange", () => arriving.state === "installed" && note(arriving));
  });
}

export function onUpdate(listener: () => void): () => void {
  listeners.add(listener);
  if (waiting !== undefined) {
    listener();
  }
  return () => listeners.delete(listener);
}

/** Lets the waiting version take over; every tab loads itself again. */
export function takeOver(): void {
  waiting?.postMessage("take over");
}
