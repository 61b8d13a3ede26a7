// Paints a result: what was decided, and the receipt of four facts. Takes plain data from check.js
// and turns it into elements. Never decides anything itself.

import { element, make } from "./dom.js";
import { size, text } from "./texts.js";

/**
 * Paints `outcome`: `{ tone, title, reason, fine, facts }`. `title` and `reason` are keys of
 * texts, or functions of the language where the sentence is the module's.
 */
export function paintResult(outcome, language) {
  const t = (key, values) => text(language, key, values);
  const say = what => (typeof what === "function" ? what(language) : t(what));
  const root = element(".result");
  root.dataset.tone = outcome.tone;
  element("h1", root).textContent = say(outcome.title);
  element(".reason", root).textContent = outcome.reasons.map(say).join(joint(language));
  const fine = element(".fine", root);
  fine.hidden = !outcome.fine;
  fine.textContent = outcome.fine ?? "";
  const { verdict, cost, removed, backend } = outcome.facts;
  fill("verdict", verdictFact(verdict, t));
  fill("cost", costFact(cost, t));
  fill("removed", removedFact(removed, t));
  fill("backend", backendFact(backend, language, t));
}

function verdictFact(verdict, t) {
  if (!verdict) return [strong(t("verdict_none")), span(t("verdict_none_note"))];
  const { checks, why, minutes } = verdict;
  const failed = Object.values(checks).includes(false);
  const title = failed ? "verdict_bad" : checks.signature ? "verdict_good" : "verdict_unchecked";
  const fresh = checks.fresh ? t("check_fresh", { minutes }) : t("check_expired");
  const labels = {
    signature: t("check_signature"),
    nonce: t("check_nonce"),
    video: t("check_video"),
    fresh,
  };
  const list = Object.entries(checks).map(([name, good]) =>
    make("span", { "data-is": { true: "yes", false: "no", null: "unknown" }[good] }, labels[name]));
  return [
    strong(t(title)),
    make("div", { class: "checks" }, ...list),
    why ? span(t(`why_${why}`)) : null,
  ];
}

function costFact({ billed, attempts, replayed }, t) {
  const title = billed === null ? t("cost_unknown") : t("cost", { n: billed });
  const sent = attempts > 1 ? t(replayed ? "cost_replayed" : "cost_tries", { n: attempts }) : null;
  const note = billed === 0 ? t("cost_none") : t("cost_once");
  return [strong(title), span(sent && billed !== 0 ? sent : note)];
}

function removedFact(removed, t) {
  if (!removed) return [strong(t("removed_none")), span(t("removed_none_note"))];
  const { bytes, pictures, received } = removed;
  return [
    strong(t("removed", { size: size(bytes), n: pictures })),
    span(t("removed_note", { size: size(received) })),
  ];
}

function backendFact(backend, language, t) {
  if (backend === null) return [strong(t("backend_unknown"))];
  if (!backend) return [strong(t("backend_none")), span(t("backend_none_note"))];
  const time = new Date(backend.time).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB");
  const shown = backend.pictures.map((src, index) =>
    make("img", { src, alt: t("picture", { i: index + 1 }), width: "60", height: "80" }));
  return [
    strong(t("backend_got")),
    span(t("backend_when", { time, user: backend.user })),
    make("div", { class: "pictures" }, ...shown),
  ];
}

function fill(name, children) {
  element(`[data-fact="${name}"] dd`).replaceChildren(...children.filter(Boolean));
}

// Chinese sentences stand together without a blank.
const joint = language => (language === "zh" ? "" : " ");
const strong = value => make("strong", {}, value);
const span = value => make("span", {}, value);
