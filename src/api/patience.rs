//! How long to wait before a request is tried again.

use crate::base::seed::Stream;
use std::time::{Duration, SystemTime};

/// How often and how patiently requests are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Further tries at a request.
    pub retries: u32,
    /// The pause before the first of them; each further one is twice as long.
    pub first: Duration,
    /// No pause of our own is longer.
    pub longest: Duration,
    /// A server that asks for a longer one is not waited for.
    pub limit: Duration,
}

impl Patience {
    /// So many further tries.
    pub fn of(retries: usize) -> Patience {
        Patience {
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            limit: Duration::from_secs(3600),
        }
    }

    /// The pause before try `tried + 1`: it doubles, and between half and all of it is waited, so that requests that
    /// failed together do not come back together.
    pub(super) fn pause(&self, tried: u32, stream: &mut Stream) -> Duration {
        let whole = self.first.saturating_mul(1 << tried.min(16)).min(self.longest);
        whole.mul_f64(0.5 + 0.5 * stream.uniform())
    }
}

/// How long a server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
pub(super) fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<Duration> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    if let Some(milliseconds) = header("retry-after-ms").and_then(number) {
        return seconds(milliseconds / 1000.0);
    }
    let text = header("retry-after")?;
    let until = |text: &str| Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default());
    number(text).and_then(seconds).or_else(|| until(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::Seed;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_the_seeds() {
        let patience = Patience::of(8);
        let pauses = || {
            let mut stream = Seed::new(3).stream();
            (0..20).map(|tried| patience.pause(tried, &mut stream)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(), pauses());
        for (tried, pause) in pauses().into_iter().enumerate() {
            let whole = (0.5 * f64::from(1 << tried.min(16))).min(60.0);
            assert!((whole / 2.0..=whole).contains(&pause.as_secs_f64()), "{tried}: {pause:?}");
        }
    }

    #[test]
    fn a_server_may_say_how_long_in_three_ways() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        let of = |headers: &[(&str, &'static str)]| {
            let headers = headers.to_vec();
            retry_after(|name| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value), now)
        };
        assert_eq!(of(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(of(&[("retry-after", "3"), ("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(Duration::from_secs(7)));
        assert_eq!(of(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(Duration::ZERO));
        assert_eq!((of(&[("retry-after", "soon")]), of(&[])), (None, None));
    }
}
