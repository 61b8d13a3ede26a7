//! Forms as they are and as they must not be, in pieces of every size, against a plain reading.

#![allow(clippy::indexing_slicing, reason = "a test may stop at once")]

#[allow(
    unreachable_pub,
    reason = "the fuzz target includes the same file as a public module"
)]
mod reference;
mod tables;

use proptest::prelude::*;

use super::{
    Boundary, FormError, MAX_HEAD, MAX_PARTS,
    part::TextEncoding,
    reader::{FormEvent, FormReader},
};
use crate::form_data;
use reference::PlainPart;

const BOUNDARY: &str = "----x";

/// Reads a form that arrives in these pieces.
fn read<'p>(
    boundary: &str,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Vec<PlainPart>, FormError> {
    let boundary = Boundary::parse(boundary.as_bytes()).unwrap();
    let mut reader = FormReader::new(&boundary);
    let (mut parts, mut ended) = (Vec::<PlainPart>::new(), 0);
    for mut piece in pieces {
        while let Some(event) = reader.next(&mut piece)? {
            match event {
                FormEvent::Part(head) => parts.push((head.name.into_owned(), Vec::new())),
                FormEvent::Content(content) => {
                    assert!(!content.is_empty() && ended + 1 == parts.len());
                    parts.last_mut().unwrap().1.extend_from_slice(content);
                }
                FormEvent::End => ended += 1,
            }
        }
        assert!(piece.is_empty());
    }
    reader.finish()?;
    assert_eq!(ended, parts.len());
    Ok(parts)
}

fn part(name: &str, content: &str) -> String {
    format!("------x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
}

const END: &str = "------x--\r\n";

/// A form with one part of this header.
fn headed(head: &str) -> String {
    format!("------x\r\n{head}\r\n\r\nc\r\n------x--")
}

#[test]
fn headers_and_parts_have_a_limit() {
    let longest = |bytes: usize| {
        let named = "Content-Disposition: form-data; name=a\r\nX: ";
        let form = headed(&format!("{named}{}", "x".repeat(bytes - named.len() - 4)));
        let whole = read(BOUNDARY, [form.as_bytes()]);
        assert_eq!(read(BOUNDARY, form.as_bytes().chunks(1)), whole);
        whole.map(|parts| parts.len())
    };
    assert_eq!(longest(MAX_HEAD), Ok(1));
    assert_eq!(longest(MAX_HEAD + 1), Err(FormError::LongHead));
    let many = |parts: usize| {
        let form = part("a", "").repeat(parts) + END;
        read(BOUNDARY, [form.as_bytes()]).map(|parts| parts.len())
    };
    assert_eq!(many(MAX_PARTS), Ok(MAX_PARTS));
    assert_eq!(many(MAX_PARTS + 1), Err(FormError::TooManyParts));
}

#[test]
fn a_boundary_has_1_to_70_of_the_allowed_characters() {
    let long = "-".repeat(71);
    for good in [
        "x",
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "a b",
        "'()+_,-./:=?",
        &long[..70],
    ] {
        assert!(Boundary::parse(good.as_bytes()).is_some(), "{good}");
    }
    for bad in [
        "", " ", "a ", "a\"", "a;", "a\r", "a\n", "a*", "\u{e9}", &long,
    ] {
        assert!(Boundary::parse(bad.as_bytes()).is_none(), "{bad}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_part_says_how_its_content_is_encoded() {
    let head = |fields: &str| format!("Content-Disposition: form-data; name=a\r\n{fields}\r\n");
    for (fields, encoded, text) in [
        ("", false, TextEncoding::Utf8),
        (
            "Content-Type: video/mp4; codecs=avc1, mp4a\r\n",
            false,
            TextEncoding::Other,
        ),
        ("Content-Type: text/plain\r\n", false, TextEncoding::Utf8),
        (
            "Content-Type: text/plain;charset=UTF-8\r\n",
            false,
            TextEncoding::Utf8,
        ),
        (
            "content-type: text/plain; charset=\"utf8\"\r\n",
            false,
            TextEncoding::Utf8,
        ),
        (
            "Content-Type: text/plain; charset=US-ASCII\r\n",
            false,
            TextEncoding::Ascii,
        ),
        (
            "Content-Type: text/plain; charset=ISO-8859-1\r\n",
            false,
            TextEncoding::Ascii,
        ),
        (
            "Content-Type: text/plain; charset=gbk\r\n",
            false,
            TextEncoding::Other,
        ),
        (
            "Content-Type: text/plain; charset=\r\n",
            false,
            TextEncoding::Other,
        ),
        (
            "Content-Transfer-Encoding: BINARY\r\n",
            false,
            TextEncoding::Utf8,
        ),
        (
            "Content-Transfer-Encoding: 8bit\r\n",
            false,
            TextEncoding::Utf8,
        ),
        (
            "Content-Transfer-Encoding: 7bit\r\n",
            false,
            TextEncoding::Utf8,
        ),
        (
            "Content-Transfer-Encoding: base64\r\n",
            true,
            TextEncoding::Utf8,
        ),
        (
            "Content-Transfer-Encoding: quoted-printable\r\n",
            true,
            TextEncoding::Utf8,
        ),
        ("Content-Transfer-Encoding:\r\n", true, TextEncoding::Utf8),
    ] {
        let head = head(fields);
        let head = super::part::read(head.as_bytes()).unwrap();
        assert_eq!(
            (head.is_encoded(), head.text_encoding()),
            (encoded, text),
            "{fields}"
        );
    }
}

/// Text that is likely to be nearly a form.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let piece = proptest::sample::select(vec![
        "\r\n",
        "\r",
        "\n",
        "--",
        "-",
        "------x",
        "\r\n------x",
        "\r\n------x\r\n",
        "\r\n------x--",
        "Content-Disposition: form-data; name=a\r\n",
        "Content-Disposition: form-data",
        "; name=",
        "; filename=\"",
        "\"",
        "\\",
        "; ",
        "Content-Type: text/plain\r\n",
        ":",
        "a",
        " ",
        "\r\n\r\n",
    ]);
    proptest::collection::vec(piece, 0..24)
}

proptest! {
    #[test]
    fn the_reader_agrees_with_a_plain_one(pieces in pieces(), size in 1_usize..40) {
        let form = pieces.concat();
        let form = form.as_bytes();
        let whole = read(BOUNDARY, [form]);
        prop_assert_eq!(read(BOUNDARY, form.chunks(size)), whole.clone());
        prop_assert_eq!(whole.ok(), reference::parts(form, b"----x"));
    }

    #[test]
    fn any_content_is_read_back(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5),
        size in 1_usize..300,
    ) {
        let mut form = Vec::new();
        for content in &contents {
            form.extend_from_slice(part("a", "").trim_end().as_bytes());
            form.extend_from_slice(b"\r\n\r\n");
            form.extend_from_slice(content);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(END.as_bytes());
        let read = read(BOUNDARY, form.chunks(size)).unwrap();
        prop_assert!(read.into_iter().map(|(_, content)| content).eq(contents));
    }
}
