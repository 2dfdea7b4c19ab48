// Which addresses the server may open in a browser.

const loopback = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** Whether `address` is https, or plain http on this computer; nothing else leaves the editor. */
export function mayOpen(address: string): boolean {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return false;
  }
  if (url.username !== "" || url.password !== "") {
    return false;
  }
  return url.protocol === "https:" || (url.protocol === "http:" && loopback.has(url.hostname));
}
