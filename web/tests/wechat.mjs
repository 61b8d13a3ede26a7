// A stand-in for WeChat's `wx` and `Page`: enough for the mini program of docs/frontend/wechat.md.
// Requests go over real connections; `uploadFile` writes a form's bytes as WeChat does: fields
// first, then the file, a boundary of its own, one Content-Length. It never records: `stopRecord`
// hands out the file that it was given.
import { readFileSync } from "node:fs";
import { request } from "node:http";
import vm from "node:vm";

/** Sends one request; calls `done(error, { statusCode, data, header })`, like WeChat's. */
function send(url, headers, body, done, onHeaders = () => {}) {
  const outgoing = request(url, { method: "POST", headers }, (response) => {
    const header = Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [capitalised(name), value]),
    );
    onHeaders(header);
    let data = "";
    response.setEncoding("utf8").on("data", (chunk) => { data += chunk; });
    response.on("end", () => done(null, { statusCode: response.statusCode, data, header }));
    response.on("error", done);
  });
  outgoing.on("error", done);
  outgoing.end(body);
  return outgoing;
}

const capitalised = (name) => name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** The bytes of a form as `wx.uploadFile` writes them. */
export function form(formData, name, path) {
  const boundary = "----7MA4YWxkTrZu0gW";
  const fields = Object.entries(formData).map(([field, value]) => `--${boundary}\r\n`
    + `Content-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`);
  const head = `${fields.join("")}--${boundary}\r\nContent-Disposition: form-data; name="${name}"; `
    + `filename="${path.split("/").pop()}"\r\nContent-Type: video/mp4\r\n\r\n`;
  const body = Buffer.concat([
    Buffer.from(head), readFileSync(path), Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return { body, type: `multipart/form-data; boundary=${boundary}` };
}

/**
 * Loads the files of a mini program, `{ "index.js": text, … }`, and returns its page. `video` is
 * the path of what the camera records. `lose` makes the first upload lose its response.
 */
export function miniProgram(files, { video, facts, base, lose = false }) {
  const calls = { uploads: 0, requests: 0, progress: [] };
  let page;
  const wx = {
    request({ url, data, header, success, fail }) {
      calls.requests += 1;
      const body = data === undefined ? "" : JSON.stringify(data);
      const headers = { ...header, "Content-Length": Buffer.byteLength(body) };
      send(local(url), headers, body, (error, result) => {
        if (error) return fail({ errMsg: "request:fail" });
        let parsed = result.data;
        try { parsed = JSON.parse(result.data); } catch { /* as text, like WeChat */ }
        return success({ ...result, data: parsed });
      });
    },
    uploadFile({ url, filePath, name, header, formData, success, fail }) {
      calls.uploads += 1;
      const lost = lose && calls.uploads === 1;
      const { body, type } = form(formData, name, filePath);
      const headers = { ...header, "Content-Type": type, "Content-Length": body.length };
      let onHeaders = () => {};
      let onProgress = () => {};
      let aborted = false;
      const outgoing = send(local(url), headers, body, (error, result) => {
        if (aborted) return fail({ errMsg: "uploadFile:fail abort" });
        if (error || lost) return fail({ errMsg: "uploadFile:fail timeout" });
        onProgress({ progress: 100 });
        return success({ statusCode: result.statusCode, data: result.data });
      }, (received) => { if (!lost) onHeaders({ header: received }); });
      return {
        onHeadersReceived(listener) { onHeaders = listener; },
        onProgressUpdate(listener) { onProgress = listener; onProgress({ progress: 40 }); },
        abort() { aborted = true; outgoing.destroy(new Error("abort")); },
      };
    },
    createCameraContext: () => ({
      startRecord: ({ success }) => success(),
      stopRecord: ({ success }) => success({ tempVideoPath: video, tempThumbPath: "" }),
    }),
    getVideoInfo: ({ success }) => success(facts),
  };
  const local = (url) => {
    const { pathname } = new URL(url);
    return `${base}${pathname === "/liveness/token" ? "/sandbox/token" : pathname}`;
  };
  // Waits of seconds are cut short: nothing here needs them.
  const quick = (callback) => setTimeout(callback, 0);
  const modules = {};
  const load = (name) => {
    modules[name] ??= run(name);
    return modules[name];
  };
  const run = (name) => {
    const module = { exports: {} };
    const sandbox = { wx, module, setTimeout: quick, console, Page: (it) => { page = it; } };
    sandbox.require = (path) => load(path.replace("./", ""));
    vm.runInNewContext(files[name], sandbox, { filename: name });
    return module.exports;
  };
  load("index.js");
  page.setData = (data) => {
    if ("percent" in data) calls.progress.push(data.percent);
    Object.assign(page.data, data);
  };
  return { page, calls };
}
