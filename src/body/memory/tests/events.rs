//! Any sequence of events keeps the counts true, and leaks nothing.

use proptest::prelude::*;

use super::{CallerKey, KIB, MIB, TestBody, World};

/// What may happen to bodies, in any order. Numbers choose among the bodies there are.
#[derive(Clone, Debug)]
enum MemoryEvent {
    Admit(u64, u64),
    Grow(usize, u64),
    Receive(usize, u64),
    Complete(usize),
    Offer(usize),
    Keep(usize),
    Drop(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = MemoryEvent> {
    use MemoryEvent::*;
    let size = prop_oneof![1..20 * KIB, 1..2 * MIB];
    let any = 0_usize..32;
    prop_oneof![
        4 => (0_u64..4, size).prop_map(|(user, bytes)| Admit(user, bytes)),
        1 => (any.clone(), 1..MIB).prop_map(|(at, bytes)| Grow(at, bytes)),
        1 => (any.clone(), 1..MIB).prop_map(|(at, bytes)| Receive(at, bytes)),
        1 => any.clone().prop_map(Complete),
        1 => any.clone().prop_map(Offer),
        1 => any.clone().prop_map(Keep),
        2 => any.prop_map(Drop),
        1 => (0_u64..2000).prop_map(Pass),
    ]
}

type Bodies = Vec<(CallerKey, TestBody)>;

fn apply(world: &mut World, bodies: &mut Bodies, event: &MemoryEvent) {
    use MemoryEvent::*;
    match *event {
        Admit(user, bytes) => {
            let caller = CallerKey::numbered(user);
            bodies.extend(world.admit(caller, bytes).map(|body| (caller, body)));
        }
        Pass(milliseconds) => world.pass(milliseconds),
        Grow(at, _) | Receive(at, _) | Complete(at) | Offer(at) | Keep(at) | Drop(at) => {
            let at = at % bodies.len().max(1);
            let Some((caller, body)) = bodies.get_mut(at) else {
                return;
            };
            // A body that waits for room can only be dropped.
            if !body.poll(world.now) && !matches!(event, Drop(_)) {
                return;
            }
            let stays = match *event {
                Grow(_, more) => {
                    let bytes = body.permit.held.bytes() + more;
                    world.grow(body, *caller, bytes).is_ok()
                }
                Complete(_) => body.permit.complete().is_ok(),
                Receive(_, bytes) => {
                    body.receive(bytes);
                    true
                }
                Offer(_) => {
                    body.permit.spare().offer();
                    true
                }
                Keep(_) => body.permit.spare().keep(),
                _ => false,
            };
            if !stays {
                bodies.swap_remove(at);
            }
        }
    }
}

/// Compares the counts with the bodies there are.
fn check(world: &World, bodies: &mut Bodies) {
    let memory = &world.memory;
    let mut held = 0;
    for (_, body) in bodies.iter_mut() {
        // A grant on its way counts.
        body.poll(world.now);
        held += body.permit.held.bytes();
    }
    assert_eq!(memory.held(), held);
    assert!(held <= memory.budget.limit());
    let registry = memory.lock();
    for (user, bytes) in &registry.users {
        let of_user = registry
            .bodies
            .values()
            .filter(|it| it.need.caller == *user);
        let (sum, count) =
            of_user.fold((0, 0), |(sum, count), it| (sum + it.need.bytes, count + 1));
        assert_eq!(sum, *bytes);
        assert!(
            sum > 0
                && (sum <= memory.per_user.load(std::sync::atomic::Ordering::Relaxed)
                    || count == 1)
        );
    }
    let large = bodies
        .iter()
        .filter(|(_, body)| body.permit.large().is_some());
    assert_eq!(large.count(), registry.bodies.len());
}

proptest! {
    #[test]
    fn no_sequence_of_events_leaks_or_overshoots(
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(4 * MIB, 2 * MIB);
        let mut bodies = Vec::new();
        for event in &events {
            apply(&mut world, &mut bodies, event);
            check(&world, &mut bodies);
        }
        // Whoever waits gets its memory once the others have gone, and then somebody holds some.
        bodies.retain(|(_, body)| body.request.is_some());
        check(&world, &mut bodies);
        assert!(bodies.is_empty() || world.memory.held() > 0);
        drop(bodies);
        assert!(world.is_empty());
    }
}
