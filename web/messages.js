/**
 * What to tell a person, and what an app does next, for each code: the rows of
 * docs/frontend/messages.md, with which a test compares them.
 *
 * Where a row has one text, it is a code that has the same sentence. Numbers are Qiniu's.
 */

const SENTENCES = {
  sign_in: `missing_token expired_token invalid_token token_failed|Your sign-in has expired. Please sign in again.|登录已失效，请重新登录。`,
  none: `insufficient_scope|Your account can't do this check. Please contact support.|当前账号无法进行此项检测，请联系客服。
malformed_request unknown_route method_not_allowed unsupported_media_type headers_too_large 216509 222001-222030 222046 222200 223051|Something is wrong with this app. Please update it, or contact support.|应用出现问题，请更新应用或联系客服。
6 17 19 100 110 111|upstream_unreachable
passed|The check has passed.|检测通过。
no_camera|No camera was found. Please use a phone.|未找到摄像头，请改用手机操作。
no_recorder insecure_page|This browser can't record here. Please open the page in another browser.|当前浏览器无法录制，请换用其他浏览器打开。
blink|Blink|眨眼
head_up|Raise your head|抬头
head_down|Lower your head|低头
turn_left_right|Turn your head left and right|左右转头`,
  new_session: `cancelled|The check was cancelled.|检测已取消。
session_rejected session_in_use session_used 216502 unknown_action|This check has ended. Please start again.|本次检测已结束，请重新开始。
session_expired|The time is up. Please start again.|操作已超时，请重新开始。
outcome_unknown upstream_timeout upstream_error upstream_invalid_response internal_error|The result did not arrive. Please start again.|未能获取检测结果，请重新开始。
216501 222202 222203|No face was seen. Please keep your face in the frame.|未检测到人脸，请将面部置于取景框内。
216507 216909|More than one face was seen. Please do this alone.|检测到多张人脸，请独自完成检测。
216500 action_failed|The actions were not recognised. Please do each one slowly.|未识别到指定动作，请按提示逐个完成，动作慢一些。
216434 223120 223131 not_passed|The check did not pass. Please try again.|检测未通过，请重试。
216908 223114 223115|The picture is dark or blurred. Please find good light and hold still.|画面过暗或模糊，请在光线充足处保持稳定。
223113 223121-223127|Your face is covered. Please take off mask or glasses.|面部有遮挡，请摘下口罩、眼镜等遮挡物。
223116 223129|Please face the camera, with your whole face in the frame.|请正对镜头，确保整张脸在取景框内。
216510|video_too_long
216432 216433 216508 222304|video_rejected
2 4 18 216430 216431 216505 216506 216612 222201 222205 222206 222302 222901-222916|The service is busy. Please start again in a moment.|服务繁忙，请稍后重新开始。
other|The check could not be completed. Please start again.|检测未能完成，请重新开始。`,
  record_again: `body_too_large video_too_large|The video is too large. Please record a shorter one.|视频过大，请重新录制一段较短的视频。
video_rejected video_dimensions video_not_h264 video_not_mp4|This video can't be used. Please record it again.|视频无法使用，请重新录制。
camera_denied|Please allow the camera in the settings, then try again.|请在设置中允许使用摄像头，然后重试。
camera_busy|The camera is in use. Please close other apps, then try again.|摄像头被占用，请关闭其他应用后重试。
camera_timeout|The camera did not start. Please try again.|摄像头未能启动，请重试。
camera_interrupted|The recording was interrupted. Please record it again.|录制被中断，请重新录制。
video_too_short|The video is too short. Please record it again.|视频过短，请重新录制。
video_too_long|The video is longer than 10 seconds. Please record it again.|视频超过 10 秒，请重新录制。`,
  same: `request_timeout body_too_slow|The network is too slow. Please find a better connection.|网络过慢，请切换到信号更好的网络。
overloaded shutting_down upstream_busy not_ready|The service is busy. Please try again in a moment.|服务繁忙，请稍后重试。
network|The network was lost. Please try again when you are online.|网络已中断，请恢复网络后重试。
timeout|This takes too long. Please check your network, then try again.|等待时间过长，请检查网络后重试。
offline|No connection, or the service is busy. It goes on by itself.|网络中断或服务繁忙，恢复后将自动继续。`,
  later: `rate_limited too_many_concurrent|Too many tries. Please wait a moment, then try again.|操作过于频繁，请稍后再试。
quota_exceeded|You have no tries left for now. Please try again later.|检测次数已用完，请过一段时间再试。
upstream_unreachable upstream_rejected_credentials upstream_rejected_request bad_response|The service is not available now. Please try again later.|服务暂时不可用，请稍后再试。`,
};

const ROWS = Object.entries(SENTENCES).flatMap(([next, rows]) =>
  rows.split("\n").map((row) => [next, ...row.split("|")]));

/** The row of a code, or of a number of Qiniu's. */
function rowOf(code) {
  const wanted = String(code).replace("qiniu_", "");
  const found = ROWS.find(([, codes]) => codes.split(" ").some((known) => {
    const [from, to] = known.split("-");
    return known === wanted || (Number(wanted) >= from && Number(wanted) <= to);
  }));
  return found ?? rowOf("other");
}

export const retryOf = (code) => rowOf(code)[0];

export function describe(code, language = "en") {
  const [, , english, chinese] = rowOf(code);
  if (!chinese) return describe(english, language);
  return /^zh/i.test(language) ? chinese : english;
}
