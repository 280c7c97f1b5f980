//! The client against a server that misbehaves: tried again, answered once, and nothing told of the key.

use super::patience::Patience;
use super::testing::{Act, Asked, Server};
use super::*;
use crate::base::seed::Seed;
use std::path::Path;
use std::time::{Duration, Instant};

const KEY: &str = "sk-open-sesame";

fn limits(concurrency: usize, retries: u32) -> Limits {
    let (first, longest) = (Duration::from_millis(2), Duration::from_millis(20));
    Limits { concurrency, patience: Patience { retries, first, longest, limit: Duration::from_secs(2) } }
}

fn client(url: &str) -> Client {
    client_with(url, Some(Secret::new(KEY)), Duration::from_secs(20))
}

fn client_with(url: &str, secret: Option<Secret>, timeout: Duration) -> Client {
    Client::new(Address::new(url).unwrap(), ("big", true), (Some("LAB_KEY"), secret), timeout, 8)
}

fn requests(count: usize) -> Vec<Request> {
    let settings = Settings { max_tokens: 8, ..Settings::new("big") };
    let prompt = |at: usize| Prompt { turns: vec![("user".into(), format!("q{at}"))], seed: Seed::new(at as u64) };
    (0..count).map(|at| Request::new(&prompt(at), &settings)).collect()
}

fn ask(server: &Server, folder: &Path, count: usize, limits: Limits) -> Result<Vec<Outcome>, ApiError> {
    ask_all(client(&server.url), &requests(count), &Kept::new(folder), limits, Seed::new(0), &mut |_| true)
}

fn texts(outcomes: &[Outcome]) -> Vec<String> {
    let text = |outcome: &Outcome| match outcome {
        Outcome::Answer(answer) => answer.text.clone(),
        Outcome::LeftOut(why) => format!("left out{why}"),
    };
    outcomes.iter().map(text).collect()
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("Echo: q{at}")).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn error(status: u16, message: &str) -> Act {
    Act::Status(status, vec![], serde_json::json!({ "error": { "message": message } }).to_string())
}

#[test]
fn answers_come_in_order_with_no_more_at_a_time_than_allowed() {
    let server = Server::start(0, |asked: &Asked| Act::Slow(Duration::from_millis(5 + (asked.index as u64 * 7) % 20)));
    let folder = folder();
    assert_eq!(texts(&ask(&server, folder.path(), 40, limits(6, 0)).unwrap()), expected(40));
    assert_eq!(server.most_at_once(), 6);
    assert!(server.asked().iter().all(|asked| asked.authorization.as_deref() == Some("Bearer sk-open-sesame")));
    // All of it is kept.
    assert_eq!(texts(&ask(&server, folder.path(), 40, limits(6, 0)).unwrap()), expected(40));
    assert_eq!(texts(&ask(&server, folder.path(), 42, limits(6, 0)).unwrap()), expected(42));
    assert_eq!(server.asked().len(), 42);
}

