//! `[audit]`: where the audit log is written, and whether it can be.

use super::{
    diagnostics::ConfigLocation,
    reader::{ConfigReader, Located},
    section::ConfigSection,
    tree::ConfigTable,
};
use crate::{
    audit::{self, AuditPathError, AuditSettings},
    route::{RouteKind, RouteSettings},
};

/// Maximum length of the name in `consent_claim`, in bytes.
const MAX_CLAIM_NAME: usize = 128;

impl ConfigReader<'_> {
    /// `None` without the section.
    pub(super) fn audit(
        &mut self,
        root: &ConfigTable,
        routes: &[RouteSettings],
    ) -> Option<AuditSettings> {
        let section = ConfigSection::at(root, "audit");
        section.table?;
        self.header("[audit]");
        let path = self.required(&section, "path", "write the path of a file or a FIFO");
        let required = self.boolean(&section, "required");
        let checkpoint = self.duration(&section, "checkpoint");
        let consent_claim = self.consent_claim(&section);
        if !routes.iter().any(|route| route.kind == RouteKind::Verify) {
            self.error(
                &section.location,
                "[audit] needs a verify route: nothing else is recorded",
                "once a route is written, only those that are written exist: add one of kind \
                 \"verify\", or leave [audit] out",
            );
        }
        let (path, location) = path?;
        let full = self.base.join(&path);
        if let Err(error) = audit::examine(&full) {
            self.reject_path(&error, &path, &location);
            return None;
        }
        Some(AuditSettings {
            path: full,
            required,
            checkpoint: checkpoint?,
            consent_claim,
        })
    }

    fn consent_claim(&mut self, section: &ConfigSection<'_>) -> Option<String> {
        let (name, location): Located<String> = self.text(section, "consent_claim")?;
        if name.len() > MAX_CLAIM_NAME {
            self.error(
                &location,
                format!("`consent_claim` is longer than {MAX_CLAIM_NAME} bytes"),
                "write the name of a claim, such as \"consent\"",
            );
            return None;
        }
        Some(name)
    }

    fn reject_path(&mut self, error: &AuditPathError, shown: &str, location: &ConfigLocation) {
        let (message, help) = match error {
            AuditPathError::Link => (
                error.to_string(),
                "name the file itself: rotation renames it",
            ),
            AuditPathError::WrongKind => (error.to_string(), "name a file or a FIFO (mkfifo)"),
            AuditPathError::Open(cause) => (
                format!("{error}: {cause}"),
                "let the gateway's user write to it (mode 0600, its owner)",
            ),
            AuditPathError::Folder(cause) => (
                format!("{error}: {cause}"),
                "make the folder, and let the gateway's user write to it",
            ),
            AuditPathError::Tail(cause) => (
                format!("{error}: {cause}"),
                "name another file, or move this one away: the gateway then makes a new one",
            ),
        };
        self.error(
            location,
            format!("the audit log can't be written to `{shown}`: {message}"),
            help,
        );
    }
}
