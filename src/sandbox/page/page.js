// The page: its buttons, its language, its dialog. Each event changes `view` and paints it. The
// check itself is check.js, and what the page looks like is show.js.

import { runCheck } from "./check.js";
import { element } from "./dom.js";
import { sandboxState, sandboxToken, setOutcome } from "./sandbox.js";
import { paint, say, spoken, view } from "./show.js";
import { drawHeads, keepRecording } from "./stage.js";
import { keepLanguage } from "./texts.js";

const SAMPLE = "/sample.mp4";

const start = element("#start");
const file = element("#file");
const papers = element(".papers");
const live = element("#live");

/** Ends the check that is running. */
let running = null;

drawHeads();
paint();
document.body.dataset.ready = "";
sandboxToken().catch(() => {}); // Asked for again when it is needed.
chooseOutcome().catch(() => {});

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    view.language = button.dataset.language;
    keepLanguage(view.language);
    paint();
  });
}

start.addEventListener("click", () => {
  if (running) running.abort();
  else if (view.outcome?.again?.video) run({ source: view.source, again: view.outcome.again });
  else run({ source: "camera", again: view.outcome?.again });
});
element("#choose").addEventListener("click", () => file.click());
element("#sample").addEventListener("click", () => run({ source: sampleVideo }));
file.addEventListener("change", () => {
  const [chosen] = file.files;
  file.value = "";
  if (chosen) run({ source: async () => chosen });
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && running && !papers.open) running.abort();
});

element("#details").addEventListener("click", () => {
  element("#claims").textContent = JSON.stringify(view.outcome.papers.claims, null, 2);
  element("#response").textContent = JSON.stringify(view.outcome.papers.response, null, 2);
  papers.showModal();
});
element("#close").addEventListener("click", () => papers.close());

for (const choice of document.querySelectorAll("[name=outcome]")) {
  choice.addEventListener("change", () => {
    chooseOutcome().catch(() => speak(say("outcome_failed")));
  });
}

/** Sets the emulator to the chosen outcome. A lost network is this page's: that answer passes. */
function chooseOutcome() {
  const { value } = element("[name=outcome]:checked");
  return setOutcome(value === "lost" ? "pass" : value);
}

async function sampleVideo() {
  const response = await fetch(SAMPLE);
  if (!response.ok) throw new Error(`${SAMPLE}: ${response.status}`);
  return response.blob();
}

async function run({ source, again }) {
  if (running) return;
  running = new AbortController();
  Object.assign(view, { phase: "running", source, state: { name: "session" }, outcome: null });
  if (!again?.video) {
    view.known = {};
    keepRecording(null);
  }
  start.focus({ preventScroll: true }); // The other buttons hide while a check runs.
  paint();
  element(".stage").scrollIntoView({ block: "nearest" });
  const outcome = await runCheck({
    source,
    again,
    camera: element("#camera"),
    loseAnswer: element("[name=outcome]:checked").value === "lost",
    signal: running.signal,
    report,
  });
  running = null;
  Object.assign(view, { phase: "result", outcome });
  paint();
  element(".headline").scrollIntoView({ block: "nearest" });
  speak(spoken());
}

/** What the module reports on the way. */
function report(state) {
  const before = view.state;
  view.state = state;
  for (const fact of ["session", "video", "width", "height", "seconds"]) {
    if (state[fact] !== undefined) view.known[fact] = state[fact];
  }
  if (state.video && before.video !== state.video) {
    keepRecording(state.video, { mirrored: view.source === "camera" });
  }
  paint();
  if (spoken() !== live.textContent) speak(spoken());
}

/** Tells people who do not see the page. */
function speak(sentence) {
  live.textContent = sentence;
}
