// The code blocks of a Markdown page, so that tests run what the page shows.
// A block that is a file has its name behind the language: ```js app.js
import { readFileSync } from "node:fs";

/** `{ language, name, text }` of each fenced block of a page, `name` empty where there is none. */
export function blocks(page) {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
  const found = text.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language, name, code]) => ({ language, name, text: code }));
}

/** The text of the one block of a page with this file name. */
export function file(page, name) {
  const found = blocks(page).filter((block) => block.name === name);
  if (found.length !== 1) throw new Error(`${page} has ${found.length} blocks ${name}`);
  return found[0].text;
}
