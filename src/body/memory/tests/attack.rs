//! Many accounts that hold all of the memory by slow uploads, beside normal users.

use super::{CallerKey, KIB, MIB, TestBody, World};

/// A step of the simulation, in milliseconds.
const STEP: u64 = 10;

/// Somebody who uploads again and again.
struct Uploader {
    user: CallerKey,
    upload: Option<TestBody>,
    /// When the next one may begin, in milliseconds.
    next: u64,
}

impl Uploader {
    fn new(user: u64, next: u64) -> Self {
        Self {
            user: CallerKey::numbered(user),
            upload: None,
            next,
        }
    }

    /// Begins an upload if it is time. Returns `false` if it is refused.
    fn begin(&mut self, world: &World, now: u64, bytes: u64, pause: u64) -> bool {
        if self.upload.is_some() || now < self.next {
            return true;
        }
        self.next = now + pause;
        self.upload = world.admit(self.user, bytes).ok();
        self.upload.is_some()
    }

    /// Drops an upload that was ended. Returns whether it was.
    fn drop_if_ended(&mut self) -> bool {
        let ended = self.upload.as_ref().is_some_and(TestBody::is_ended);
        if ended {
            self.upload = None;
        }
        ended
    }
}

/// How the uploads of normal users went.
#[derive(Default)]
struct Tally {
    done: u32,
    lost: u32,
}

/// Each sends 2 MiB in 5 s, and again after a second.
fn normal_users(world: &World, users: &mut [Uploader], now: u64, tally: &mut Tally) {
    for user in users {
        let refused = !user.begin(world, now, 2 * MIB, 6000);
        tally.lost += u32::from(refused || user.drop_if_ended());
        let Some(upload) = &mut user.upload else {
            continue;
        };
        if upload.poll(world.now) {
            upload.receive(2 * MIB * STEP / 5000);
            if upload.received() > 2 * MIB - 16 * KIB {
                user.upload = None;
                tally.done += 1;
            }
        } else if now + 5000 > user.next {
            user.upload = None;
            tally.lost += 1;
        }
    }
}

/// All uploads together get 2 MB/s, and a new one begins 2 s after the last.
fn attackers(world: &World, attackers: &mut [Uploader], now: u64) {
    let uploads = attackers.iter_mut().filter_map(|it| it.upload.as_mut());
    let mut uploads: Vec<_> = uploads.collect();
    let share = 2_000_000 * STEP / 1000 / uploads.len().max(1) as u64;
    for upload in &mut uploads {
        upload.poll(world.now);
        upload.receive(share);
    }
    for attacker in attackers {
        attacker.begin(world, now, 28 * MIB, 2000);
    }
}

#[test]
fn an_attack_by_twenty_accounts_costs_normal_users_nothing() {
    let mut world = World::new(512 * MIB, 64 * MIB);
    let mut attacking: Vec<_> = (0..360).map(|at| Uploader::new(at % 20, at)).collect();
    let mut normal: Vec<_> = (0..20)
        .map(|at| Uploader::new(100 + at, 3000 + at * 290))
        .collect();
    let (mut tally, mut ended) = (Tally::default(), 0);
    for now in (0..60_000).step_by(STEP as usize) {
        world.pass(STEP / 2);
        for attacker in &mut attacking {
            ended += u32::from(attacker.drop_if_ended());
        }
        normal_users(&world, &mut normal, now, &mut tally);
        world.pass(STEP - STEP / 2);
        attackers(&world, &mut attacking, now);
    }
    let Tally { done, lost } = tally;
    assert!(done > 150, "{done} uploads of normal users are complete");
    assert!(lost * 100 <= done, "{lost} lost, {done} complete");
    assert!(ended > 100, "{ended} uploads of the attackers were ended");
}
