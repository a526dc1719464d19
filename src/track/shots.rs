//! Which shots of a track are embedded. An embedding costs as much as all the rest of a face's way, and the tenth
//! picture of a standing person says nothing that the first five did not.
//!
//! ```text
//!   score
//!     │  x                       x          first shot of a confirmed track: at once
//!     │  │    x  ·  ·  │ x  ·    │          then the best of each shot_interval, at its end
//!     │  │ ·           │      ·  │          up to max_shots
//!     └──┴─────────────┴─────────┴────▶ t   afterwards only what is clearly better than the worst of the best,
//!       now           due       due         or the best of an interval when none was embedded for REFRESH
//! ```
//!
//! The answers depend on the stream's times and scores alone, never on when inference answers: a recording gives the
//! same shots as the camera did, on any machine.

use std::time::Duration;

use crate::base::clock::Moment;
use crate::config;

/// After `max_shots`, a shot must score this much more than the worst embedded one.
pub const CLEARLY_BETTER: f32 = 0.05;
/// After `max_shots`, a track is looked at again this long after its last shot.
pub const REFRESH: Duration = Duration::from_secs(5);

/// A shot to embed.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot<T> {
    /// What the caller offered: the crop and what belongs to it.
    pub payload: T,
    /// Its quality score.
    pub score: f32,
    /// When it was captured.
    pub captured: Moment,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer<T> {
    /// Embed this one now: the offered shot, or the held one if that was better.
    EmbedNow(Shot<T>),
    /// The offered shot is held until [`ShotSelector::due`]; the one it replaced, if any, is handed back.
    Hold(Option<Shot<T>>),
    /// The offered shot cannot win and is handed back.
    Skip(Shot<T>),
}

/// Chooses the shots of one track.
#[derive(Debug, Clone)]
pub struct ShotSelector<T> {
    interval: Duration,
    max_shots: usize,
    confirmed: bool,
    pending: Option<Shot<T>>,
    /// Scores of the best embedded shots, at most `max_shots`.
    best: Vec<f32>,
    /// End of the interval that the last shot opened.
    window_end: Option<Duration>,
    refresh_at: Option<Duration>,
}

impl<T> ShotSelector<T> {
    /// For a new track. Until [`ShotSelector::confirm`] the best shot is held and nothing is embedded.
    pub fn new(config: &config::Track) -> Self {
        Self {
            interval: config.shot_interval,
            max_shots: config.max_shots.max(1) as usize,
            confirmed: false,
            pending: None,
            best: Vec::new(),
            window_end: None,
            refresh_at: None,
        }
    }

    /// The track counts: what is held is due at once. Calling it again changes nothing.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    /// Whether a shot that scores at most `estimate` could be chosen. Ask before aligning: an upper bound from the
    /// box and the landmarks will do.
    pub fn wants(&self, now: Moment, estimate: f32) -> bool {
        let beats_pending = self.pending.as_ref().is_none_or(|held| estimate > held.score);
        estimate.is_finite() && beats_pending && self.admits(now, estimate)
    }

    /// Offers a shot that is good enough to be embedded, captured at `now`. Scores rank shots, higher is better.
    pub fn offer(&mut self, now: Moment, score: f32, payload: T) -> Offer<T> {
        let shot = Shot { payload, score, captured: now };
        if !self.wants(now, score) {
            return match self.release(now) {
                Some(held) => Offer::EmbedNow(held),
                None => Offer::Skip(shot),
            };
        }
        let replaced = self.pending.replace(shot);
        match self.release(now) {
            Some(chosen) => Offer::EmbedNow(chosen),
            None => Offer::Hold(replaced),
        }
    }

    /// True if a held shot's time has come.
    pub fn due(&self, now: Moment) -> bool {
        self.confirmed && self.pending.is_some() && self.window_is_over(now)
    }

    /// The held shot, if it is due. Ask at each frame that was looked at, also when the track was not seen in it.
    pub fn release(&mut self, now: Moment) -> Option<Shot<T>> {
        if !self.due(now) {
            return None;
        }
        let chosen = self.pending.take()?;
        self.window_end = Some(now.mono.saturating_add(self.interval));
        self.refresh_at = Some(now.mono.saturating_add(REFRESH));
        self.remember(chosen.score);
        Some(chosen)
    }

    /// The track has ended: the held shot, if the track ever counted.
    pub fn finish(self) -> Option<Shot<T>> {
        self.pending.filter(|_| self.confirmed)
    }

    fn window_is_over(&self, now: Moment) -> bool {
        self.window_end.is_none_or(|end| now.mono >= end)
    }

    /// What every shot has to meet, whatever is held.
    fn admits(&self, now: Moment, score: f32) -> bool {
        let worst = self.best.iter().copied().reduce(f32::min);
        let refresh = self.refresh_at.is_some_and(|at| now.mono >= at);
        self.best.len() < self.max_shots || refresh || worst.is_none_or(|w| score > w + CLEARLY_BETTER)
    }

