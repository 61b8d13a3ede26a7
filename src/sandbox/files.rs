//! The files of the sandbox's site, which are part of the program.
//!
//! A file that is added to `page/` needs a line here; a test compares the two. Never reads a file
//! while the sandbox runs.

/// A file of the site.
pub(super) struct SiteFile {
    /// The path at which it is served.
    pub(super) path: &'static str,
    /// Value of `Content-Type`.
    pub(super) content_type: &'static str,
    /// The whole file.
    pub(super) content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// All files.
const FILES: &[SiteFile] = &[
    file("/", HTML, include_bytes!("page/index.html")),
    file("/page.css", CSS, include_bytes!("page/page.css")),
    file("/head.css", CSS, include_bytes!("page/head.css")),
    file("/stage.css", CSS, include_bytes!("page/stage.css")),
    file("/result.css", CSS, include_bytes!("page/result.css")),
    file("/page.js", JAVASCRIPT, include_bytes!("page/page.js")),
    file("/check.js", JAVASCRIPT, include_bytes!("page/check.js")),
    file("/dom.js", JAVASCRIPT, include_bytes!("page/dom.js")),
    file("/result.js", JAVASCRIPT, include_bytes!("page/result.js")),
    file("/show.js", JAVASCRIPT, include_bytes!("page/show.js")),
    file("/sandbox.js", JAVASCRIPT, include_bytes!("page/sandbox.js")),
    file("/stage.js", JAVASCRIPT, include_bytes!("page/stage.js")),
    file("/texts.js", JAVASCRIPT, include_bytes!("page/texts.js")),
    file("/verdict.js", JAVASCRIPT, include_bytes!("page/verdict.js")),
    file("/icon.svg", SVG, include_bytes!("page/icon.svg")),
    // H.264 in MP4, three seconds.
    file("/sample.mp4", "video/mp4", include_bytes!("sample.mp4")),
    file(
        "/liveness.js",
        JAVASCRIPT,
        include_bytes!("../../web/liveness.js"),
    ),
    file(
        "/messages.js",
        JAVASCRIPT,
        include_bytes!("../../web/messages.js"),
    ),
    file("/mp4.js", JAVASCRIPT, include_bytes!("../../web/mp4.js")),
];

/// The file at exactly this path.
pub(super) fn find(path: &str) -> Option<&'static SiteFile> {
    FILES.iter().find(|file| file.path == path)
}

const fn file(path: &'static str, content_type: &'static str, content: &'static [u8]) -> SiteFile {
    SiteFile {
        path,
        content_type,
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served_by_its_own_type() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sandbox/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = match name.as_str() {
                "index.html" => "/".to_owned(),
                _ => format!("/{name}"),
            };
            let file = find(&path).unwrap_or_else(|| panic!("add {name} to FILES"));
            let content_type = match name.rsplit_once('.').map(|(_, end)| end) {
                Some("html") => HTML,
                Some("css") => CSS,
                Some("js") => JAVASCRIPT,
                Some("svg") => SVG,
                _ => panic!("which type has {name}?"),
            };
            assert_eq!(file.content_type, content_type, "{name}");
            let on_disk = std::fs::read(format!("{folder}/{name}")).unwrap();
            assert_eq!(file.content, on_disk, "{name}");
        }
    }
}
