//! How fast a stage goes and how long it still takes, from its progress events.

use crate::base::event::StageEvent;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known of a running stage's speed.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    started: Duration,
    from_step: u64,
    tokens: u64,
    /// Steps done, counted from the stage's start.
    pub step: u64,
    /// Steps in all; 0 while unknown.
    pub total: u64,
    /// What a step is called.
    pub unit: String,
    /// The newest numbers.
    pub metrics: BTreeMap<String, f64>,
    now: Duration,
}

impl Pace {
    /// A stage that started at `now` on some clock, from a step of an earlier attempt or from 0.
    pub fn new(now: Duration, resumed_from: Option<u64>) -> Self {
        let from_step = resumed_from.unwrap_or(0);
        Pace { started: now, now, from_step, step: from_step, ..Pace::default() }
    }

    /// Takes in what the stage said at `now`.
    pub fn hear(&mut self, said: &StageEvent, now: Duration) {
        if let StageEvent::Resumed { step, .. } = said {
            *self = Pace::new(now, Some(*step));
        }
        let StageEvent::Progress { step, total, unit, tokens, metrics } = said else { return };
        (self.step, self.total, self.now) = (*step, *total, now);
        self.tokens += tokens;
        self.unit.clone_from(unit);
        self.metrics.clone_from(metrics);
    }

    /// Tokens a second since the start of this attempt; `None` before the first.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = (self.now - self.started).as_secs_f64();
        (self.tokens > 0 && seconds > 0.0).then(|| self.tokens as f64 / seconds)
    }

    /// Seconds until the last step, at the mean speed of this attempt; `None` while nothing is known.
    pub fn seconds_left(&self) -> Option<f64> {
        let done = self.step.checked_sub(self.from_step).filter(|&done| done > 0)?;
        let left = self.total.checked_sub(self.step)?;
        Some((self.now - self.started).as_secs_f64() / done as f64 * left as f64)
    }

    /// How generation goes, where the stage generates: the share of the batch that works, of the cache that is used, and
    /// of the completions that were cut at their limit.
    pub fn generation(&self) -> Option<[f64; 3]> {
        let number = |name: &str| self.metrics.get(name).copied();
        Some([number("occupancy")?, number("cache_use")?, number("truncated")?])
    }

    /// The number to watch, with its name: the reward, else the loss, else whatever comes first.
    pub fn headline(&self) -> Option<(&str, f64)> {
        if self.generation().is_some() {
            return None;
        }
        let named = ["reward", "loss", "accuracy"].iter().find_map(|name| self.metrics.get_key_value(*name));
        named.or_else(|| self.metrics.iter().next()).map(|(name, &value)| (name.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_stage_is_timed_from_where_it_resumed() {
        let mut pace = Pace::new(Duration::from_secs(90), None);
        pace.hear(&StageEvent::Resumed { step: 40, seconds: 7.0 }, Duration::from_secs(100));
        assert_eq!((pace.seconds_left(), pace.tokens_per_second()), (None, None));
        let metrics = BTreeMap::from([("grad_norm".to_string(), 1.0), ("loss".to_string(), 0.5)]);
        let said = StageEvent::Progress { step: 50, total: 60, unit: "step".into(), tokens: 1000, metrics };
        pace.hear(&said, Duration::from_secs(120));
        assert_eq!(pace.seconds_left(), Some(20.0));
        assert_eq!(pace.tokens_per_second(), Some(50.0));
        assert_eq!(pace.headline(), Some(("loss", 0.5)));
    }
}
