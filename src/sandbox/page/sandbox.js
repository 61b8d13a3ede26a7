// What only a sandbox has: tokens for the asking, the emulator's outcome and count, what the
// backend received, and a transport that loses an answer. An app has none of these.

let token = null;

/** The token of this page; a new one if there is none yet, or if `refresh` asks for it. */
export async function sandboxToken({ refresh = false } = {}) {
  if (refresh || !token) {
    token = ask("/sandbox/token", { method: "POST" }).then(answer => answer.token);
    token.catch(() => { token = null; });
  }
  return token;
}

/** Sets what the emulator answers to the next valid video. */
export function setOutcome(outcome) {
  return ask("/sandbox/outcome", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ outcome }),
  });
}

/** What the emulator counted and the backend received; null if that can't be read. */
export async function sandboxState() {
  try {
    return await ask("/sandbox/state");
  } catch {
    return null;
  }
}

/** The pictures of a delivery as `data:` URLs; none if they can't be read. */
export async function evidencePictures(id) {
  try {
    const { pictures } = await ask(`/sandbox/evidence/${encodeURIComponent(id)}`);
    return pictures.filter(picture => picture.startsWith("data:image/"));
  } catch {
    return [];
  }
}

/** A nonce as an app's backend would make it: 32 hexadecimal digits. */
export function freshNonce() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(random, byte => byte.toString(16).padStart(2, "0")).join("");
}

async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}
