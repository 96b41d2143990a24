//! One request of HTTP/1.1, and the status of its answer. Redirects are answers like any other, and
//! are not followed; a body is not read.

use std::fmt::Write as _;
use std::sync::Arc;

use skerry_core::agent::{HttpProbe, Scheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::{inside, tls};

/// The most of an answer that is read: its status and headers.
const HEAD_MAX: usize = 16 * 1024;

/// Asks, and judges the status.
pub(super) async fn ask(
    probe: &HttpProbe,
    threads: &Arc<Semaphore>,
    pid: i32,
) -> Result<(), String> {
    let request = request(probe);
    let stream = inside::connect(threads, pid, probe.port).await?;
    let head = match probe.scheme {
        Scheme::Http => exchange(stream, &request).await?,
        Scheme::Https => Box::pin(tls::exchange(stream, &request, HEAD_MAX)).await?,
    };
    let status = status(&head)?;
    if probe.status.contains(status) {
        return Ok(());
    }
    Err(format!("{} answered with status {status}; {} is expected", probe.path, probe.status))
}

fn request(probe: &HttpProbe) -> String {
    let mut text = format!("GET {} HTTP/1.1\r\n", probe.path);
    let said = |name: &str| probe.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    let usual = [
        ("Host", "localhost"),
        ("User-Agent", "skerry"),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ];
    let usual = usual.into_iter().filter(|(name, _)| !said(name));
    let own = probe.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in usual.chain(own) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<Vec<u8>, String> {
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("cannot ask: {error}"))?;
    let mut head = Vec::new();
    let mut part = [0; 2048];
    loop {
        let count = stream.read(&mut part).await.map_err(|error| format!("no answer: {error}"))?;
        head.extend_from_slice(part.get(..count).unwrap_or_default());
        if count == 0 || is_whole(&head)? {
            return Ok(head);
        }
    }
}

/// Whether status and headers are there; too many of them are an error.
pub(super) fn is_whole(head: &[u8]) -> Result<bool, String> {
    match head.windows(4).any(|four| four == b"\r\n\r\n") {
        true => Ok(true),
        false if head.len() > HEAD_MAX => Err("the headers have more than 16 KiB".to_owned()),
        false => Ok(false),
    }
}

/// `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> Result<u16, String> {
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(line).unwrap_or_default();
    let word = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = word.and_then(|word| word.parse().ok()).filter(|s| (100..=999).contains(s));
    status.ok_or_else(|| match head.is_empty() {
        true => "the connection was closed without an answer".to_owned(),
        false => "the answer is not HTTP".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_headers_that_are_said_and_each_once() {
        let mut probe: HttpProbe =
            serde_json::from_str(r#"{"port":80,"path":"/ready?x=1"}"#).unwrap();
        probe.headers.insert("host".into(), "me".into());
        let text = request(&probe);
        assert!(text.starts_with("GET /ready?x=1 HTTP/1.1\r\n") && text.ends_with("\r\n\r\n"));
        assert!(text.contains("host: me\r\n") && !text.contains("localhost"), "{text}");
    }

    #[test]
    fn a_status_is_read_and_nothing_else_is_one() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(204));
        assert_eq!(status(b"HTTP/1.0 200\n"), Ok(200));
        for wrong in [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n", b"HTTP/1.1", b"\xff\xff"] {
            assert!(status(wrong).is_err());
        }
        assert!(is_whole(&vec![b'x'; HEAD_MAX + 1]).is_err());
    }
}
