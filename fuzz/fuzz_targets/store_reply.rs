//! Arbitrary bytes as a reply of the store: no panic, and nothing is understood that no script of
//! ours replies.

#![no_main]

use libfuzzer_sys::fuzz_target;
use liveness_gateway::store::{ClaimReply, CounterTotal, RateDecision, ScriptReply};

fuzz_target!(|data: &[u8]| {
    let Ok(value) = redis::parse_redis_value(data) else {
        return;
    };
    let reply = ScriptReply::from(value);
    let claim = ClaimReply::parse(reply.clone());
    let (total, rate) = (CounterTotal::parse(&reply), RateDecision::parse(&reply));
    let understood = usize::from(claim.is_some()) + usize::from(total.is_some());
    assert!(
        understood + usize::from(rate.is_some()) <= 1,
        "{reply:?} has two meanings"
    );
    let ScriptReply::List(parts) = reply else {
        assert_eq!(understood, 0);
        return;
    };
    if let Some(total) = total {
        let numbers = [i64::from(total.fits), total.all.into(), total.own.into()];
        let numbers = numbers
            .into_iter()
            .chain(total.last.try_into())
            .map(ScriptReply::Number);
        assert!(numbers.eq(parts.iter().cloned()));
    }
    match claim {
        Some(ClaimReply::Answered(sealed)) => assert_eq!(parts[1], ScriptReply::Bytes(sealed)),
        Some(ClaimReply::Wait(replica) | ClaimReply::InUse(replica)) => {
            assert_eq!(parts[1], ScriptReply::Bytes(replica.into_bytes()));
        }
        _ => {}
    }
});
