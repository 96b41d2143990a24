//! The local API's server: one unix socket, HTTP/1.1, JSON.
//!
//! It turns requests into questions to the ledger and looks at the reconciler's snapshot; it decides
//! nothing about agents. Who may ask is told by the socket's peer credentials. The words are in
//! [`crate::api`], what is written to the audit log in `http/wishes.rs`, the answers in `http/answers.rs` (agents), `http/kept.rs` (configs, secrets, volumes),
//! `http/whole.rs` (the node itself), and streams of log lines in `http/logs.rs`.

mod answers;
mod kept;
mod logs;
mod whole;
mod wishes;

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::api::ApiError;

pub use answers::Node;

/// The largest request body: a document's worth of specs.
const BODY_MAX: usize = 8 << 20;
/// Connections served at once; more wait.
const CONNECTIONS: usize = 32;
/// A client that does not send its request within this time is cut off.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// The body of every answer.
pub type Body = BoxBody<Bytes, Infallible>;

/// Why the API cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("local API: cannot {operation} {path}: {source}")]
pub struct ListenError {
    operation: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// Binds the socket, for root and the node's own user alone. A socket that an earlier process left
/// behind is replaced.
///
/// # Errors
/// The file system refused.
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    let fail = |operation| {
        let path = path.to_owned();
        move |source| ListenError { operation, path, source }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail("create the folder of"))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(fail("replace")(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(fail("bind"))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).map_err(fail("protect"))?;
    Ok(listener)
}

/// Answers until the process ends.
pub async fn serve(listener: UnixListener, node: Arc<Node>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    connection(stream, node).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "local API: cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, node: Arc<Node>) {
    let peer = stream.peer_cred().ok().map(|peer| peer.uid());
    let uid = peer.filter(|uid| *uid == 0 || *uid == rustix::process::geteuid().as_raw());
    let service = service_fn(move |request| {
        let node = node.clone();
        async move { Ok::<_, Infallible>(answer(request, &node, uid).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "local API: connection ended");
    }
}

async fn answer(request: Request<Incoming>, node: &Node, uid: Option<u32>) -> Response<Body> {
    let Some(uid) = uid else {
        return refuse(StatusCode::FORBIDDEN, "only root may use this node's socket".to_owned());
    };
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let body = match collect(body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal,
    };
    let wish = wishes::wish(parts.method.as_str(), &segments, node);
    let answered = route(node, &parts.method, &path, &segments, &query, &body).await;
    if let Some(wish) = wish {
        wish.note(&node.audit, uid, &answered);
    }
    answered
}

async fn route(
    node: &Node,
    method: &Method,
    path: &str,
    segments: &[&str],
    query: &str,
    body: &[u8],
) -> Response<Body> {
    match (method.as_str(), segments) {
        ("GET", ["v1", "agents"]) => node.list(after(query)).await,
        ("POST", ["v1", "agents"]) => node.apply(body).await,
        ("GET", ["v1", "agents", name]) => node.detail(name),
        ("DELETE", ["v1", "agents", name]) => node.change(name, "remove").await,
        ("GET", ["v1", "agents", name, "logs"]) => logs::stream(node, name, query).await,
        ("POST", ["v1", "agents", name, verb]) => node.change(name, verb).await,
        ("POST", ["v1", "documents"]) => node.take(body).await,
        ("GET", ["v1", "stats"]) => node.stats(),
        ("GET", ["v1", "status"]) => node.status().await,
        ("GET", ["v1", "profile"]) => node.profile(),
        ("GET", ["v1", "jobs"]) => node.jobs(),
        ("GET", ["v1", "audit"]) => node.audit(),
        ("POST", ["v1", "down"]) => node.down().await,
        ("POST", ["v1", "up"]) => node.up().await,
        (_, ["v1", kind @ ("configs" | "secrets" | "volumes"), rest @ ..]) => {
            match kept(node, method.as_str(), kind, rest, body).await {
                Some(answer) => answer,
                None => unknown_path(method, path),
            }
        }
        _ => unknown_path(method, path),
    }
}

/// What the node keeps for agents.
async fn kept(
    node: &Node,
    method: &str,
    kind: &str,
    rest: &[&str],
    body: &[u8],
) -> Option<Response<Body>> {
    Some(match (method, kind, rest) {
        ("GET", "configs", []) => node.configs(),
        ("PUT", "configs", [name]) => node.set_config(name, body).await,
        ("DELETE", "configs", [name]) => node.remove_config(name).await,
        ("GET", "secrets", []) => node.secrets(),
        ("POST", "secrets", [name]) => node.set_secret(name, body).await,
        ("DELETE", "secrets", [name]) => node.remove_secret(name, None),
        ("DELETE", "secrets", [name, key]) => node.remove_secret(name, Some(key)),
        ("GET", "volumes", []) => node.volumes().await,
        ("DELETE", "volumes", [name]) => node.remove_volume(name).await,
        _ => return None,
    })
}

fn unknown_path(method: &Method, path: &str) -> Response<Body> {
    refuse(StatusCode::NOT_FOUND, format!("no such API: {method} {path}"))
}

async fn collect(body: Incoming) -> Result<Bytes, Response<Body>> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(refuse(StatusCode::BAD_REQUEST, format!("the request's body: {error}"))),
    }
}

fn after(query: &str) -> Option<u64> {
    value(query, "after").and_then(|text| text.parse().ok())
}

/// The value of a key in a query string. Keys and values here are words and numbers: nothing is
/// escaped.
fn value<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    // Every answer is a struct of strings, numbers and lists: serialising cannot fail.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(bytes)).boxed());
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

fn refuse(status: StatusCode, error: String) -> Response<Body> {
    json(status, &ApiError { error })
}
