//! The memory limits of the manifests, by the sum that `docs/capacity.md` explains.

use std::path::Path;

/// The number between `part` and `unit` in a file of `deploy`.
fn number(file: &str, part: &str, unit: &str) -> Option<usize> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(part)?;
    let (number, _) = rest.split_once(unit)?;
    number.parse().ok()
}

#[test]
fn the_memory_limits_hold_the_connections() {
    // Kibibytes of a connection: plain behind an ingress, a Gateway or an app, TLS elsewhere.
    for (config, manifest, part, unit, connection) in [
        (
            "kubernetes/edge/gateway.toml",
            "kubernetes/base/deployment.yaml",
            "limits: { memory: ",
            "Mi",
            20,
        ),
        (
            "kubernetes/redis/gateway.toml",
            "kubernetes/base/deployment.yaml",
            "limits: { memory: ",
            "Mi",
            20,
        ),
        (
            "kubernetes/production/gateway.toml",
            "kubernetes/base/deployment.yaml",
            "limits: { memory: ",
            "Mi",
            20,
        ),
        (
            "kubernetes/tls/gateway.toml",
            "kubernetes/tls/deployment.yaml",
            "limits: { memory: ",
            "Mi",
            60,
        ),
        (
            "kubernetes/sidecar/gateway.toml",
            "kubernetes/sidecar/gateway.yaml",
            "limits: { memory: ",
            "Mi",
            20,
        ),
        (
            "compose/gateway/gateway.toml",
            "compose/compose.yaml",
            "mem_limit: ",
            "m\n",
            60,
        ),
        (
            "systemd/gateway.toml",
            "systemd/liveness-gateway.service",
            "MemoryMax=",
            "M\n",
            60,
        ),
    ] {
        let limit = number(manifest, part, unit).unwrap() * 1024;
        let connections = number(config, "\nmax_connections = ", " ").unwrap();
        let bodies = number(config, "\nbody_memory = \"", "MiB").unwrap_or(512);
        let taken = (bodies + 224) * 1024 + connections * connection;
        assert!(taken <= limit, "{config}: {taken} of {limit} KiB");
    }
}
