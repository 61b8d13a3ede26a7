// The sentences of docs/frontend/messages.md, for programs: `messages()` reads the page's tables.
// Run with `--write`, this file writes docs/frontend/messages.json from them.
// It relies on the columns `code | next | English | 中文`, and never changes the page.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
export const page = new URL("docs/frontend/messages.md", root);
export const file = new URL("docs/frontend/messages.json", root);

/** The rows of the page's tables: `{ section, code, next, en, zh }`, one for each code. */
export function rows() {
  const found = [];
  let section = "";
  for (const line of readFileSync(page, "utf8").split("\n")) {
    if (line.startsWith("## ")) section = line.slice(3);
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    if (cells.length !== 4 || /^(code|`error_code`|digit|-+)$/.test(cells[0])) continue;
    const [codes, next, en, zh] = cells;
    for (const code of expanded(codes)) {
      found.push({ section, code, next: next.replaceAll("`", ""), en, zh });
    }
  }
  return found;
}

/** "`a`, `b`" or "1, 3–5" as single codes. */
function expanded(cell) {
  return cell.split(", ").flatMap((part) => {
    const range = /^(\d+)–(\d+)$/.exec(part);
    if (!range) return [part.replaceAll("`", "")];
    const [first, last] = range.slice(1).map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
  });
}

/** What messages.json holds: the sentences and the next step by code. */
export function messages() {
  const entries = rows().map(({ section, code, next, en, zh }) => {
    if (section === "Actions") return [`action_${code}`, { name: next, en, zh }];
    return [code === "any other" ? "other" : code, { next, en, zh }];
  });
  return Object.fromEntries(entries);
}

/** The text of messages.json: a line for each code. */
export function text() {
  const lines = Object.entries(messages())
    .map(([code, entry]) => `"${code}": ${JSON.stringify(entry)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "--write") {
  writeFileSync(file, text());
}
