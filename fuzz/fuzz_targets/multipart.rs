//! Arbitrary bytes in arbitrary pieces as a form. The same parts however the bytes are split, those
//! that a slow and plain reading finds, and any content is read back from a form around it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::form_data::{
    Boundary, FormError, MAX_HEAD, MAX_PARTS,
    reader::{FormEvent, FormReader},
};
use liveness_gateway_fuzz::{
    arrival,
    form_reference::{self, PlainPart},
};

fuzz_target!(|data: &[u8]| {
    let Some((parts, bytes)) = arrival(data) else {
        return;
    };
    // The first line is the boundary.
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let Some(boundary) = Boundary::parse(line) else {
        return;
    };
    let form = &bytes[(line.len() + 1).min(bytes.len())..];
    let whole = read(&boundary, &[form]);
    assert_eq!(
        read(&boundary, &behind(&parts, line.len() + 1)),
        whole,
        "split and whole differ"
    );
    assert_eq!(whole.ok(), form_reference::parts(form, line));
    round_trip(&boundary, line, form);
});

/// The pieces without their first `skipped` bytes.
fn behind<'p>(parts: &[&'p [u8]], mut skipped: usize) -> Vec<&'p [u8]> {
    let mut behind = Vec::new();
    for part in parts {
        let first = skipped.min(part.len());
        skipped -= first;
        behind.push(&part[first..]);
    }
    behind
}

fn read(boundary: &Boundary, pieces: &[&[u8]]) -> Result<Vec<PlainPart>, FormError> {
    let mut reader = FormReader::new(boundary);
    let (mut parts, mut ended) = (Vec::<PlainPart>::new(), 0);
    for mut piece in pieces.iter().copied() {
        while let Some(event) = reader.next(&mut piece)? {
            match event {
                FormEvent::Part(head) => {
                    assert!(head.name.len() <= MAX_HEAD && ended == parts.len());
                    // Only has to end.
                    let _ = (head.is_encoded(), head.text_encoding());
                    parts.push((head.name.into_owned(), Vec::new()));
                }
                FormEvent::Content(content) => {
                    assert!(!content.is_empty() && ended + 1 == parts.len());
                    parts[ended].1.extend_from_slice(content);
                }
                FormEvent::End => ended += 1,
            }
        }
        assert!(piece.is_empty(), "bytes were left");
    }
    reader.finish()?;
    assert!(ended == parts.len() && ended <= MAX_PARTS);
    Ok(parts)
}

/// The bytes as the content of a part, unless they end it.
fn round_trip(boundary: &Boundary, line: &[u8], content: &[u8]) {
    let head = b"\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
    let begin = [b"--", line, head].concat();
    let end = [b"\r\n--", line].concat();
    let text = [b"\r\n", content].concat();
    if text.windows(end.len()).any(|window| window == end) {
        return;
    }
    let form = [&begin, content, &end, b"--"].concat();
    let parts = read(
        boundary,
        &form.chunks(content.len() / 3 + 1).collect::<Vec<_>>(),
    );
    assert_eq!(parts, Ok(vec![(b"a".to_vec(), content.to_vec())]));
}
