//! Two real RTSP cameras, one of which dies and comes back. The other does not notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod support;

use jiff::Timestamp;
use serde_json::Value;
use support::{DemoCamera, Running, Site, frames_unaccounted, is_recognized, time_of, var, wait_for};

fn state(site: &Site, camera: &str) -> (String, bool, u64) {
    let Some(found) = site.camera(camera) else { return (String::new(), false, 0) };
    let text = found["state"].as_str().unwrap_or_default().to_owned();
    (text, found["recognising"] == true, found["epoch"].as_u64().unwrap_or(0))
}

/// Recognitions of a camera, in its connection `epoch`.
fn recognised(events: &[Value], camera: &str, epoch: u64) -> usize {
    events.iter().filter(|e| is_recognized(e, camera) && e["data"]["epoch"] == epoch).count()
}

/// When the camera entered `state` in a connection later than `epoch`, or from it.
fn entered(events: &[Value], camera: &str, state: &str, epoch: u64) -> Option<Timestamp> {
    let of = |e: &&Value| {
        e["type"] == "io.watchlistd.camera.v1"
            && e["data"]["camera"] == camera
            && e["data"]["state"] == state
            && e["data"]["epoch"].as_u64() >= Some(epoch)
    };
    events.iter().find(of).map(|e| time_of(&e["data"]["published_at"]))
}

/// Recognitions of the camera whose frame was captured between the two.
fn captured_between(events: &[Value], camera: &str, from: Timestamp, to: Timestamp) -> usize {
    let within = |e: &&Value| (from..to).contains(&time_of(&e["data"]["captured_at"]));
    events.iter().filter(|e| is_recognized(e, camera)).filter(within).count()
}

/// Watches a camera's counters: between two looks of at least two of its detection periods, frames were looked at; none is
/// unaccounted for; none was lost on the way to the workers.
struct Steady {
    last: Value,
    looks: u32,
}

/// Frames in two detection periods: the camera sends 25 a second, of which 5 are looked at.
const TWO_PERIODS: u64 = 10;

impl Steady {
    fn begin(site: &Site) -> Self {
        Self { last: site.camera("steady").expect("its status"), looks: 0 }
    }

    fn look(&mut self, site: &Site) {
        let now = site.camera("steady").expect("the daemon answers");
        let grown = |key: &str| now[key].as_u64().expect(key) - self.last[key].as_u64().expect(key);
        assert_eq!((&now["epoch"], &now["reconnects"]), (&1.into(), &0.into()), "{now}");
        assert_eq!(now["state"], "connected", "{now}");
        let unaccounted = frames_unaccounted(&now);
        assert!(unaccounted.abs() <= 3, "{unaccounted} frames are neither looked at nor counted: {now}");
        for reason in ["replaced", "failed", "stopped"] {
            let lost = |status: &Value| status["frames_dropped"][reason].as_u64().unwrap_or(0);
            assert_eq!(lost(&now), lost(&self.last), "{reason}: {now}");
        }
        if grown("frames_received") >= TWO_PERIODS {
            assert!(grown("frames_inferred") > 0, "it paused, between {} and {now}", self.last);
            self.last = now;
            self.looks += 1;
        }
    }
}

#[test]
fn one_camera_dies_and_returns_while_the_other_goes_on() {
    let Some(var) = var() else { return };
    let steady = DemoCamera::start(0, 0);
    let fragile = DemoCamera::start(0, 0);
    let port = fragile.port();
    // Without a cool-down every track of an enrolled person is an event of its own, so that a pause would show.
    let site = Site::new(
        &var,
        &format!(
            "[http]\nlisten = \"off\"\n[decide]\ncooldown = \"100ms\"\n[quality]\nmax_pitch = 45\n\
             [cameras.steady]\nurl = {:?}\n[cameras.fragile]\nurl = {:?}\nstall = \"3s\"\n",
            steady.url, fragile.url
        ),
    );
    site.enrol_demo(&var);
    let mut daemon = Running::start(site.command("run"));

    wait_for("both cameras to recognise somebody", || {
        assert!(daemon.exited().is_none(), "the daemon ended: {}", daemon.errors());
        let events = daemon.events();
        (recognised(&events, "steady", 1) > 0 && recognised(&events, "fragile", 1) > 0).then_some(())
    });

    let mut steadiness = Steady::begin(&site);
    fragile.kill();
    let died = wait_for("the dead camera to be noticed", || {
        steadiness.look(&site);
        let (state, recognising, _) = state(&site, "fragile");
        let noticed = state != "connected" && !recognising;
        entered(&daemon.events(), "fragile", "waiting", 1).filter(|_| noticed)
    });
    let looks = steadiness.looks;
    wait_for("somebody to be recognised by the other in the meantime", || {
        steadiness.look(&site);
        let seen = captured_between(&daemon.events(), "steady", died, Timestamp::MAX) > 0;
        (seen && steadiness.looks >= looks + 5).then_some(())
    });

    let _back = DemoCamera::start(port, 0);
    wait_for("the dead camera to be recognising again", || {
        steadiness.look(&site);
        let (state, recognising, epoch) = state(&site, "fragile");
        (state == "connected" && recognising && epoch > 1).then_some(())
    });
    let back = entered(&daemon.events(), "fragile", "connected", 2).expect("an event of its return");
    let meanwhile = captured_between(&daemon.events(), "steady", died, back);
    assert!(meanwhile > 0, "nobody was recognised by the other between {died} and {back}");
    let epoch = state(&site, "fragile").2;
    wait_for("somebody to be recognised there again", || {
        steadiness.look(&site);
        (recognised(&daemon.events(), "fragile", epoch) > 0).then_some(())
    });
    let events = daemon.events();
    let changes = events
        .iter()
        .filter(|e| e["type"] == "io.watchlistd.camera.v1" && e["data"]["camera"] == "steady")
        .map(|e| e["data"]["state"].as_str().unwrap_or_default())
        .collect::<Vec<_>>();
    assert_eq!(changes, ["connecting", "connected"], "the steady camera never changed its state");

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.errors());
    assert!(!daemon.errors().contains("panicked"), "{}", daemon.errors());
}
