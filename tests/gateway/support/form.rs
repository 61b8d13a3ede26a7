//! Forms of which only the parts matter.

/// The media type of these forms.
pub(crate) const MEDIA: &str = "multipart/form-data; boundary=----form";

/// A form with these parts.
pub(crate) fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        let head = format!("------form\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"------form--\r\n");
    form
}

/// A form with a session and its video.
pub(crate) fn upload(session: &str, video: &[u8]) -> Vec<u8> {
    form(&[("session_id", session.as_bytes()), ("video", video)])
}
