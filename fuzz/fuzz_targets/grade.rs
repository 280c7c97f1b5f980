//! Any two texts are judged by every profile without a panic; equality is reflexive and symmetric, and its grounds say so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use srlm_fuzz::grade::judge::{canonical, judge};
use srlm_fuzz::grade::profile::Profile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (gold, completion) = text.split_once('\n').unwrap_or((text, text));
    for profile in Profile::ALL {
        let grade = profile.grade(gold, completion);
        assert_eq!(grade.correct, grade.ground.accepts(), "{grade:?}");
    }
    assert!(gold.trim().is_empty() || judge(gold, gold).accepts());
    assert_eq!(judge(gold, completion).accepts(), judge(completion, gold).accepts());
    canonical(completion);
});
