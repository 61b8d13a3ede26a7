//! A slow and plain reading of forms, which has the whole of a form before it and copies what it
//! finds. Shared with the fuzz target.

use super::form_data::{MAX_HEAD, MAX_PARTS};

/// A part: its name, and its content.
pub type PlainPart = (Vec<u8>, Vec<u8>);

/// The parts of a form; `None` if it is none.
pub fn parts(form: &[u8], boundary: &[u8]) -> Option<Vec<PlainPart>> {
    // A boundary at the very beginning begins a line, too.
    let text = [b"\r\n", form].concat();
    let delimiter = [b"\r\n--", boundary].concat();
    let mut at = find(&text, &delimiter)? + delimiter.len();
    let mut parts = Vec::new();
    loop {
        if text[at..].starts_with(b"--") {
            return Some(parts);
        }
        while matches!(text.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        text[at..].strip_prefix(b"\r\n")?;
        at += 2;
        let mut fields = Vec::new();
        let head = at;
        loop {
            let end = at + text[at..].iter().position(|byte| *byte == b'\n')?;
            let line = text[at..end].strip_suffix(b"\r")?.to_vec();
            at = end + 1;
            if line.is_empty() {
                break;
            }
            fields.push(line);
        }
        if at - head > MAX_HEAD || parts.len() == MAX_PARTS {
            return None;
        }
        let name = name(&fields)?;
        // The line break of the empty line may already be that of the next boundary.
        let end = at - 2 + find(&text[at - 2..], &delimiter)?;
        parts.push((name, text[at..end.max(at)].to_vec()));
        at = end + delimiter.len();
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    (0..text.len()).find(|at| text[*at..].starts_with(wanted))
}

/// The name of a part with these header fields.
fn name(fields: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut dispositions = Vec::new();
    let mut known = Vec::new();
    for line in fields {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line[..colon].to_ascii_lowercase(), &line[colon + 1..]);
        if name.is_empty() || name.iter().any(|byte| !(0x21..0x7f).contains(byte)) {
            return None;
        }
        if value
            .iter()
            .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
        {
            return None;
        }
        match &*name {
            b"content-disposition" => dispositions.push(value),
            b"content-type" | b"content-transfer-encoding" => known.push(name),
            _ => {}
        }
    }
    let [disposition] = dispositions[..] else {
        return None;
    };
    if (1..known.len()).any(|at| known[..at].contains(&known[at])) {
        return None;
    }
    let parameters = segments(disposition)?;
    let (kind, parameters) = parameters.split_first()?;
    if !strip(kind).eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let mut names = Vec::new();
    for parameter in parameters
        .iter()
        .map(|text| strip(text))
        .filter(|text| !text.is_empty())
    {
        let equals = parameter.iter().position(|byte| *byte == b'=');
        let name = &parameter[..equals.unwrap_or(parameter.len())];
        let value = equals.map_or(&[][..], |equals| &parameter[equals + 1..]);
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(token) {
            return None;
        }
        let value = read(value)?;
        if name.eq_ignore_ascii_case(b"name") {
            names.push(value);
        }
    }
    (names.len() == 1).then(|| names.remove(0))
}

/// A value between its semicolons, but for those in quotes.
fn segments(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    // Quotes before the first semicolon would not be those of a parameter.
    let first = value
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(value.len());
    let mut segments = vec![value[..first].to_vec()];
    let (mut quoted, mut escaped) = (false, false);
    for byte in &value[first..] {
        let ends = *byte == b';' && !quoted;
        match ends {
            true => segments.push(Vec::new()),
            false => segments.last_mut()?.push(*byte),
        }
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
    }
    (!quoted).then_some(segments)
}

fn read(value: &[u8]) -> Option<Vec<u8>> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let plain = value.iter().all(|byte| !b"\" \t".contains(byte));
        return plain.then(|| value.to_vec());
    };
    let mut bytes = quoted.iter();
    let mut text = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return bytes.next().is_none().then_some(text),
            b'\\' => text.push(*bytes.next()?),
            byte => text.push(*byte),
        }
    }
}

fn strip(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(begin) = text.iter().position(|byte| !blank(byte)) else {
        return b"";
    };
    let end = text.iter().rposition(|byte| !blank(byte)).unwrap_or(begin);
    &text[begin..=end]
}
