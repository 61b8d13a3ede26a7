//! Configurations under which a picture, or an id of a face, could reach a frontend, and others
//! that undo what a route protects.

use super::{good, minimal, wrong::one};

const VERIFY: &str = "[[routes]]\npath = \"/v\"\nkind = \"verify\"\n";
const SESSION: &str = "[[routes]]\npath = \"/s\"\nkind = \"session\"\n";
const PLAIN: &str = "[[routes]]\npath = \"/p\"\nkind = \"plain\"\n";

/// A mistake in this line of a route, at its last text in quotes.
fn wrong(route: &str, line: &str, message: &str, part: &str) {
    one(&minimal(&format!("{route}{line}\n")), message, part);
}

#[test]
fn no_path_to_a_picture_may_be_allowed_on_a_verify_route() {
    wrong(
        VERIFY,
        "response.fields = [\"*\"]",
        "`*` would let pictures",
        "\"*\"",
    );
    wrong(
        VERIFY,
        "response.fields = \"*\"",
        "`*` would let pictures",
        "\"*\"",
    );
    for path in [
        "result",
        "result[]",
        "result.best_image",
        "result.best_image[]",
        "result.pic_list",
        "result.pic_list[]",
        "result.pic_list[][]",
        "result[].pic_list[]",
    ] {
        let line = format!("response.fields = [\"error_code\", \"{path}\"]");
        wrong(
            VERIFY,
            &line,
            "has pictures of faces in it",
            &format!("\"{path}\""),
        );
    }
    for path in [
        "pic",
        "result.pic",
        "result.best_image.pic",
        "result.pic_list[].pic",
        "result.pic_list[].pic[]",
        "result.pic_list[].face_token",
        "result.best_image.face_id",
        "result.best_image.pic.size",
        "result.face_id[].x",
        "face_token.value",
    ] {
        let line = format!("response.fields = [\"error_code\", \"{path}\"]");
        wrong(
            VERIFY,
            &line,
            "a picture, or an id of a face",
            &format!("\"{path}\""),
        );
    }
}

#[test]
fn paths_beside_the_pictures_may_be_allowed_on_a_verify_route() {
    for good_path in [
        "error_code",
        "result.best_image.quality",
        "result.pic_list[].quality",
        "result.picture_count",
        "results",
        "result.new.members[]",
    ] {
        good(
            &minimal(&format!("{VERIFY}response.fields = [\"{good_path}\"]\n")),
            &[],
        );
    }
}

#[test]
fn a_verify_route_keeps_its_limits_of_an_answer() {
    for (line, message, part) in [
        (
            "response.max_string = \"\"",
            "without `response.max_string`",
            "[[routes]]",
        ),
        (
            "response.max_string = \"4097B\"",
            "large enough for a picture",
            "\"4097B\"",
        ),
        (
            "response.remove = []",
            "`response.remove` of a verify route is empty",
            "[]\n",
        ),
        ("response.fields = []", "`response.fields` is empty", "[]\n"),
        ("response.remove = [\"a[0].b\"]", "a[0].b", "\"a[0].b\""),
        ("response.fields = [\"a[0].b\"]", "a[0].b", "\"a[0].b\""),
        (
            "response.fields = [\"result.*\"]",
            "can't contain `*`",
            "\"result.*\"",
        ),
        ("response.fields = [\"\"]", "a step without a name", "\"\""),
    ] {
        wrong(VERIFY, line, message, part);
    }
    good(
        &minimal(&format!("{VERIFY}response.max_string = \"4KiB\"\n")),
        &[],
    );
}

#[test]
fn other_routes_may_let_everything_pass_but_must_work() {
    for route in [SESSION, PLAIN] {
        let text = minimal(&format!("{route}response.fields = [\"*\"]\n"));
        let [settings] = &good(&text, &[]).settings.routes[..] else {
            panic!("not one route");
        };
        assert!(settings.response_fields.is_none());
        let both = "response.fields = [\"error_code\", \"*\"]";
        wrong(route, both, "`*` is everything", "\"*\"");
        wrong(
            route,
            "response.fields = []",
            "`response.fields` is empty",
            "[]\n",
        );
    }
    wrong(
        SESSION,
        "response.fields = [\"error_code\", \"result.code\"]",
        "lacks `result.session_id`",
        "[[routes]]",
    );
    for fields in [
        "\"result\"",
        "\"result.session_id\"",
        "\"result.x\", \"result.session_id\"",
    ] {
        good(
            &minimal(&format!("{SESSION}response.fields = [{fields}]\n")),
            &[],
        );
    }
    let faces = "response.fields = [\"faces[].face_token\", \"result\"]\nresponse.remove = []\n";
    good(
        &minimal(&format!("{PLAIN}{faces}response.max_string = \"1MiB\"\n")),
        &[],
    );
}

/// As a plain route, a verify would be sent without its session, and its pictures would pass.
#[test]
fn qiniu_s_own_routes_have_their_own_kinds() {
    for (path, kind, right) in [
        ("/v2/actionliveness/verify", "plain", "verify"),
        ("/v2/actionliveness/verify", "session", "verify"),
        ("/v2/actionliveness/sessioncode", "plain", "session"),
        ("/V2/ActionLiveness/Verify", "plain", "verify"),
    ] {
        let text = minimal(&format!(
            "[[routes]]\npath = \"{path}\"\nkind = \"{kind}\"\n"
        ));
        let message = format!("`{path}` can only be a {right} route");
        one(&text, &message, &format!("\"{kind}\""));
    }
}
