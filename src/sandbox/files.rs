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
const JSON: &str = "application/json";
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
        "/openapi.json",
        JSON,
        include_bytes!("../../docs/openapi.json"),
    ),
    module("/liveness.js", include_bytes!("../../web/liveness.js")),
    module("/messages.js", include_bytes!("../../web/messages.js")),
    module("/mp4.js", include_bytes!("../../web/mp4.js")),
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

/// A file of the web module, which the page imports.
const fn module(path: &'static str, content: &'static [u8]) -> SiteFile {
    file(path, JAVASCRIPT, content)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Whether a file is served as it is on the disk, with the type of its name.
    fn is_served(file: &Path) -> bool {
        let name = file.file_name().unwrap().to_str().unwrap();
        let content_type = match file.extension().and_then(|end| end.to_str()) {
            Some("html") => HTML,
            Some("css") => CSS,
            Some("js") => JAVASCRIPT,
            Some("svg") => SVG,
            _ => panic!("which type has {name}?"),
        };
        let path = match name {
            "index.html" => "/".to_owned(),
            _ => format!("/{name}"),
        };
        find(&path).is_some_and(|served| {
            let on_disk = std::fs::read(file).unwrap();
            served.content_type == content_type && served.content == on_disk
        })
    }

    #[test]
    fn every_file_of_the_page_and_of_the_web_module_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = |folder| std::fs::read_dir(root.join(folder)).unwrap();
        let page = files("src/sandbox/page").map(|entry| entry.unwrap().path());
        let module = files("web").map(|entry| entry.unwrap().path());
        let module = module.filter(|path| path.extension().is_some_and(|end| end == "js"));
        let missing = page.chain(module).filter(|path| !is_served(path));
        let missing: Vec<_> = missing.collect();
        assert!(missing.is_empty(), "add to FILES: {missing:?}");
    }
}
