/** The address of a server: checked, and the permission that goes with it. */

/** Its origin and path without a slash at the end, or why it is none. */
export function serverAddress(text: string): { readonly address: string } | { readonly error: string } {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.hostname === "") {
    return { error: "Write an address like https://crm.example.com." };
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { error: "Write the address alone, without a user name, question mark or number sign." };
  }
  const isLocal = url.hostname === "localhost" || url.hostname === "127.0.0.1";
  if (url.protocol === "http:" && !isLocal) {
    return { error: "Use https: over http anybody on the way could read your leads." };
  }
  return { address: url.href.replace(/\/+$/, "") };
}

/** The match pattern of exactly this server's host. */
export function originPattern(address: string): string {
  const { protocol, host } = new URL(address);
  return `${protocol}//${host}/*`;
}
