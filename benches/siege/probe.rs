//! Probes of the admin listener, each on a connection of its own.
//!
//! Relies on short responses, which the gateway ends. Never asks the public listener.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::attacks::wire::tcp;

const PROBE_EVERY: Duration = Duration::from_millis(500);
/// A probe without a response for so long has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the admin listener whether the gateway is ready, again and again until this is dropped.
/// `took` gets the seconds of each probe, which are infinite where the response is not 200.
pub(crate) async fn probes(admin: SocketAddr, mut took: impl FnMut(f64)) {
    let mut ticks = interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let asked = timeout(PATIENCE, ask(admin, "/readyz")).await;
        let ready = matches!(asked, Ok(Ok(response)) if response.starts_with("HTTP/1.1 200"));
        let seconds = begun.elapsed().as_secs_f64();
        took(if ready { seconds } else { f64::INFINITY });
    }
}

/// A whole response of the admin listener.
pub(crate) async fn ask(admin: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = tcp(admin, Ipv4Addr::LOCALHOST, None).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}
