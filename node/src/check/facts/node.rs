//! What a running node says is in its way: one question to its socket, without its client's machinery,
//! since a check has one thread.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use skerry_core::report::Trouble;

/// How long the node may take.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_MAX: u64 = 4 << 20;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeSays {
    /// None runs here.
    Absent,
    /// It runs, and nothing is in its way.
    Well,
    /// It runs, and this is in its way.
    Troubled(Vec<Trouble>),
    /// It does not answer.
    Silent(String),
    /// It is kept from us.
    Forbidden,
}

impl NodeSays {
    /// Asks the node behind a socket.
    pub fn ask(socket: &Path) -> Self {
        match ask(socket) {
            Ok(answer) => read(&answer),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::Absent,
                io::ErrorKind::PermissionDenied => Self::Forbidden,
                _ => Self::Silent(error.to_string()),
            },
        }
    }
}

fn ask(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = "GET /v1/status HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn read(answer: &str) -> NodeSays {
    #[derive(serde::Deserialize)]
    struct Status {
        #[serde(default)]
        troubles: Vec<Trouble>,
    }
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let status = body.and_then(|body| serde_json::from_slice::<Status>(body.as_bytes()).ok());
    match status {
        Some(Status { troubles }) if troubles.is_empty() => NodeSays::Well,
        Some(Status { troubles }) => NodeSays::Troubled(troubles),
        None => NodeSays::Silent("its answer is not understood".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let says = |body: &str| read(&format!("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{body}"));
        assert_eq!(says("{\"node\":\"box\"}"), NodeSays::Well);
        let troubled = says(
            "{\"troubles\":[{\"kind\":\"disk-full\",\"what\":\"w\",\"sinceMs\":1,\"next\":\"n\"}]}",
        );
        assert!(matches!(troubled, NodeSays::Troubled(list) if list[0].next == "n"));
        assert!(matches!(says("rubbish"), NodeSays::Silent(_)));
        assert_eq!(NodeSays::ask(Path::new("/nowhere/api.sock")), NodeSays::Absent);
    }
}
