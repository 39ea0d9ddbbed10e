use std::panic::{set_hook, take_hook};
use std::sync::{Arc, Mutex};

/// What `work` gives, and the messages of all panics meanwhile, on any thread, caught or not; nothing is printed.
pub(crate) fn silenced<R>(work: impl FnOnce() -> R) -> (R, Vec<String>) {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&messages);
    let before = take_hook();
    set_hook(Box::new(move |info| {
        if let Ok(mut messages) = sink.lock() {
            messages.push(info.to_string());
        }
    }));
    let result = work();
    set_hook(before);
    let messages = messages.lock().map(|mut messages| std::mem::take(&mut *messages)).unwrap_or_default();
    (result, messages)
}
