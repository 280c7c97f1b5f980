//! Calls into code that panics on bad input: the panic becomes an error, and nothing is printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; the error is the text of its panic.
///
/// # Errors
/// Where `work` panics.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    // The hook before stays in charge of every other panic: it is what prints, and only on the threads not marked.
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                before(panic);
            }
        }));
    });
    let outer = CONTAINED.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(contained(|| 7), Ok(7));
        assert_eq!(contained(|| panic!("at row {}", 3)), Err::<(), _>("at row 3".to_string()));
    }
}
