//! The site: its files, its tokens, and who may change something.

use std::time::{Duration, SystemTime};

use super::{RunningSandbox, decoded};
use crate::support::SESSIONCODE;

#[tokio::test]
async fn files_are_served_under_a_policy_that_allows_nothing_from_elsewhere() {
    let sandbox = RunningSandbox::start().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/?lang=zh", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/liveness.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/sample.mp4", "video/mp4"),
        ("/openapi.json", "application/json"),
        ("/sandbox/state", "application/json"),
    ] {
        for http2 in [false, true] {
            let answer = sandbox.ask_by(http2, &format!("GET {path}"), &[], "").await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-type"), content_type, "{path}");
            assert!(!answer.body.is_empty());
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; "));
            assert!(policy.ends_with("frame-ancestors 'none'"));
            let permissions = answer.header("permissions-policy");
            assert!(permissions.starts_with("camera=(self), "));
            for (name, value) in [
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-resource-policy", "same-origin"),
                ("referrer-policy", "no-referrer"),
            ] {
                assert_eq!(answer.header(name), value, "{path}");
            }
        }
    }
    // Without a script or a style of its own, and without a token.
    let page = String::from_utf8(sandbox.get("/").await.body.to_vec()).unwrap();
    for part in ["<script>", "<style", " style=", " onclick=", "eyJ"] {
        assert!(!page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_by_any_gateway() {
    let sandbox = RunningSandbox::start().await;
    for (line, status, allow) in [
        ("GET /index.html", 404, ""),
        ("GET //", 404, ""),
        ("GET /sandbox", 404, ""),
        ("GET /sandbox/evidence/", 404, ""),
        ("GET /sandbox/evidence/unknown", 404, ""),
        ("POST /", 405, "GET"),
        ("HEAD /page.js", 405, "GET"),
        ("POST /sandbox/state", 405, "GET"),
        ("GET /sandbox/token", 405, "POST"),
        ("OPTIONS /sandbox/outcome", 405, "POST"),
        ("DELETE /sandbox/evidence/unknown", 405, "GET"),
    ] {
        let answer = sandbox.ask(line, &[], "").await;
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("allow"), allow, "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{line}");
    }
}

#[tokio::test]
async fn each_load_of_the_page_gets_a_token_of_its_own_for_a_quarter_of_an_hour() {
    let sandbox = RunningSandbox::start().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let answer = sandbox.ask("POST /sandbox/token", &[], "").await.json();
        tokens.push(answer["token"].as_str().unwrap().to_owned());
    }
    assert_ne!(tokens[0], tokens[1]);
    for token in &tokens {
        let claims = decoded(token);
        let [issued, expires] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap());
        assert_eq!(expires - issued, 15 * 60);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        assert!(now.unwrap().abs_diff(Duration::from_secs(issued)) < Duration::from_secs(60));
        let session = sandbox.call(SESSIONCODE, token, "{}").await;
        assert_eq!(session.json()["error_code"], 0, "{session:?}");
    }
}

#[tokio::test]
async fn only_the_sandbox_s_own_page_and_programs_that_are_no_browser_change_something() {
    let sandbox = RunningSandbox::start().await;
    let own = format!("http://{}", sandbox.address);
    let json = ("content-type", "application/json");
    let outcome = r#"{"outcome":"spoof"}"#;
    let long = format!("{{\"outcome\":\"{}\"}}", "x".repeat(1024));
    for (fields, body, status) in [
        // A page of another origin, which DNS may even have led here.
        (vec![json, ("origin", "http://evil.example")], outcome, 400),
        (vec![json, ("origin", "null")], outcome, 400),
        (vec![json, ("origin", "http://127.0.0.1:1")], outcome, 400),
        (vec![json, ("sec-fetch-site", "cross-site")], outcome, 400),
        (vec![json, ("sec-fetch-site", "same-site")], outcome, 400),
        (
            vec![
                json,
                ("host", "evil.example"),
                ("origin", "http://evil.example"),
            ],
            outcome,
            400,
        ),
        // What a form of such a page may send.
        (vec![("content-type", "text/plain")], outcome, 415),
        (vec![], outcome, 415),
        // What is no outcome.
        (vec![json], "", 400),
        (vec![json], "{}", 400),
        (vec![json], r#"{"outcome":"maybe"}"#, 400),
        (vec![json], &long, 413),
        // The page itself, and curl.
        (
            vec![json, ("origin", &own), ("sec-fetch-site", "same-origin")],
            outcome,
            200,
        ),
        (
            vec![("content-type", "Application/JSON; charset=utf-8")],
            outcome,
            200,
        ),
    ] {
        for http2 in [false, true] {
            sandbox.set_outcome("pass").await;
            let line = "POST /sandbox/outcome";
            let answer = sandbox.ask_by(http2, line, &fields, body).await;
            assert_eq!(answer.status, status, "{fields:?} {body:.30}: {answer:?}");
            let expected = if status == 200 { "spoof" } else { "pass" };
            assert_eq!(sandbox.state().await["outcome"], expected, "{fields:?}");
        }
    }
    let foreign = [("origin", "http://evil.example")];
    let answer = sandbox.ask("POST /sandbox/token", &foreign, "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json().get("token").is_none());
}

#[tokio::test]
async fn a_name_that_a_stranger_can_point_here_is_not_served() {
    let sandbox = RunningSandbox::start().await;
    for (host, status) in [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("page.localhost", 200),
        ("[::1]:8080", 200),
        ("192.168.1.5", 200),
        ("sandbox:8080", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example:8080", 400),
        ("localhost.evil.example", 400),
    ] {
        for path in ["/", "/sandbox/state", "/liveness.js"] {
            let line = format!("GET {path}");
            let answer = sandbox.ask(&line, &[("host", host)], "").await;
            assert_eq!(answer.status, status, "{host}{path}");
        }
    }
}
