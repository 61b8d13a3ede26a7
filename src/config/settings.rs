//! The checked settings of the gateway, assembled from all sections.

use super::{
    reader::ConfigReader, reloadable::ReloadableSettings, section::ConfigSection, tree::ConfigTable,
};
use crate::{
    audit::AuditSettings,
    auth::IdentitySettings,
    evidence::EvidenceSettings,
    qiniu::UpstreamSettings,
    relay::cors::CorsSettings,
    route::RouteSettings,
    server::{AdminSettings, ServerSettings},
    session::SessionSettings,
    store::StoreSettings,
    telemetry::{LogFormat, LogSettings},
    traces::TraceSettings,
    verdict::VerdictSettings,
};

/// Everything that the gateway needs to start. It is checked, so nothing in here turns out to be
/// wrong later.
pub struct Settings {
    /// The public listener.
    pub server: ServerSettings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The origins that may call from a browser.
    pub cors: CorsSettings,
    /// The upstream.
    pub qiniu: UpstreamSettings,
    /// The issuers whose tokens are accepted.
    pub identities: Vec<IdentitySettings>,
    /// The keys that seal session ids; `None`: Qiniu's ids are passed through.
    pub sessions: Option<SessionSettings>,
    /// The routes.
    pub routes: Vec<RouteSettings>,
    /// How verdicts are signed, if they are.
    pub verdict: Option<VerdictSettings>,
    /// Where pictures are delivered, if they are.
    pub evidence: Option<EvidenceSettings>,
    /// The store that replicas share, if there is one.
    pub store: Option<StoreSettings>,
    /// The audit log, if there is one.
    pub audit: Option<AuditSettings>,
    /// The log.
    pub log: LogSettings,
    /// Where traces are sent, if they are.
    pub traces: Option<TraceSettings>,
    /// The values that are reloaded when their files change.
    pub reloadable: ReloadableSettings,
}

impl ConfigReader<'_> {
    /// All settings; `None` if something is missing. Errors are collected in either case.
    pub(super) fn settings(&mut self, root: &ConfigTable) -> Option<Settings> {
        let (mut server, written) = self.server(root).unzip();
        let cors = self.cors(root);
        let admin = self.admin(root);
        if let (Some(server), Some((admin, location))) = (&server, &admin)
            && admin.listen.port() != 0
            && server.listen.contains(&admin.listen)
        {
            self.error(
                location,
                "the admin listener has the address of the public listener",
                "give it an address of its own",
            );
        }
        self.outbound(root);
        let qiniu = self.qiniu(root);
        let identities = self.identities(root);
        let sessions = self.sessions(root);
        let log = self.log(root);
        let body_memory = written.as_ref().and_then(|written| written.memory.as_ref());
        let routes = self.routes(root, body_memory);
        if let (Some(server), Some(written)) = (&mut server, written) {
            self.apply_routes(server, written, &routes);
        }
        let verdict = self.verdict(root, &routes);
        let evidence = self.evidence(root);
        let store = self.store(root, sessions.as_ref());
        let audit = self.audit(root, &routes);
        let traces = self.telemetry(root);
        Some(Settings {
            server: server?,
            admin: admin?.0,
            cors,
            qiniu: qiniu?,
            identities,
            sessions,
            routes,
            verdict,
            evidence,
            store,
            audit,
            log: log?,
            traces,
            reloadable: std::mem::take(&mut self.reloadable),
        })
    }

    fn log(&mut self, root: &ConfigTable) -> Option<LogSettings> {
        let section = ConfigSection::at(root, "log");
        self.header("[log]");
        let format = self.word(&section, "format");
        let level = self.word(&section, "level");
        let format = match format?.as_str() {
            "text" => LogFormat::Text,
            _ => LogFormat::Json,
        };
        Some(LogSettings {
            format,
            level: level?.parse().ok()?,
        })
    }
}
