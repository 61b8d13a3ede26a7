// Draws the stage: the camera or the recording behind the oval, the ring, the countdown, the cue.
// A scene is plain data; painting one twice changes nothing. Never starts or stops a camera.

import { element } from "./dom.js";

const stage = element(".stage");
const camera = element("#camera");
const recording = element("#recording");
const ring = element(".oval");
const count = element(".count");
const badge = element(".badge");
const cue = element(".cue");

/** Puts the drawn head into the oval and into the cue. */
export function drawHeads() {
  for (const place of [".figure", ".cue-head"]) {
    element(place).replaceChildren(element("#head").content.cloneNode(true));
  }
}

/**
 * Paints a scene: `scene` is idle, camera or after; `ring` is none, busy, progress, good, bad or
 * warn; `progress` is 0 to 1; `action`, `step` and `label` make the cue.
 */
export function paintStage({ scene, ring: kind = "none", progress = 0, action, step = "",
  label = "", seconds = null, badge: text = "", live = false }) {
  stage.dataset.scene = scene;
  stage.dataset.ring = kind;
  ring.style.setProperty("--progress", String(progress * 100));
  ring.classList.toggle("smooth", progress > 0);
  camera.classList.toggle("on", scene === "camera");
  recording.classList.toggle("on", scene === "after" && Boolean(recording.src));
  element(".figure").dataset.action = "none";
  cue.hidden = !action;
  cue.dataset.action = action ?? "none";
  setText(element(".cue-step"), step);
  setText(element(".cue-action"), label);
  badge.hidden = !text;
  badge.classList.toggle("live", live);
  setText(badge, text);
  tick(seconds);
}

/** Shows `video` where the camera was, or nothing. Frees the one before. */
export function keepRecording(video, { mirrored = false } = {}) {
  if (recording.src) URL.revokeObjectURL(recording.src);
  recording.removeAttribute("src");
  recording.hidden = !video;
  if (!video) return;
  recording.classList.toggle("mirror", mirrored);
  recording.src = URL.createObjectURL(video);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) recording.play().catch(() => {});
}

function tick(seconds) {
  const text = seconds === null ? "" : String(seconds);
  if (count.textContent === text) return;
  count.textContent = text;
  count.classList.remove("tick");
  void count.offsetWidth; // Restarts the animation.
  count.classList.toggle("tick", text !== "");
}

function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
