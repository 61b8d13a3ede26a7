//! Puts a verdict into an answer: one member in front of the closing brace, and not one byte of the rest touched.

/// The answer with a last member `verdict`; `None` when it is no object. `answer` must be valid JSON without a member of
/// that name, and `verdict` a text that needs no escapes, as a compact JWS is.
pub fn insert_verdict(mut answer: Vec<u8>, verdict: &str) -> Option<Vec<u8>> {
    let content = |bytes: &[u8]| bytes.iter().rposition(|byte| !b" \t\r\n".contains(byte));
    let brace = content(&answer).filter(|at| answer.get(*at) == Some(&b'}'))?;
    let before = answer.get(..brace)?;
    let comma = match before.get(content(before)?)? {
        b'{' => "",
        _ => ",",
    };
    let member = format!("{comma}\"verdict\":\"{verdict}\"");
    answer.splice(brace..brace, member.into_bytes());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_more_and_every_other_byte_as_it_was() {
        for (answer, wanted) in [
            (
                r#"{"score":0.9600000000000001}"#,
                r#"{"score":0.9600000000000001,"verdict":"a.b-_.c"}"#,
            ),
            ("{}", r#"{"verdict":"a.b-_.c"}"#),
            (" { \r\n } \n", " { \r\n \"verdict\":\"a.b-_.c\"} \n"),
            (
                "{\n \"a\" : {\"}\":{}}\n}\n",
                "{\n \"a\" : {\"}\":{}}\n,\"verdict\":\"a.b-_.c\"}\n",
            ),
            (r#"{"a":"\"}{"}"#, r#"{"a":"\"}{","verdict":"a.b-_.c"}"#),
        ] {
            let made = insert_verdict(answer.into(), "a.b-_.c").unwrap();
            assert_eq!(str::from_utf8(&made), Ok(wanted));
            let read: serde_json::Value = serde_json::from_slice(&made).unwrap();
            assert_eq!(read["verdict"], "a.b-_.c");
        }
    }

    #[test]
    fn what_is_no_object_gets_none() {
        for answer in ["", " ", "[]", "1", "}", "null"] {
            assert_eq!(insert_verdict(answer.into(), "x"), None, "{answer}");
        }
    }
}
