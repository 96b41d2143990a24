//! Against a server in this process that answers with what a test wrote down.

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

/// Answers one connection after the other; what was asked comes back when all are used up.
struct Fake {
    folder: TempDir,
    asked: tokio::task::JoinHandle<Vec<String>>,
}

impl Fake {
    fn new(answers: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("api.sock")).unwrap();
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 64 * 1024];
                let size = stream.read(&mut request).await.unwrap();
                request.truncate(size);
                asked.push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        Self { folder, asked }
    }

    fn client(&self) -> Client {
        Client::new(&self.folder.path().join("api.sock"))
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn name() -> AgentName {
    "cam".parse().unwrap()
}

#[tokio::test]
async fn questions_and_answers_are_those_of_the_api() {
    let list = r#"{"revision":7,"agents":{},"startedAtMs":{}}"#;
    let applied = r#"{"created":[],"changed":["cam"],"unchanged":[],"removed":[],"revision":8}"#;
    let fake = Fake::new(vec![answer("200 OK", list), answer("200 OK", applied)]);
    assert_eq!(fake.client().agents(Some(6)).await.unwrap().revision, 7);
    let applied = fake.client().change(&name(), Change::Restart).await.unwrap();
    assert_eq!((applied.revision, applied.changed.len()), (8, 1));
    let asked = fake.asked.await.unwrap();
    assert!(asked[0].starts_with("GET /v1/agents?after=6 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[1].starts_with("POST /v1/agents/cam/restart HTTP/1.1\r\n"), "{asked:?}");
}

#[tokio::test]
async fn a_refusal_comes_in_the_nodes_own_words() {
    let told = "agent 'cam' is not known on this node; see: skerry ps -a";
    let body = format!(r#"{{"error":"{told}"}}"#);
    let fake = Fake::new(vec![answer("404 Not Found", &body), answer("502 Bad Gateway", "oops")]);
    let error = fake.client().agent(&name()).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), told);
    let error = fake.client().status().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the node answered GET /v1/status with HTTP status 502 Bad Gateway"
    );
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let told = Client::new(&socket).status().await.unwrap_err().to_string();
    let at = socket.display();
    assert_eq!(told, format!("the node is not running (no socket at {at}); start it: skerry node"));
    drop(UnixListener::bind(&socket).unwrap());
    let told = Client::new(&socket).status().await.unwrap_err().to_string();
    assert!(told.contains("nobody listens at"), "{told}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_too_long_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"rev".to_owned();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(ANSWER_MAX + 1));
    let fake = Fake::new(vec![cut, answer("200 OK", "[]"), endless]);
    let error = fake.client().agents(None).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    let error = fake.client().agents(None).await.unwrap_err();
    assert!(matches!(error, ClientError::Answer { .. }), "{error:?}");
    let error = fake.client().agents(None).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_log_comes_piece_by_piece_to_its_end() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  6\r\nfirst\n\r\n7\r\nsecond\n\r\n0\r\n\r\n";
    let fake = Fake::new(vec![chunks.to_owned()]);
    let mut stream = fake.client().logs(&name(), Some(5), true).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    assert_eq!(all, b"first\nsecond\n");
    let asked = fake.asked.await.unwrap();
    assert!(asked[0].starts_with("GET /v1/agents/cam/logs?tail=5&follow=1 HTTP/1.1"), "{asked:?}");
}
