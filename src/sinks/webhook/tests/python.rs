//! The receiver's check in docs/sinks/webhook.md, as it stands there.

use std::io::Write;
use std::process::{Command, Stdio};

use super::signature::WHSEC;
use super::*;
use crate::base::secret::Secret;
use crate::sinks::testing::deliveries;

/// Runs the page's function over a request; `None` without Python.
fn verdict(secrets: &str, headers: &str, body: &[u8], now: i64) -> Option<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sinks/webhook.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let run = format!(
        "{code}\nimport json, sys\ntime.time = lambda: {now}\n\
         print(verify(json.loads({secrets:?}), json.loads({headers:?}), sys.stdin.buffer.read()))\n"
    );
    let child = Command::new("python3")
        .args(["-c", &run])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: no python3");
        return None;
    };
    child.stdin.take().expect("a pipe").write_all(body).expect("written");
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn the_page_tells_what_is_genuine() {
    let server = Server::start();
    let signing_secrets = vec![Secret::new("the next secret, not known yet"), Secret::new(WHSEC)];
    let config = WebhookConfig { signing_secrets, ..config("http", server.address) };
    let (mut sink, batch) =
        (Webhook::open(config, standing(1_700_000_000)).expect("good"), deliveries(1..=1));
    assert!(all(&send(&mut sink, &batch), &batch));
    let request = server.requests().remove(0);
    let headers: std::collections::BTreeMap<_, _> = request.headers.iter().cloned().collect();
    let headers = serde_json::to_string(&headers).expect("JSON");
    let known = format!("[\"{WHSEC}\"]");
    let changed = [&request.body[..], b" "].concat();
    let cases = [
        (known.as_str(), &request.body, 1_700_000_200, "True"),
        (known.as_str(), &changed, 1_700_000_200, "False"),
        // Five minutes later it could be somebody who has recorded it.
        (known.as_str(), &request.body, 1_700_000_301, "False"),
        ("[\"whsec_c29tZSBvdGhlciBzZWNyZXQgdGhhdCBpcyBsb25n\"]", &request.body, 1_700_000_200, "False"),
        ("[\"the next secret, not known yet\"]", &request.body, 1_700_000_200, "True"),
    ];
    for (secrets, body, now, expected) in cases {
        let Some(found) = verdict(secrets, &headers, body, now) else { return };
        assert_eq!(found, expected, "{secrets} at {now}");
    }
}
