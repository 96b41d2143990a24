//! Asks the node: HTTP/1.1 with JSON over its unix socket, one connection for each request.
//!
//! The words are those of `api.rs`. It decides nothing, and prints nothing; the verbs in `cli/` do.
//! Answers are bounded in size and time, so that a node that hangs does not hang its caller.

mod kept;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skerry_core::admit::Profile;
use skerry_core::ids::AgentName;
use tokio::net::UnixStream;

use crate::api::{
    AgentDetail, AgentList, ApiError, Applied, Apply, Done, Down, JobList, NodeStatus, StatsList,
};
use crate::inbox::Fate;

/// The largest answer that is read at once; logs are streamed and have no such bound.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Above the 30 seconds that the node holds a question for the next change.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the node gave no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("the node is not running (no socket at {}); start it: skerry node", .0.display())]
    NoSocket(PathBuf),
    /// There is a socket, and nobody behind it.
    #[error("the node is not running (nobody listens at {}); start it: skerry node", .0.display())]
    NobodyListens(PathBuf),
    /// This user may not speak with the node.
    #[error("this user may not open the node's socket {}; use a user who may, or sudo", .0.display())]
    Denied(PathBuf),
    /// Any other trouble with the socket.
    #[error("cannot connect to the node at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the node broke during {request}")]
    Broken {
        /// Method and path.
        request: String,
        /// How.
        source: hyper::Error,
    },
    /// No answer in time.
    #[error("the node has not answered {request} for {} seconds; see its own log", PATIENCE.as_secs())]
    Silent {
        /// Method and path.
        request: String,
    },
    /// The node refused, and says why.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The node's own words.
        message: String,
    },
    /// The answer is not what this version knows.
    #[error(
        "the node's answer to {request} is not understood; is it of another version? see: skerry status"
    )]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer is larger than it may be.
    #[error("the node's answer to {request} has more than {ANSWER_MAX} bytes")]
    TooLarge {
        /// Method and path.
        request: String,
    },
}

impl ClientError {
    /// The node does not know what was asked for.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// What can be done with an agent that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Keep it, but do not run it.
    Stop,
    /// Run it again after a stop.
    Start,
    /// Run it anew.
    Restart,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
        }
    }
}

