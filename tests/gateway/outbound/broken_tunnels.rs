//! Tunnels that a proxy breaks at each class of offset: the call fails with the right code, all is
//! freed, and a `verify` never arrives twice.

use super::{World, until_all_is_freed, verify};
use crate::support::{
    Gateway,
    proxy::{Cut, Does, Ending, Passed},
    session,
};

/// Where a tunnel is broken, and what the call then gets: the codes that are right there.
fn cuts(whole: &Passed) -> Vec<(Cut, &'static [&'static str])> {
    const NOT_SENT: &[&str] = &["upstream_unreachable"];
    const UNKNOWN: &[&str] = &["upstream_invalid_response"];
    /// The last bytes may belong to what follows the response.
    const LATE: &[&str] = &["upstream_invalid_response", "ok"];
    let (up, down) = (whole.up.len(), whole.down.len());
    vec![
        // Within the handshake.
        (Cut::Request(0), NOT_SENT),
        (Cut::Request(5), NOT_SENT),
        (Cut::Request(100), NOT_SENT),
        (Cut::Response(5), NOT_SENT),
        (Cut::Response(1000.min(down / 3)), NOT_SENT),
        // Within the request, and behind it.
        (Cut::Request(up / 2), UNKNOWN),
        (Cut::Request(up - 100), UNKNOWN),
        (Cut::Answer(up - 100), UNKNOWN),
        // Within the response.
        (Cut::Response(down - 200), LATE),
        (Cut::Response(down - 60), LATE),
    ]
}

#[tokio::test]
async fn a_tunnel_may_break_anywhere_and_no_verify_arrives_twice() {
    let world = World::start(&[]).await;
    let gateway = Gateway::run(world.settings("")).await;
    let first = session(&gateway).await;
    assert_eq!(verify(&gateway, &first).await.status, 200);
    until_all_is_freed(&gateway, &world.proxy).await;
    // A connection may have been opened for nothing; the video has gone over one.
    let tunnels = world.proxy.passed().into_iter();
    let whole = tunnels.max_by_key(|passed| passed.up.len()).unwrap();
    let endings = [Ending::Close, Ending::Reset];
    let cuts = endings.map(|ending| cuts(&whole).into_iter().map(move |cut| (ending, cut)));
    for (ending, (cut, codes)) in cuts.into_iter().flatten() {
        let label = format!("{ending:?} at {cut:?} of {}", whole.up.len());
        world.proxy.does(Does::Tunnel);
        let session = session(&gateway).await;
        let calls = world.calls.verify_calls();
        world.proxy.does(Does::Break(cut, ending));
        let answer = verify(&gateway, &session).await;
        let code = match answer.status.as_u16() {
            200 => "ok".to_owned(),
            502 => answer.code(),
            status => panic!("{label}: {status}"),
        };
        assert!(codes.contains(&code.as_str()), "{label}: {code}");
        until_all_is_freed(&gateway, &world.proxy).await;
        // A try again is the first call, or none.
        world.proxy.does(Does::Tunnel);
        let again = verify(&gateway, &session).await;
        let again = (again.status.as_u16(), again.code());
        let expected = match code.as_str() {
            "upstream_invalid_response" => (409, "outcome_unknown".to_owned()),
            _ => (200, String::new()),
        };
        assert_eq!(again, expected, "{label}");
        let made = world.calls.verify_calls() - calls;
        assert!(made <= 1, "{label}: {made} calls");
    }
    world.keeps_the_password(&gateway);
}
