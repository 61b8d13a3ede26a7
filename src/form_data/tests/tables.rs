//! Forms with their parts, and broken ones with their error, in all splits.

use super::{
    super::FormError,
    BOUNDARY, END, headed, part, read,
    reference::{self, PlainPart},
};

/// Reads a form as a whole, and in all its splits.
fn read_split(form: &[u8]) -> Result<Vec<PlainPart>, FormError> {
    let whole = read(BOUNDARY, [form]);
    for at in 0..=form.len() {
        let (first, second) = form.split_at(at);
        assert_eq!(read(BOUNDARY, [first, second]), whole, "split at {at}");
    }
    for size in 1..=form.len().min(80) {
        assert_eq!(
            read(BOUNDARY, form.chunks(size)),
            whole,
            "in pieces of {size}"
        );
    }
    whole
}

#[test]
fn parts_are_found_however_the_form_is_split() {
    let almost = "\r\n------y\r\n-----x\r\r\n------\r\n\n------x\r------x\r\n---";
    for (form, wanted) in [
        (part("a", "1") + END, vec![("a", "1")]),
        (
            part("a", "1") + &part("b", "") + END,
            vec![("a", "1"), ("b", "")],
        ),
        (part("a", almost) + END, vec![("a", almost)]),
        (part("a", "\r\n") + END, vec![("a", "\r\n")]),
        (
            part("a", "------x").replace("\r\n\r\n--", "\r\n\r\n -") + END,
            vec![("a", " -----x")],
        ),
        (END.to_owned(), vec![]),
        // The line break before a boundary belongs to it, and an empty content may lack its own.
        (
            part("a", "").replace("\r\n\r\n\r\n", "\r\n\r\n") + END,
            vec![("a", "")],
        ),
        // What surrounds the parts is ignored.
        (format!("\r\n{}{END}", part("a", "1")), vec![("a", "1")]),
        (
            format!(
                "before ------x\r\n{}{END}after\r\n------x\r\n",
                part("a", "1")
            ),
            vec![("a", "1")],
        ),
        (part("a", "1") + "------x--", vec![("a", "1")]),
        (part("a", "1") + "------x-- \t garbage", vec![("a", "1")]),
        // Blanks after a boundary are.
        (
            part("a", "1").replace("x\r\n", "x \t\r\n") + END,
            vec![("a", "1")],
        ),
        (
            headed("content-disposition:form-data;NAME=a"),
            vec![("a", "c")],
        ),
        (
            headed("Content-Disposition: Form-Data; filename=\"a;name=b\"; name=\"\""),
            vec![("", "c")],
        ),
        (
            headed(
                "X: y\r\nContent-Length: 7\r\nContent-Disposition: form-data; name=\"\u{89c6}\"",
            ),
            vec![("\u{89c6}", "c")],
        ),
    ] {
        let wanted: Vec<PlainPart> = wanted
            .iter()
            .map(|(name, content)| (name.as_bytes().to_vec(), content.as_bytes().to_vec()))
            .collect();
        assert_eq!(
            reference::parts(form.as_bytes(), b"----x"),
            Some(wanted.clone()),
            "{form:?}"
        );
        assert_eq!(read_split(form.as_bytes()), Ok(wanted), "{form:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_broken_form_has_its_error_however_it_is_split() {
    let named = "Content-Disposition: form-data; name=a";
    for (form, wanted) in [
        (String::new(), FormError::Incomplete),
        ("------y--".into(), FormError::Incomplete),
        ("x------x--".into(), FormError::Incomplete),
        ("\n------x--".into(), FormError::Incomplete),
        ("------x".into(), FormError::Incomplete),
        ("------x-".into(), FormError::Incomplete),
        ("------x\r".into(), FormError::Incomplete),
        (part("a", "1"), FormError::Incomplete),
        (part("a", "1") + "------x\r\n", FormError::Incomplete),
        (
            part("a", "1") + END.trim_end_matches("-\r\n"),
            FormError::Incomplete,
        ),
        (
            part("a", "1\n").replace("1\n\r\n", "1\n") + END,
            FormError::Incomplete,
        ),
        ((part("a", "1") + END).replace('\r', ""), FormError::LineEnd),
        (
            headed(named).replace("a\r\n\r\n", "a\n\n"),
            FormError::LineEnd,
        ),
        (
            headed(named).replace("a\r\n\r\n", "a\r\n\n"),
            FormError::LineEnd,
        ),
        ("------x \n".into(), FormError::LineEnd),
        ("------xy\r\n".into(), FormError::Boundary),
        ("------x-\r\n".into(), FormError::Boundary),
        ("------x -- ".into(), FormError::Boundary),
        ("------x\r\r\n".into(), FormError::Boundary),
        (headed(""), FormError::NoName),
        (headed("Content-Type: text/plain"), FormError::NoName),
        (headed("Content-Disposition: form-data"), FormError::NoName),
        (
            headed("Content-Disposition: form-data; name*=utf-8''a"),
            FormError::NoName,
        ),
        (
            headed("Content-Disposition: attachment; name=a"),
            FormError::NoName,
        ),
        (headed("Content-Disposition: ; name=a"), FormError::NoName),
        (
            headed("Content-Disposition: form-data; name=a; name=a"),
            FormError::Head,
        ),
        (
            headed("Content-Disposition: form-data; name=\"a"),
            FormError::Head,
        ),
        (
            headed("Content-Disposition: form-data; name=a; filename=\"a\\\""),
            FormError::Head,
        ),
        (
            headed("Content-Disposition: form-data; name=a; filename=a b"),
            FormError::Head,
        ),
        (
            headed("Content-Disposition: form-data;\r\n name=a"),
            FormError::Head,
        ),
        (
            headed("Content-Disposition : form-data; name=a"),
            FormError::Head,
        ),
        (headed("Content-Disposition"), FormError::Head),
        (headed(": form-data; name=a"), FormError::Head),
        (
            headed("Content-Disposition: form-data; name=a\0"),
            FormError::Head,
        ),
        (
            headed("Content-Disposition: form-data; name=a\rb: c"),
            FormError::Head,
        ),
        (
            headed(&format!("{named}\r\n{named}")),
            FormError::RepeatedField,
        ),
        (
            headed(&format!("{named}\r\nContent-Type: a\r\ncontent-type: a")),
            FormError::RepeatedField,
        ),
    ] {
        assert_eq!(
            reference::parts(form.as_bytes(), b"----x"),
            None,
            "{form:?}"
        );
        assert_eq!(read_split(form.as_bytes()), Err(wanted), "{form:?}");
    }
}
