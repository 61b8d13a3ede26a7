//! What the sandbox prints: where everything is, and lines that can be pasted as they are.

/// The text for a terminal. The lines need curl and the tools of any POSIX shell.
pub(super) fn text(url: &str, admin: &str, token: &str) -> String {
    format!(
        r#"
liveness-gateway sandbox: an emulated Qiniu with the real gateway in front of it.

  page      {url}/
  gateway   {url}
  admin     {admin}   (/livez, /readyz, /metrics)

Paste these, one after the other:

  # 1. a development token
  TOKEN={token}

  # 2. a session: the answer names the actions to show
  SESSION=$(curl -sS -X POST {url}/v2/actionliveness/sessioncode -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"min_code_length":1,"max_code_length":2}}' | tee /dev/stderr | sed 's/.*"session_id":"\([^"]*\)".*/\1/'); echo

  # 3. a real video, judged; the answer comes without its pictures
  {{ printf '{{"session_id":"%s","video_base64":"' "$SESSION"; curl -sS {url}/sample.mp4 | base64 | tr -d '\n'; printf '"}}'; }} | curl -sS -X POST {url}/v2/actionliveness/verify -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' --data-binary @-; echo

  # 4. another video for the same session: refused (409 session_used) without a second call
  curl -sS -X POST {url}/v2/actionliveness/verify -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "{{\"session_id\":\"$SESSION\",\"video_base64\":\"AAAA\"}}"; echo

  # 5. no token: the gateway's refusal
  curl -sS -i -X POST {url}/v2/actionliveness/sessioncode; echo

  # 6. the keys that the app's backend checks the `verdict` of line 3 with
  curl -sS {url}/.well-known/jwks.json; echo

Requests are logged below. Stop with Ctrl-C.

"#
    )
}
