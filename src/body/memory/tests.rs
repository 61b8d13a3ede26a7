//! Who gets memory and who loses it, on a clock of the test's own: the rules one by one, any
//! sequence of events, and an attack.

use std::task::{Context, Waker};

use super::*;
use crate::limit::CallerKey;

mod attack;
mod events;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const ALICE: CallerKey = CallerKey::numbered(1);
const BOB: CallerKey = CallerKey::numbered(2);
const CAROL: CallerKey = CallerKey::numbered(3);

/// A memory, and the time.
struct World {
    memory: Arc<BodyMemory>,
    now: Instant,
}

impl World {
    fn new(memory: u64, per_user: u64) -> Self {
        let limits = BodyLimits {
            memory,
            per_user,
            min_rate: 16 * KIB,
        };
        Self {
            memory: BodyMemory::new(limits, Gauge::default()),
            now: Instant::now(),
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    fn admit(&self, caller: CallerKey, bytes: u64) -> Result<TestBody, BodyRefusal> {
        let mut body = TestBody {
            memory: Arc::clone(&self.memory),
            permit: self.memory.permit(),
            request: None,
        };
        self.grow(&mut body, caller, bytes)?;
        Ok(body)
    }

    fn grow(&self, body: &mut TestBody, caller: CallerKey, bytes: u64) -> Result<(), BodyRefusal> {
        let need = BodyNeed {
            caller,
            bytes,
            length: bytes,
        };
        body.request = self.memory.raise(&mut body.permit, need, self.now)?;
        Ok(())
    }

    fn is_empty(&self) -> bool {
        let registry = self.memory.lock();
        let unregistered = registry.users.is_empty() && registry.bodies.is_empty();
        unregistered && self.memory.held() == 0 && !self.memory.budget.has_queue()
    }
}

/// A body of a test, as its request sees it.
struct TestBody {
    memory: Arc<BodyMemory>,
    permit: BodyPermit,
    request: Option<MemoryRequest>,
}

impl TestBody {
    /// Takes the memory if it has been granted by now. Returns whether the body has its memory.
    fn poll(&mut self, now: Instant) -> bool {
        if let Some(granted) = self.request.as_mut().and_then(MemoryRequest::try_granted) {
            self.memory.admit(&mut self.permit, granted, now);
            self.request = None;
        }
        self.request.is_none()
    }

    fn receive(&self, bytes: u64) {
        if let Some(large) = self.permit.large() {
            large.set_received(large.received() + bytes);
        }
    }

    fn received(&self) -> u64 {
        self.permit.large().map_or(0, LargeBody::received)
    }

    fn is_ended(&self) -> bool {
        let context = Context::from_waker(Waker::noop());
        let large = self.permit.large();
        large.is_some_and(|large| large.poll_ended(&context).is_ready())
    }
}

#[test]
fn a_raw_video_that_fits_gets_all_the_memory_for_its_base64() {
    let world = World::new(MIB, MIB);
    let raise = |body: &mut TestBody, length: u64| {
        let need = BodyNeed {
            caller: ALICE,
            bytes: length / 3 * 4,
            length,
        };
        let request = world.memory.raise(&mut body.permit, need, world.now);
        request.map(|request| body.request = request)
    };
    let mut body = world.admit(ALICE, 0).unwrap();
    raise(&mut body, 9 * MIB / 10).unwrap();
    assert!(body.poll(world.now));
    assert_eq!(world.memory.held(), MIB);
    // It may have to grow, as one of unknown length does, but not beyond what there is.
    raise(&mut body, MIB).unwrap();
    assert!(body.poll(world.now));
    assert_eq!(world.memory.held(), MIB);
    let refused = raise(&mut body, 2 * MIB);
    assert!(matches!(refused, Err(BodyRefusal::NoRoom)));
    drop(body);
    assert!(world.is_empty());
}

#[test]
fn bodies_of_one_user_hold_at_most_their_share() {
    let world = World::new(100 * MIB, 10 * MIB);
    let mut first = world.admit(ALICE, 6 * MIB).unwrap();
    let refused = world.admit(ALICE, 5 * MIB).err();
    assert!(matches!(refused, Some(BodyRefusal::UserShare)));
    let _second = world.admit(ALICE, 4 * MIB).unwrap();
    let _other = world.admit(BOB, 10 * MIB).unwrap();
    let grown = world.grow(&mut first, ALICE, 7 * MIB);
    assert!(matches!(grown, Err(BodyRefusal::UserShare)));
    drop(first);
    let _third = world.admit(ALICE, 6 * MIB).unwrap();
    assert_eq!(world.memory.held(), 20 * MIB);
}

#[test]
fn the_only_body_of_a_user_is_always_within_the_share() {
    let world = World::new(100 * MIB, 10 * MIB);
    let mut only = world.admit(ALICE, 12 * MIB).unwrap();
    world.grow(&mut only, ALICE, 13 * MIB).unwrap();
    assert!(world.admit(ALICE, MIB).is_err());
    drop(only);
    assert!(world.is_empty());
}

#[test]
fn a_body_that_finds_no_room_ends_the_one_that_is_furthest_behind() {
    let mut world = World::new(30 * MIB, 30 * MIB);
    let (slow, slower) = (
        world.admit(ALICE, 10 * MIB).unwrap(),
        world.admit(ALICE, 20 * MIB).unwrap(),
    );
    let at_once = world.admit(BOB, MIB).err();
    assert!(
        matches!(at_once, Some(BodyRefusal::NoRoom)),
        "nobody is behind yet"
    );
    world.pass(10);
    let mut new = world.admit(BOB, MIB).unwrap();
    assert!(slower.is_ended() && !slow.is_ended());
    assert!(slower.permit.complete().is_err() && slow.permit.complete().is_ok());
    assert!(!new.poll(world.now), "the memory is not back yet");
    drop(slower);
    assert!(new.poll(world.now));
    assert_eq!(world.memory.held(), 11 * MIB);
}

#[test]
fn bodies_that_keep_their_pace_are_not_ended() {
    let mut world = World::new(30 * MIB, 30 * MIB);
    let arriving = world.admit(ALICE, 15 * MIB).unwrap();
    let complete = world.admit(ALICE, 15 * MIB).unwrap();
    complete.permit.complete().unwrap();
    for _ in 0..29 {
        world.pass(1000);
        arriving.receive(512 * KIB);
        assert!(world.admit(BOB, 100).is_err());
    }
    assert!(!arriving.is_ended() && !complete.is_ended());
    world.pass(2000);
    assert!(world.admit(BOB, 100).is_ok());
    assert!(arriving.is_ended(), "30 s are over");
    assert!(!complete.is_ended());
}

#[test]
fn the_required_rate_follows_what_is_held() {
    let world = World::new(60 * MIB, 60 * MIB);
    assert_eq!(world.memory.required_rate(30 * MIB), 16 * KIB);
    let all = world.admit(ALICE, 60 * MIB).unwrap();
    assert_eq!(world.memory.required_rate(30 * MIB), MIB);
    drop(all);
    assert_eq!(world.memory.required_rate(30 * MIB), 16 * KIB);
}

#[test]
fn a_body_that_was_ended_cannot_grow() {
    let mut world = World::new(30 * MIB, 30 * MIB);
    let mut slow = world.admit(ALICE, 20 * MIB).unwrap();
    world.pass(1000);
    let _new = world.admit(BOB, 11 * MIB).unwrap();
    let grown = world.grow(&mut slow, ALICE, 21 * MIB);
    assert!(matches!(grown, Err(BodyRefusal::Displaced)));
}

#[test]
fn nobody_is_ended_where_it_would_not_help() {
    let mut world = World::new(30 * MIB, 30 * MIB);
    let slow = world.admit(ALICE, 10 * MIB).unwrap();
    let needed = world.admit(BOB, 20 * MIB).unwrap();
    needed.permit.complete().unwrap();
    world.pass(5000);
    let refused = world.admit(CAROL, 10 * MIB + 1).err();
    assert!(matches!(refused, Some(BodyRefusal::NoRoom)));
    assert!(!slow.is_ended());
    assert!(world.admit(CAROL, 10 * MIB).is_ok() && slow.is_ended());
}

#[test]
fn a_retry_that_waits_gives_its_body_back_before_anybody_is_ended() {
    let mut world = World::new(30 * MIB, 30 * MIB);
    let slow = world.admit(ALICE, 20 * MIB).unwrap();
    let retry = world.admit(BOB, 10 * MIB).unwrap();
    retry.permit.complete().unwrap();
    let spare = retry.permit.spare();
    world.pass(5000);
    spare.offer();
    assert!(spare.keep(), "nobody needed it");
    spare.offer();
    let mut new = world.admit(BOB, MIB).unwrap();
    assert!(retry.is_ended());
    assert!(!spare.keep() && !slow.is_ended());
    drop(retry);
    assert!(new.poll(world.now));
}

#[tokio::test]
async fn a_wait_for_memory_that_does_not_come_back_is_bounded() {
    let mut world = World::new(10 * MIB, 10 * MIB);
    let stuck = world.admit(ALICE, 10 * MIB).unwrap();
    world.pass(1000);
    let mut new = world.admit(BOB, MIB).unwrap();
    let began = Instant::now();
    let request = new.request.take().unwrap();
    let waited = world.memory.wait(&mut new.permit, request).await;
    assert!(matches!(waited, Err(BodyRefusal::NoRoom)));
    assert!(began.elapsed() >= ROOM_WAIT);
    drop((new, stuck));
    assert!(world.is_empty());
}
