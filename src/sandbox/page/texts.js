// All texts of the page, in English and Chinese. The sentences for errors are not here: they are
// the module's (`describe`). Relies on nothing, and never touches the page.

const en = {
  sandbox: "Sandbox",
  language: "Language",
  camera: "Camera",
  result: "Result",
  notice: "Qiniu is emulated here: it checks the file, and nobody looks at the face. The video "
    + "goes to the machine that runs this sandbox, stays in its memory, and is never stored.",
  details: "Claims and response",
  close: "Close",
  claims: "Claims of the verdict",
  response: "What this page received",

  state_idle: "Is a person there?",
  lead_idle: "Do one or two things in front of the camera. The gateway checks the video, signs it "
    + "for Qiniu, and hands back a result that a backend can trust.",
  start: "Start the camera",
  again: "Check again",
  resend: "Send it again",
  cancel: "Cancel",
  choose: "Choose a video",
  sample: "Send the sample",

  step_session: "Session",
  step_recording: "Recording",
  step_upload: "Upload",
  step_verdict: "Verdict",
  plan_session: "says what to do, valid five minutes",
  plan_recording: "a few seconds, without sound",
  plan_upload: "through memory, never to disk",
  plan_verdict: "signed; pictures go to the backend",
  did_session: "{n} action|{n} actions",
  did_recording: "{seconds} s, {width} × {height}",
  did_file: "{size}, from a file",
  did_upload: "{size} sent",

  state_session: "Asking for a session",
  lead_session: "It says which action to do, and is valid for five minutes.",
  state_camera: "Waiting for the camera",
  lead_camera: "Your browser may ask whether this page may use it.",
  state_ready: "Get ready",
  lead_ready: "Keep your face in the oval, and the light in front of you.",
  state_recording: "Recording",
  lead_recording: "Calmly, and once is enough.",
  state_checking: "Looking at the file",
  lead_checking: "Codec, size and length, before anything is sent.",
  state_uploading: "Sending the video",
  lead_uploading: "It is checked and signed while it arrives.",
  state_waiting: "Waiting for the result",
  lead_waiting: "The video is there. Qiniu’s emulator is judging the file.",
  state_offline: "Connection lost",
  lead_offline: "The same video goes out again, for the same session. It is not billed twice.",
  state_busy: "Qiniu is busy",
  action_of: "{i} of {n}",
  action_blink: "Blink",
  action_head_up: "Raise your head",
  action_head_down: "Lower your head",
  action_turn_left_right: "Turn left and right",
  action_unknown: "Follow the app’s instruction",
  recording_left: "{seconds} s",
  sent_part: "{percent} % of {size}",
  yours: "Your recording, kept in this page",
  a_file: "The video that was sent",

  outcomes: "What the emulated Qiniu shall answer",
  outcome_pass: "Pass",
  outcome_action_fail: "Action failed",
  outcome_spoof: "Spoof",
  outcome_busy: "Busy",
  outcome_lost: "Lost network",
  outcome_failed: "The emulator could not be set.",

  passed: "Passed",
  not_passed: "Not passed",
  no_result: "No result",
  cancelled: "Cancelled",
  cancelled_reason: "Nothing was decided. Start again, or send a file.",
  reason_pass: "The emulator says so: the file is a valid video. Nobody looked at a face.",
  reason_action: "The emulator says that the action was not seen.",
  reason_spoof: "The emulator says that the pictures look synthetic.",
  reason_score: "The emulator’s score is not above the threshold.",
  reason_other: "The emulator’s answer does not pass.",

  fact_verdict: "Verdict",
  fact_cost: "Cost",
  fact_removed: "Taken out",
  fact_backend: "Backend",
  verdict_good: "Genuine, checked in this page",
  verdict_bad: "Do not trust it",
  verdict_unchecked: "Signed, but not checked here",
  verdict_none: "None was given",
  verdict_none_note: "Only an answer of Qiniu’s is signed.",
  check_signature: "Ed25519 signature",
  check_nonce: "this transaction",
  check_video: "this video",
  check_fresh: "valid for {minutes} min",
  check_expired: "expired",
  why_insecure: "Browsers offer no cryptography over plain HTTP. Start the sandbox with --tls.",
  why_ed25519: "This browser has no Ed25519. A backend checks it with any JWT library.",
  why_no_keys: "The key set could not be fetched.",
  why_no_key: "The key set has no such key.",
  why_malformed: "It is no verdict.",
  cost: "{n} billed call|{n} billed calls",
  cost_once: "Asked once.",
  cost_replayed: "Sent {n} times. The answer is the first call’s, from memory.",
  cost_tries: "Sent {n} times.",
  cost_none: "Qiniu took no call, so nothing is charged.",
  cost_unknown: "The emulator’s count could not be read",
  removed: "{size}, {n} picture|{size}, {n} pictures",
  removed_note: "{size} reached this page.",
  removed_none: "Nothing",
  removed_none_note: "There was no answer with pictures.",
  backend_got: "Received the pictures",
  backend_when: "For {user} at {time}, ahead of this page",
  backend_none: "Received nothing",
  backend_none_note: "There was nothing to deliver.",
  backend_unknown: "Its deliveries could not be read",
  picture: "Picture {i} for the backend",
  no_response: "No response.",
  error_code: "{code}",
  error_request: "{code} · request {id}",
  retry_after: "Try again in {n} s.",
  insecure_camera: "Browsers give a camera to HTTPS pages and to this machine only. Start the "
    + "sandbox with --tls, or send a file.",
};

