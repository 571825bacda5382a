// Keeps the shell of the console on the device: a reload works without a network. Data are not kept here; the SDK has them.

const VERSION = "__VERSION__";
const FILES = ["__FILES__"];
const CACHE = `console ${VERSION}`;

self.addEventListener("install", (event) => {
  // `reload`: past the browser's HTTP cache, so that one set is never made of two builds.
  const files = FILES.map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const others = (await caches.keys()).filter((name) => name.startsWith("console ") && name !== CACHE);
      await Promise.all(others.map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

// A waiting version takes over when the person says so; until then the open pages keep the files they were loaded with.
self.addEventListener("message", (event) => {
  if (event.data === "take over") {
    self.skipWaiting();
  }
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isOurs = url.origin === self.location.origin && request.method === "GET";
  if (!isOurs || /^\/(api|ws|health|metrics)(\/|$)/.test(url.pathname)) {
    return;
  }
  const path = request.mode === "navigate" ? "/" : url.pathname;
  if (FILES.includes(path)) {
    event.respondWith(
      caches
        .open(CACHE)
        .then((cache) => cache.match(path))
        .then((held) => held ?? fetch(request)),
    );
  }
});