    fn remember(&mut self, score: f32) {
        self.best.push(score);
        self.best.sort_by(|a, b| b.total_cmp(a));
        self.best.truncate(self.max_shots);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scenes::{at, config};
    use super::*;

    /// Interval 0.5 s, 3 shots.
    fn selector() -> ShotSelector<u32> {
        ShotSelector::new(&config::Track { max_shots: 3, ..config() })
    }

    fn confirmed() -> ShotSelector<u32> {
        let mut selector = selector();
        selector.confirm();
        selector
    }

    fn payload(offer: Offer<u32>) -> Option<u32> {
        match offer {
            Offer::EmbedNow(shot) => Some(shot.payload),
            _ => None,
        }
    }

    #[test]
    fn the_first_shot_waits_for_nothing_but_the_track_to_count() {
        assert_eq!(payload(confirmed().offer(at(0.0), 0.1, 1)), Some(1));

        let mut tentative = selector();
        assert_eq!(tentative.offer(at(0.0), 0.6, 1), Offer::Hold(None));
        assert!(!tentative.due(at(9.0)), "a track that does not count embeds nothing");
        tentative.confirm();
        assert!(!tentative.wants(at(0.2), 0.5), "the first frame's shot is better");
        assert!(tentative.due(at(0.2)));
        let shot = tentative.release(at(0.2)).expect("it is due");
        assert_eq!((shot.payload, shot.captured), (1, at(0.0)), "the first frame's shot is not lost");
        assert_eq!(selector().finish(), None);
    }

    #[test]
    fn then_the_best_of_each_interval_at_its_end() {
        let mut selector = confirmed();
        assert_eq!(payload(selector.offer(at(0.0), 0.5, 1)), Some(1));
        assert_eq!(selector.offer(at(0.2), 0.4, 2), Offer::Hold(None));
        assert!(matches!(selector.offer(at(0.3), 0.7, 3), Offer::Hold(Some(Shot { payload: 2, .. }))));
        assert!(!selector.wants(at(0.4), 0.6));
        assert!(matches!(selector.offer(at(0.4), 0.6, 4), Offer::Skip(Shot { payload: 4, .. })));
        assert!(!selector.due(at(0.49)) && selector.due(at(0.5)));
        assert_eq!(payload(selector.offer(at(0.6), 0.2, 5)), Some(3), "the held one is better");
        assert!(!selector.due(at(2.0)), "nothing is held");
        assert_eq!(
            payload(selector.offer(at(2.0), 0.1, 6)),
            Some(6),
            "a new interval, and nothing to wait for"
        );
    }

    #[test]
    fn after_max_shots_only_what_is_clearly_better_or_refreshes() {
        let mut selector = confirmed();
        for (i, score) in [0.5, 0.6, 0.7].into_iter().enumerate() {
            assert!(payload(selector.offer(at(i as f64), score, 0)).is_some());
        }
        assert!(!selector.wants(at(3.0), 0.54), "not clearly better than 0.5");
        assert_eq!(payload(selector.offer(at(3.0), 0.56, 1)), Some(1));
        assert!(!selector.wants(at(4.0), 0.6), "the bar has risen: the worst of the best is 0.56");
        assert!(!selector.wants(at(7.9), 0.1));
        assert_eq!(payload(selector.offer(at(8.0), 0.1, 2)), Some(2), "5 s after the last shot");
        assert!(!selector.wants(at(8.6), 0.3), "and not again at once");
    }

    #[test]
    fn at_the_end_the_held_shot_is_embedded() {
        let mut selector = confirmed();
        selector.offer(at(0.0), 0.5, 1);
        selector.offer(at(0.2), 0.6, 2);
        assert_eq!(selector.finish().map(|shot| shot.payload), Some(2));
    }

    proptest! {
        #[test]
        fn the_rate_and_the_choice_hold_for_any_offers(
            offers in prop::collection::vec((1u16..900, 0u8..100), 1..60),
        ) {
            let mut selector = confirmed();
            let (mut time, mut last, mut given) = (0.0, None, 0);
            let mut waiting: Option<f32> = None;
            for (i, (gap, score)) in offers.iter().enumerate() {
                time += f64::from(*gap) / 1000.0;
                let score = f32::from(*score) / 100.0;
                let wanted = selector.wants(at(time), score);
                let shot = match selector.offer(at(time), score, i as u32) {
                    Offer::EmbedNow(shot) => shot,
                    Offer::Hold(replaced) => {
                        prop_assert!(wanted && replaced.is_none_or(|old| old.score < score));
                        waiting = Some(score);
                        continue;
                    }
                    Offer::Skip(_) => {
                        prop_assert!(!wanted, "what is wanted is not skipped");
                        continue;
                    }
                };
                if let Some(last) = last {
                    prop_assert!(time - last >= 0.5 - 1e-9, "at most one in an interval");
                }
                prop_assert!(waiting.take().is_none_or(|held| shot.score >= held), "the best of the interval");
                prop_assert!(!selector.due(at(time)));
                last = Some(time);
                given += 1;
            }
            prop_assert!(given >= 1, "the first offer is taken");
        }

        #[test]
        fn the_same_stream_gives_the_same_shots(offers in prop::collection::vec((1u16..900, 0.0f32..1.0), 1..40)) {
            let run = || {
                let (mut selector, mut time) = (confirmed(), 0.0);
                let mut chosen = Vec::new();
                for (i, (gap, score)) in offers.iter().enumerate() {
                    time += f64::from(*gap) / 1000.0;
                    chosen.extend(payload(selector.offer(at(time), *score, i as u32)));
                }
                chosen.extend(selector.finish().map(|shot| shot.payload));
                chosen
            };
            prop_assert_eq!(run(), run());
        }
    }
}