const zh = {
  sandbox: "沙箱",
  language: "语言",
  camera: "摄像头",
  result: "结果",
  notice: "此处的七牛由模拟器扮演：只检查文件，不识别人脸。视频只发送到运行沙箱的机器，"
    + "仅在内存中处理，不会保存。",
  details: "声明与响应",
  close: "关闭",
  claims: "核验结果中的声明",
  response: "本页面收到的响应",

  state_idle: "证明屏幕前是真人",
  lead_idle: "请对着摄像头做一两个动作。网关检查视频，签名后转发给七牛，"
    + "再返回一份业务后端可以信任的核验结果。",
  start: "打开摄像头",
  again: "再来一次",
  resend: "重新发送",
  cancel: "取消",
  choose: "选择视频",
  sample: "发送示例视频",

  step_session: "会话",
  step_recording: "录制",
  step_upload: "上传",
  step_verdict: "核验结果",
  plan_session: "给出要做的动作，五分钟内有效",
  plan_recording: "几秒钟，不录声音",
  plan_upload: "只经过内存，不写磁盘",
  plan_verdict: "带签名；图片只交给业务后端",
  did_session: "{n} 个动作",
  did_recording: "{seconds} 秒，{width} × {height}",
  did_file: "{size}，来自文件",
  did_upload: "已发送 {size}",

  state_session: "正在获取会话",
  lead_session: "会话给出要做的动作，五分钟内有效。",
  state_camera: "正在等待摄像头",
  lead_camera: "浏览器可能会询问是否允许本页面使用摄像头。",
  state_ready: "请准备",
  lead_ready: "请将脸保持在椭圆框内，并面向光源。",
  state_recording: "正在录制",
  lead_recording: "请放慢动作，做一次即可。",
  state_checking: "正在检查文件",
  lead_checking: "发送之前先检查编码、尺寸和时长。",
  state_uploading: "正在发送视频",
  lead_uploading: "网关一边接收，一边检查并签名。",
  state_waiting: "正在等待结果",
  lead_waiting: "视频已送达，模拟器正在检查文件。",
  state_offline: "网络已断开",
  lead_offline: "稍后以同一会话重新发送同一视频，不会重复计费。",
  state_busy: "七牛繁忙",
  action_of: "第 {i} 个，共 {n} 个",
  action_blink: "请眨眼",
  action_head_up: "请抬头",
  action_head_down: "请低头",
  action_turn_left_right: "请左右转头",
  action_unknown: "请按应用提示操作",
  recording_left: "{seconds} 秒",
  sent_part: "{size} 的 {percent}%",
  yours: "刚才的录像，只保留在本页面",
  a_file: "已发送的视频",

  outcomes: "让模拟的七牛返回",
  outcome_pass: "通过",
  outcome_action_fail: "动作未通过",
  outcome_spoof: "合成图",
  outcome_busy: "繁忙",
  outcome_lost: "断网",
  outcome_failed: "未能设置模拟器。",

  passed: "通过",
  not_passed: "未通过",
  no_result: "没有结果",
  cancelled: "已取消",
  cancelled_reason: "尚未作出判断。请重新开始，或发送文件。",
  reason_pass: "由模拟器返回：视频文件有效，但没有识别人脸。",
  reason_action: "由模拟器返回：没有看到要求的动作。",
  reason_spoof: "由模拟器返回：图片疑似合成。",
  reason_score: "模拟器给出的活体分数没有超过阈值。",
  reason_other: "模拟器返回的结果不符合通过条件。",

  fact_verdict: "核验结果",
  fact_cost: "计费",
  fact_removed: "已去除",
  fact_backend: "业务后端",
  verdict_good: "本页面已验证，签名真实",
  verdict_bad: "不可信任",
  verdict_unchecked: "已签名，但未在此验证",
  verdict_none: "没有核验结果",
  verdict_none_note: "只有七牛返回的结果才会签名。",
  check_signature: "Ed25519 签名",
  check_nonce: "属于本次业务",
  check_video: "属于本视频",
  check_fresh: "{minutes} 分钟内有效",
  check_expired: "已过期",
  why_insecure: "在明文 HTTP 页面中，浏览器不提供加密接口。请用 --tls 启动沙箱。",
  why_ed25519: "此浏览器不支持 Ed25519。业务后端可用任意 JWT 库验证。",
  why_no_keys: "未能获取公钥集。",
  why_no_key: "公钥集中没有对应的公钥。",
  why_malformed: "格式有误，不是核验结果。",
  cost: "计费 {n} 次",
  cost_once: "只请求了一次。",
  cost_replayed: "共发送 {n} 次，返回的是第一次调用的结果。",
  cost_tries: "共发送 {n} 次。",
  cost_none: "七牛没有受理任何计费调用。",
  cost_unknown: "未能读取模拟器的计费次数",
  removed: "{size}，{n} 张图片",
  removed_note: "本页面只收到 {size}。",
  removed_none: "无",
  removed_none_note: "没有收到带图片的响应。",
  backend_got: "已收到图片",
  backend_when: "用户 {user}，{time}，早于本页面",
  backend_none: "没有收到",
  backend_none_note: "没有需要投递的内容。",
  backend_unknown: "未能读取投递记录",
  picture: "交给业务后端的图片 {i}",
  no_response: "没有响应。",
  error_code: "{code}",
  error_request: "{code} · 请求 {id}",
  retry_after: "请在 {n} 秒后重试。",
  insecure_camera: "浏览器只允许 HTTPS 页面和本机页面使用摄像头。请用 --tls 启动沙箱，或发送文件。",
};

const languages = { en, zh };
const stored = "liveness-language";

/** The language to begin with: that of the address (#zh), the one chosen before, the browser's. */
export function firstLanguage() {
  const wanted = [location.hash.slice(1), remembered(), ...navigator.languages];
  const known = wanted.map(tag => (tag ?? "").toLowerCase().split("-")[0]);
  return known.find(tag => Object.hasOwn(languages, tag)) ?? "en";
}

/** Keeps the language for the next visit, and in the address, so that a link carries it. */
export function keepLanguage(language) {
  history.replaceState(null, "", `#${language}`);
  try {
    localStorage.setItem(stored, language);
  } catch {
    // A browser that stores nothing still has the address.
  }
}

/** The text of `key`, with its `{values}` filled in. "one|many" is chosen by `n`. */
export function text(language, key, values = {}) {
  const [one, many = one] = languages[language][key].split("|");
  const chosen = values.n === 1 ? one : many;
  return chosen.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there is a text of this name. */
export const hasText = key => Object.hasOwn(en, key);

/** A number of bytes as people write it: 874 KB. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 9950) return `${(bytes / 1000).toFixed(1)} KB`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function remembered() {
  try {
    return localStorage.getItem(stored);
  } catch {
    return null;
  }
}
