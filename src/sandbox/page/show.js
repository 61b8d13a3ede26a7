// Shows the page's state: `view` says all of it, and `paint` shows it, as often as anything
// changes. Texts are set anew each time, so a change of language is one more painting.

import { element } from "./dom.js";
import { paintResult } from "./result.js";
import { paintStage } from "./stage.js";
import { firstLanguage, hasText, size, text } from "./texts.js";

export const view = {
  language: firstLanguage(),
  /** idle, running or result. */
  phase: "idle",
  /** Where the video comes from: "camera", or a function that resolves with one. */
  source: null,
  /** What the module reported last, while running. */
  state: null,
  /** What is known of the check: its session, its video, and the video's facts. */
  known: {},
  /** What check.js concluded. */
  outcome: null,
};

/** A text in the language of the page. */
export const say = (key, values) => text(view.language, key, values);

/** Shows `view`. */
export function paint() {
  document.documentElement.lang = view.language === "zh" ? "zh-CN" : "en";
  document.body.dataset.phase = view.phase;
  for (const place of document.querySelectorAll("[data-t]")) {
    place.textContent = say(place.dataset.t);
  }
  for (const place of document.querySelectorAll("[data-t-label]")) {
    place.setAttribute("aria-label", say(place.dataset.tLabel));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === view.language));
  }
  element("#start").textContent = say(startLabel());
  paintIntro();
  paintStage(sceneOf());
  element(".result").hidden = view.phase !== "result";
  element("#details").hidden = !view.outcome?.papers;
  if (view.phase === "result") paintResult(view.outcome, view.language);
}

function startLabel() {
  if (view.phase === "running") return "cancel";
  if (view.phase === "result" && view.outcome.again?.video) return "resend";
  return view.phase === "result" && filmed() ? "again" : "start";
}

/** What to tell somebody who does not see the page. */
export function spoken() {
  if (view.phase !== "result") return titleOf(view.state.name);
  return ["h1", ".reason"].map(part => element(`.result ${part}`).textContent).join(". ");
}

const filmed = () => view.source === "camera";

function paintIntro() {
  const name = view.phase === "running" ? view.state.name : "idle";
  element(".intro h1").textContent = titleOf(name);
  element(".lead").textContent = say(`lead_${name}`);
  const order = ["session", "recording", "upload", "verdict"];
  const now = order.indexOf(stepOf(name));
  for (const [index, step] of order.entries()) {
    const line = element(`[data-step="${step}"]`);
    line.toggleAttribute("data-done", index < now);
    line.toggleAttribute("data-now", index === now);
    element("span", line).textContent = (index < now && didOf(step)) || say(`plan_${step}`);
  }
}

/** While recording, the action is the title: it is what the person has to read. */
function titleOf(name) {
  if (name === "offline" && view.state.code !== "network") return say("state_busy");
  return name === "recording" ? actionLabel(view.state.action) : say(`state_${name}`);
}

function stepOf(name) {
  return {
    camera: "session", session: "session", ready: "recording", recording: "recording",
    checking: "recording", uploading: "upload", offline: "upload", waiting: "verdict",
  }[name];
}

function didOf(step) {
  const { session, video, width, height, seconds } = view.known;
  if (step === "session" && session) return say("did_session", { n: session.actions.length });
  if (step === "recording" && video && !width) return say("did_file", { size: size(video.size) });
  if (step === "recording" && video) {
    return say("did_recording", { seconds: seconds.toFixed(1), width, height });
  }
  return step === "upload" && video ? say("did_upload", { size: size(video.size) }) : "";
}

function actionLabel(action) {
  const key = `action_${action?.name}`;
  return say(hasText(key) ? key : "action_unknown");
}

/** The scene of the stage for what is going on. */
function sceneOf() {
  if (view.phase === "idle") return { scene: "idle" };
  const after = view.known.video ? "after" : "idle";
  if (view.phase === "result") {
    const badge = view.known.video ? say(filmed() ? "yours" : "a_file") : "";
    return { scene: after, ring: view.outcome.tone, badge };
  }
  const { name, progress = 0, secondsLeft, action, index = 0, count = 1 } = view.state;
  const step = count > 1 ? say("action_of", { i: index + 1, n: count }) : "";
  const todo = action ?? view.known.session?.actions[0];
  const cue = { action: todo?.name, step, label: actionLabel(todo) };
  switch (name) {
    case "ready": return { scene: "camera", seconds: secondsLeft, ...cue };
    case "recording": {
      const { seconds, total } = view.state;
      const left = say("recording_left", { seconds: Math.max(0, total - seconds).toFixed(1) });
      return { scene: "camera", ring: "progress", progress: seconds / total, ...cue,
        badge: left, live: true };
    }
    case "uploading": {
      const [percent, whole] = [Math.round(progress * 100), size(view.known.video.size)];
      const badge = say("sent_part", { percent, size: whole });
      return { scene: after, ring: "progress", progress, badge };
    }
    case "offline": return { scene: after, ring: "wait", badge: titleOf(name) };
    default: return { scene: after, ring: "busy", badge: say(`state_${name}`) };
  }
}