#[test]
fn whatever_passes_is_tried_again() {
    let server = Server::start(3, |asked: &Asked| match (asked.tries, asked.index % 6) {
        (0, 0) => error(429, "slow down"),
        (0, 1) => error(500, "oh"),
        (0, 2) => Act::HalfJson,
        (0, 3) => Act::HalfBody,
        (0, 4) => Act::Close,
        (0, 5) => Act::Status(503, vec![], "<html>busy</html>".into()),
        _ => Act::Answer,
    });
    let (folder, mut last) = (folder(), Progress::default());
    let kept = Kept::new(folder.path());
    let mut watch = |now: Progress| {
        last = now;
        true
    };
    let outcomes = ask_all(client(&server.url), &requests(24), &kept, limits(4, 5), Seed::new(0), &mut watch).unwrap();
    assert_eq!(texts(&outcomes), expected(24));
    assert_eq!((last.done, last.total, last.kept, last.tokens), (24, 24, 0, 72));
    assert!(last.retried >= 24, "{last:?}");
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_by_all() {
    let server = Server::start(0, |asked: &Asked| match asked.index {
        0 => Act::Status(429, vec![("retry-after-ms", "400".into())], "{}".into()),
        _ => Act::Answer,
    });
    let (folder, began) = (folder(), Instant::now());
    ask(&server, folder.path(), 3, limits(1, 2)).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    // One that asks for too much is not.
    let server = Server::start(0, |_: &Asked| Act::Status(429, vec![("retry-after", "7200".into())], "{}".into()));
    let told = ask(&server, folder.path(), 5, limits(1, 9)).unwrap_err().to_string();
    assert!(told.contains("asks to wait 120 minutes"), "{told}");
}

#[test]
fn a_slow_server_is_given_up_and_asked_again() {
    let server = Server::start(0, |asked: &Asked| match asked.tries {
        0 => Act::Slow(Duration::from_secs(5)),
        _ => Act::Answer,
    });
    let (folder, client) = (folder(), client_with(&server.url, None, Duration::from_millis(200)));
    let kept = Kept::new(folder.path());
    let outcomes = ask_all(client, &requests(2), &kept, limits(2, 3), Seed::new(0), &mut |_| true).unwrap();
    assert_eq!(texts(&outcomes), expected(2));
    assert!(server.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[test]
fn what_asking_again_does_not_change_ends_it_and_says_what_to_do() {
    let echo = format!("no such key: {KEY}, {KEY}");
    let cases: Vec<(Act, Vec<&str>)> = vec![
        (error(401, &echo), vec!["(401)", "no such key: [hidden], [hidden]", "LAB_KEY"]),
        (error(403, "not for you"), vec!["(403)", "not for you"]),
        (error(404, "no such model"), vec!["`big`", "no such model", "/v1"]),
        (error(400, "temperature must be 1"), vec!["(400)", "temperature must be 1"]),
        (Act::Status(400, vec![], r#"{"detail":"a field is missing"}"#.into()), vec!["a field is missing"]),
        (Act::Status(301, vec![("location", "http://other/".into())], String::new()), vec!["another address (301)"]),
        (error(429, "insufficient_quota: pay"), vec!["no quota", "pay"]),
    ];
    for (act, parts) in cases {
        let server = Server::start(0, move |_: &Asked| act.clone());
        let told = ask(&server, folder().path(), 30, limits(2, 9)).unwrap_err();
        assert!(matches!(told, ApiError::Refused(_)), "{told:?}");
        let told = told.to_string();
        assert!(parts.iter().all(|part| told.contains(part)) && !told.contains(KEY), "{told}");
        assert!(server.asked().len() <= 4, "{} requests after a refusal", server.asked().len());
    }
    let long = "x".repeat(5000);
    let server = Server::start(0, move |_: &Asked| error(400, &format!("{long} {KEY}")));
    assert!(ask(&server, folder().path(), 1, limits(1, 0)).unwrap_err().to_string().len() < 500);
}

#[test]
fn a_server_that_stays_bad_is_given_up_and_what_came_is_kept() {
    let server = Server::start(0, |asked: &Asked| if asked.index < 5 { Act::Answer } else { error(500, "down") });
    let folder = folder();
    let told = ask(&server, folder.path(), 9, limits(1, 2)).unwrap_err();
    assert!(matches!(&told, ApiError::Unavailable(why) if why.contains("down") && why.contains("3 times")), "{told:?}");
    assert_eq!(server.asked().len(), 5 + 3);
    let good = Server::start(0, |_: &Asked| Act::Answer);
    assert_eq!(texts(&ask(&good, folder.path(), 9, limits(1, 2)).unwrap()), expected(9));
    assert_eq!(good.asked().len(), 4);
}

#[test]
fn no_server_at_all_is_told_soon() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = client_with(&format!("http://{address}/v1"), None, Duration::from_secs(2));
    let folder = folder();
    let kept = Kept::new(folder.path());
    let told = ask_all(client, &requests(3), &kept, limits(2, 50), Seed::new(0), &mut |_| true).unwrap_err();
    assert!(matches!(&told, ApiError::Unreachable(why) if why.contains("no server answers")), "{told:?}");
}

#[test]
fn prompts_without_room_are_left_out_and_the_others_are_answered() {
    let server = Server::start(0, |asked: &Asked| match super::testing::prompt(asked).as_str() {
        "q1" => error(400, "This model's maximum context length is 16 tokens."),
        _ => Act::Answer,
    });
    let outcomes = ask(&server, folder().path(), 3, limits(2, 0)).unwrap();
    assert_eq!(texts(&outcomes)[0], "Echo: q0");
    assert!(texts(&outcomes)[1].starts_with("left out: This model's maximum context"));
}

#[test]
fn a_request_to_stop_is_heeded_and_what_came_is_kept() {
    let server = Server::start(0, |_: &Asked| Act::Slow(Duration::from_millis(20)));
    let folder = folder();
    let kept = Kept::new(folder.path());
    let mut watch = |now: Progress| now.done < 6;
    let told = ask_all(client(&server.url), &requests(200), &kept, limits(3, 0), Seed::new(0), &mut watch).unwrap_err();
    let ApiError::Stopped(answers) = told else { panic!("{told:?}") };
    assert!((6..20).contains(&answers), "{answers}");
    // Nothing that was answered is lost: those on their way were waited for.
    assert_eq!(server.asked().len(), answers);
    assert_eq!(texts(&ask(&server, folder.path(), 200, limits(16, 0)).unwrap()), expected(200));
    assert_eq!(server.asked().len(), 200);
}

#[test]
fn the_length_goes_by_its_newer_name_where_a_model_wants_that() {
    let server = Server::start(0, |asked: &Asked| match asked.body.get("max_tokens") {
        Some(_) => error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        None => Act::Answer,
    });
    assert_eq!(texts(&ask(&server, folder().path(), 5, limits(1, 0)).unwrap()), expected(5));
    assert_eq!(server.asked().len(), 6, "it is told once");
}

#[test]
fn requests_that_are_the_same_are_asked_once() {
    let server = Server::start(0, |_: &Asked| Act::Answer);
    let (folder, twice) = (folder(), [requests(3), requests(3)].concat());
    let kept = Kept::new(folder.path());
    let outcomes = ask_all(client(&server.url), &twice, &kept, limits(4, 0), Seed::new(0), &mut |_| true).unwrap();
    assert_eq!(texts(&outcomes), [expected(3), expected(3)].concat());
    assert_eq!(server.asked().len(), 3);
}
