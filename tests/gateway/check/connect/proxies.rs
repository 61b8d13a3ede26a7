//! Proxies, and servers behind them or beside them, that can't be used.

use std::time::Duration;

use liveness_gateway::emulator::Scenario;

use super::{answering, code, connect, evidence, fixed, fixed_line, has_lines, traces, trusting};
use crate::support::{
    emulator,
    proxy::{self, LOGIN, PASSWORD, Proxy},
    secure::{self, Authority},
    upstream,
};

#[tokio::test]
async fn a_proxy_or_a_backend_that_can_t_be_used_is_named() {
    let (_folder, ca_file) = trusting(&Authority::new());
    let (emulated, _) = emulator(Scenario::Pass).await;
    let front = secure::front(&Authority::new(), emulated).await;
    let proxy = Proxy::start(None, &[("qiniu.example:443", front)]).await;
    proxy.does(proxy::Does::TunnelFor(LOGIN));
    let (_socket, refusing) = upstream::not_listening();
    let away = answering("503 Service Unavailable", Duration::ZERO).await;
    let away = format!("http://{}", away.address);
    let nobody = format!("http://{refusing}");
    let refused = "Connection refused | firewalls | (evidence.url)";
    let working = proxy.address;
    for (proxy, backend, by_proxy, by_qiniu, by_backend) in [
        (
            format!("http://bob:MARKER@{working}"),
            &nobody,
            format!("FAILED   proxy     http://{working}: | (407) | (outbound.proxy)"),
            "wants other credentials (407) | (outbound.proxy)",
            refused,
        ),
        (
            format!("http://ann:{PASSWORD}@{refusing}"),
            &away,
            format!("FAILED   proxy     http://{refusing}: | refused | (outbound.proxy)"),
            "Connection refused | check the proxy's address | (outbound.proxy)",
            "answers 503 | start the backend | (evidence.url)",
        ),
        (
            format!("http://ann:{PASSWORD}@{working}"),
            &nobody,
            format!("ok       proxy     http://{working}: opens a tunnel to qiniu.example"),
            "invalid peer certificate | (qiniu.ca_file)",
            refused,
        ),
    ] {
        let more = [
            "[outbound]\nproxy = { env = \"PROXY\" }\n".to_owned(),
            fixed(),
            evidence(&format!("{backend}/MARKER")),
            traces(refusing),
        ];
        let qiniu = format!("endpoint = \"https://qiniu.example\"\n{ca_file}");
        let output = connect(&qiniu, &more.concat(), &[], &[("PROXY", proxy)]).await;
        assert_eq!(code(&output), 1);
        has_lines(
            &output,
            &[
                by_proxy,
                format!("FAILED   Qiniu     https://qiniu.example: | {by_qiniu}"),
                fixed_line(),
                format!("FAILED   evidence  {backend}: | {by_backend}"),
                format!("warning  traces    {nobody}: | (telemetry.otlp_endpoint)"),
            ],
        );
    }
}