/// A node, by its socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The node behind this socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// All agents; with `after`, as soon as there is a newer revision, or after 30 seconds.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn agents(&self, after: Option<u64>) -> Result<AgentList, ClientError> {
        match after {
            None => self.get("/v1/agents").await,
            Some(revision) => self.get(&format!("/v1/agents?after={revision}")).await,
        }
    }

    /// Everything known of one agent.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn agent(&self, name: &AgentName) -> Result<AgentDetail, ClientError> {
        self.get(&format!("/v1/agents/{name}")).await
    }

    /// Hands over agents that are wanted on this node.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn apply(&self, wish: &Apply) -> Result<Applied, ClientError> {
        self.ask(Method::POST, "/v1/agents", json(wish)).await
    }

    /// Hands in a signed document; its fate is durable when it is told.
    ///
    /// # Errors
    /// No answer, or a refusal of the request itself.
    pub async fn document(&self, bundle: Vec<u8>) -> Result<Fate, ClientError> {
        self.ask(Method::POST, "/v1/documents", bundle.into()).await
    }

    /// Stops, starts or restarts an agent.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn change(&self, name: &AgentName, change: Change) -> Result<Applied, ClientError> {
        let path = format!("/v1/agents/{name}/{}", change.as_str());
        self.ask(Method::POST, &path, Bytes::new()).await
    }

    /// Removes a local agent.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn remove(&self, name: &AgentName) -> Result<Applied, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/agents/{name}"), Bytes::new()).await
    }

    /// What the running agents use.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn stats(&self) -> Result<StatsList, ClientError> {
        self.get("/v1/stats").await
    }

    /// The node itself.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn status(&self) -> Result<NodeStatus, ClientError> {
        self.get("/v1/status").await
    }

    /// What the node gives and allows.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn profile(&self) -> Result<Profile, ClientError> {
        self.get("/v1/profile").await
    }

    /// Every job with its runs.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn jobs(&self) -> Result<JobList, ClientError> {
        self.get("/v1/jobs").await
    }

    /// Stops everything; answers when it is done, or after 30 seconds.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn down(&self) -> Result<Down, ClientError> {
        self.ask(Method::POST, "/v1/down", Bytes::new()).await
    }

    /// Runs again what must be.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn up(&self) -> Result<Done, ClientError> {
        self.ask(Method::POST, "/v1/up", Bytes::new()).await
    }

    /// An agent's log, piece by piece as it comes.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn logs(
        &self,
        name: &AgentName,
        tail: Option<u64>,
        follow: bool,
    ) -> Result<LogStream, ClientError> {
        let tail = tail.map(|lines| format!("tail={lines}"));
        let follow = follow.then(|| "follow=1".to_owned());
        let query: Vec<String> = tail.into_iter().chain(follow).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!("/v1/agents/{name}/logs{mark}{}", query.join("&"));
        let request = format!("GET {path}");
        let response = self.send(Method::GET, &path, Bytes::new()).await?;
        Ok(LogStream { request, body: response.into_body() })
    }

    /// The audit log, with its head signed by the node.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn audit(&self) -> Result<Bytes, ClientError> {
        let (method, path) = (Method::GET, "/v1/audit");
        let request = format!("{method} {path}");
        let response = self.send(method, path, Bytes::new()).await?;
        read(response, &request).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let request = format!("{method} {path}");
        let response = self.send(method, path, body).await?;
        let bytes = read(response, &request).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Answer { request, source })
    }

    /// Sends a request and returns the answer's head, if it is not a refusal.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let name = format!("{method} {path}");
        let silent = || ClientError::Silent { request: name.clone() };
        let exchange = async {
            let broken = |source| ClientError::Broken { request: name.clone(), source };
            let stream = self.connect().await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(broken)?;
            // Its errors reach us through the request or the body that it serves.
            tokio::spawn(connection);
            sender.send_request(request(method, path, body)).await.map_err(broken)
        };
        let response =
            tokio::time::timeout(PATIENCE, Box::pin(exchange)).await.map_err(|_| silent())??;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = read(response, &name).await?;
        let message = match serde_json::from_slice::<ApiError>(&bytes) {
            Ok(told) => told.error,
            Err(_) => format!("the node answered {name} with HTTP status {status}"),
        };
        Err(ClientError::Refused { status, message })
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(&self.socket).await.map_err(|source| {
            let path = self.socket.clone();
            match source.kind() {
                io::ErrorKind::NotFound => ClientError::NoSocket(path),
                io::ErrorKind::ConnectionRefused => ClientError::NobodyListens(path),
                io::ErrorKind::PermissionDenied => ClientError::Denied(path),
                _ => ClientError::Connect { path, source },
            }
        })
    }
}

fn request(method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    // Names are labels and numbers are numbers: the path needs no escaping and always parses.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("skerry"));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    request
}

fn json(value: &impl Serialize) -> Bytes {
    // Strings, numbers and string keys only: serialising cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

async fn read(response: Response<Incoming>, request: &str) -> Result<Bytes, ClientError> {
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect();
    let request = request.to_owned();
    let collected = match tokio::time::timeout(PATIENCE, body).await {
        Ok(collected) => collected,
        Err(_) => return Err(ClientError::Silent { request }),
    };
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(source) => Err(ClientError::Broken { request, source: *source }),
            Err(error) => {
                debug_assert!(error.is::<LengthLimitError>());
                Err(ClientError::TooLarge { request })
            }
        },
    }
}

/// A log as it comes.
#[derive(Debug)]
pub struct LogStream {
    request: String,
    body: Incoming,
}

impl LogStream {
    /// The next piece, which may end within a line; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame
                .map_err(|source| ClientError::Broken { request: self.request.clone(), source })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

#[cfg(test)]
mod tests;
