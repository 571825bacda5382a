/** Pages to capture, by path. */

export const PAGES = {
  "/profile": `<!doctype html><html lang="en"><head><title>Grace Hopper, Navy Yard Computing</title>
<script type="application/ld+json">{"@context":"https://schema.org","@type":"ProfilePage","mainEntity":{"@type":"Person",
"givenName":"Grace Brewster","familyName":"Hopper","email":"mailto:grace@navy.example","telephone":"+1 703 555 0100",
"jobTitle":"Rear Admiral","worksFor":{"@type":"Organization","name":"Navy Yard Computing","url":"https://navy.example/"}}}</script>
</head><body><h1>Grace Hopper</h1></body></html>`,

  "/shop": `<!doctype html><html lang="de"><head><title>Fahrräder aus Flensburg</title></head><body>
<div itemscope itemtype="https://schema.org/BikeStore"><span itemprop="name">Nordlicht Fahrräder GmbH</span>
<a itemprop="email" href="mailto:laden@nordlicht.example">Schreiben Sie uns</a> <span itemprop="telephone">+49 461 555 010</span>
<p itemprop="address" itemscope itemtype="https://schema.org/PostalAddress"><span itemprop="streetAddress">Schiffbrücke 12</span>
<span itemprop="postalCode">24939</span> <span itemprop="addressLocality">Flensburg</span></p></div></body></html>`,

  "/hostile": `<!doctype html><html><head><title>&lt;script&gt;globalThis.owned=1&lt;/script&gt;</title>
<script type="application/ld+json">{"@type":"Organization","name":"<img src=x onerror=globalThis.owned=1>",
"url":"javascript:globalThis.owned=1","telephone":"\\u202e+49 40 555 0199\\u0007","__proto__":{"polluted":true},
"constructor":{"prototype":{"polluted":true}},"address":${"[".repeat(2000)}${"]".repeat(2000)}}</script></head>
<body>Nothing to see</body></html>`,
};
