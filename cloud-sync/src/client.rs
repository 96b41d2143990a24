//! The operator's side: publish and know that the broker has it, listen to what nodes say.
//!
//! One connection without a lasting session: when it breaks, it is over, every open request fails with
//! the reason, and the caller connects again if it wants to (see [`crate::reconnect`]). Never keeps a
//! message. Next: [`crate::connection`](crate), which both sides share.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;

use bytes::Bytes;
use rumqttc::Outgoing as Sent;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, PubAckReason, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, Incoming};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::config::{Config, ConfigError, Settings};
use crate::connection::{self, Role, Said};
use crate::reason::{self, Kind, Reason};
use crate::session::Flight;
use crate::topics::Topic;

/// How many messages may wait to be read before reading stops.
const MESSAGES: usize = 64;
const REQUESTS: usize = 16;

/// A message that an operator hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is, and whose.
    pub topic: Topic,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no connection, or no longer.
    #[error("{reason}")]
    Offline {
        /// Why.
        reason: Reason,
    },
    /// The broker refused it.
    #[error("the broker refused to {operation} {topic}: {code}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// For which topic or filter.
        topic: String,
        /// The broker's answer.
        code: String,
    },
    /// The message is larger than the broker takes.
    #[error("the message for {topic} has {size} bytes; the broker takes {limit}")]
    TooLarge {
        /// For which topic.
        topic: String,
        /// Its size.
        size: usize,
        /// The most allowed.
        limit: u64,
    },
}

type Reply = oneshot::Sender<Result<(), ClientError>>;

enum Request {
    Publish { topic: String, payload: Bytes, retain: bool, reply: Reply },
    Subscribe { filters: Vec<String>, reply: Reply },
    Close { done: oneshot::Sender<()> },
}

/// A connection of an operator's tool. Clones are the same connection; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    ended: watch::Receiver<Option<Reason>>,
}

impl Client {
    /// Connects. `config.node` and `config.groups` play no part. Must be called within a runtime,
    /// which runs the connection.
    ///
    /// # Errors
    /// When the configuration is wrong or the broker cannot be reached, with the reason.
    pub async fn connect(config: &Config) -> Result<(Self, mpsc::Receiver<Message>), ClientError> {
        let settings = config.settings()?;
        let chance = RandomState::new().hash_one(std::process::id());
        let client_id = format!("skerry:{}:operator:{chance:016x}", settings.tenant);
        let role = Role { client_id, will: None, lasting: false };
        let offline = |reason| ClientError::Offline { reason };
        let (rumqttc, event_loop) = connection::prepare(&settings, role).map_err(offline)?;
        let (said, events) = connection::events();
        let (requests, requested) = mpsc::channel(REQUESTS);
        let (messages, heard) = mpsc::channel(MESSAGES);
        let (end, mut ended) = watch::channel(None);
        let (accepted, connected) = oneshot::channel();
        let task = Task {
            flight: Flight::new(settings.config.ack_timeout.duration()),
            settings,
            rumqttc,
            requests: requested,
            messages,
            accepted: Some(accepted),
            window: 0,
            max_packet: u64::MAX,
            subscribing: VecDeque::new(),
            subscribed: HashMap::new(),
            closing: None,
            message: None,
        };
        let driven = Box::pin(connection::drive(event_loop, said));
        tokio::spawn(async move {
            let reason = task.run(driven, events).await;
            end.send_replace(Some(reason));
        });
        if connected.await.is_ok() {
            return Ok((Self { requests, ended }, heard));
        }
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        Err(offline(reason.unwrap_or_else(closed)))
    }

    /// Publishes, and waits until the broker has acknowledged it.
    ///
    /// # Errors
    /// When the broker refuses it, when it is too large, or when the connection breaks before.
    pub async fn publish(
        &self,
        topic: &Topic,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<(), ClientError> {
        let (topic, payload) = (topic.to_string(), payload.into());
        self.request(|reply| Request::Publish { topic, payload, retain, reply }).await
    }

    /// Removes what the broker keeps under a topic.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn forget(&self, topic: &Topic) -> Result<(), ClientError> {
        self.publish(topic, Bytes::new(), true).await
    }

    /// Listens to these filters (see [`crate::topics::UpKind::filter`]), and waits until the broker has
    /// agreed. What is kept under them comes first.
    ///
    /// # Errors
    /// When the broker refuses any of them, or when the connection breaks before.
    pub async fn subscribe(&self, filters: Vec<String>) -> Result<(), ClientError> {
        if filters.is_empty() {
            return Ok(());
        }
        self.request(|reply| Request::Subscribe { filters, reply }).await
    }

    /// Disconnects, after what was published before.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close { done }).await.is_ok() {
            // An error here means that the task is gone, which is what was wanted.
            let _ = closed.await;
        }
    }

    /// Waits for the end of the connection, and says why.
    pub async fn ended(&self) -> Reason {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(closed)
    }

    async fn request(&self, make: impl FnOnce(Reply) -> Request) -> Result<(), ClientError> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(make(reply)).await.is_ok()
            && let Ok(outcome) = answer.await
        {
            return outcome;
        }
        Err(ClientError::Offline { reason: self.ended().await })
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Publish { topic, .. } => write!(f, "Publish({topic})"),
            Self::Subscribe { filters, .. } => write!(f, "Subscribe({filters:?})"),
            Self::Close { .. } => f.write_str("Close"),
        }
    }
}

fn closed() -> Reason {
    Reason::new(Kind::Stopped, "the connection was closed")
}

struct Pending {
    topic: String,
    reply: Reply,
}

struct Task {
    settings: Settings,
    rumqttc: AsyncClient,
    requests: mpsc::Receiver<Request>,
    messages: mpsc::Sender<Message>,
    accepted: Option<oneshot::Sender<()>>,
    window: usize,
    max_packet: u64,
    flight: Flight<Pending>,
    /// Without packet id yet, in the order in which they were handed over.
    subscribing: VecDeque<(Vec<String>, Reply)>,
    subscribed: HashMap<u16, (Vec<String>, Reply)>,
    closing: Option<oneshot::Sender<()>>,
    /// Waits for room; nothing is read meanwhile.
    message: Option<(Message, Instant)>,
}

impl Task {
    async fn run(
        mut self,
        mut driven: Pin<Box<impl Future<Output = Infallible>>>,
        mut events: mpsc::Receiver<Said>,
    ) -> Reason {
        loop {
            let open = self.accepted.is_none() && self.flight.len() < self.window;
            // While nothing is read, no acknowledgement can be.
            let due = if self.message.is_none() { self.flight.due() } else { None };
            let messages = self.messages.clone();
            let over = tokio::select! {
                never = &mut driven => match never {},
                said = events.recv(), if self.message.is_none() => said.and_then(|said| self.heard(said)),
                permit = messages.reserve_owned(), if self.message.is_some() => self.pass_on(permit.ok()),
                request = self.requests.recv(), if open && self.closing.is_none() => {
                    self.serve(request);
                    None
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let text = format!("{} does not acknowledge messages", self.settings.url);
                    Some(Reason::new(Kind::NoAnswer, text))
                }
            };
            if let Some(reason) = over {
                return self.finish(reason);
            }
        }
    }

    fn finish(self, reason: Reason) -> Reason {
        let offline = || Err(ClientError::Offline { reason: reason.clone() });
        let subscribing = self.subscribing.into_iter().chain(self.subscribed.into_values());
        let replies = self.flight.into_cargo().map(|pending| pending.reply);
        for reply in replies.chain(subscribing.map(|(_, reply)| reply)) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(offline());
        }
        if let Some(done) = self.closing {
            let _ = done.send(());
        }
        reason
    }

    /// Without permit there is nobody who reads: the message is let go.
    fn pass_on(&mut self, permit: Option<OwnedPermit<Message>>) -> Option<Reason> {
        let (message, since) = self.message.take()?;
        self.flight.postpone(since.elapsed());
        permit.into_iter().for_each(|permit| drop(permit.send(message.clone())));
        None
    }

    fn serve(&mut self, request: Option<Request>) {
        match request {
            Some(Request::Publish { topic, payload, retain, reply }) => {
                self.publish(topic, payload, retain, reply);
            }
            Some(Request::Subscribe { filters, reply }) => self.subscribe(filters, reply),
            Some(Request::Close { done }) => self.disconnect(done),
            None => self.disconnect(oneshot::channel().0),
        }
    }

    fn publish(&mut self, topic: String, payload: Bytes, retain: bool, reply: Reply) {
        let size = payload.len() + topic.len() + 32;
        if size as u64 > self.max_packet {
            let limit = self.max_packet;
            let _ = reply.send(Err(ClientError::TooLarge { topic, size, limit }));
            return;
        }
        let tried = self.rumqttc.try_publish(topic.clone(), QoS::AtLeastOnce, retain, payload);
        match tried {
            Ok(()) => self.flight.hand_over(Pending { topic, reply }, size, Instant::now()),
            Err(error) => drop(reply.send(Err(refused("publish", topic, &error)))),
        }
    }

    fn subscribe(&mut self, filters: Vec<String>, reply: Reply) {
        let wanted: Vec<Filter> =
            filters.iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce)).collect();
        match self.rumqttc.try_subscribe_many(wanted) {
            Ok(()) => self.subscribing.push_back((filters, reply)),
            Err(error) => {
                drop(reply.send(Err(refused("subscribe to", filters.join(", "), &error))));
            }
        }
    }

    fn disconnect(&mut self, done: oneshot::Sender<()>) {
        self.closing = Some(done);
        if let Err(error) = self.rumqttc.try_disconnect() {
            debug!(%error, "left without a word");
        }
    }

    fn heard(&mut self, said: Said) -> Option<Reason> {
        match said {
            Err(_) if self.closing.is_some() => return Some(closed()),
            Err(error) => {
                return Some(reason::explain(&error, &self.settings.url, &self.settings.config));
            }
            Ok(Event::Outgoing(Sent::Publish(packet))) => self.flight.took_off(packet),
            Ok(Event::Outgoing(Sent::Subscribe(packet))) => {
                let first = self.subscribing.pop_front();
                first.into_iter().for_each(|request| drop(self.subscribed.insert(packet, request)));
            }
            Ok(Event::Outgoing(Sent::Disconnect)) => return Some(closed()),
            Ok(Event::Incoming(packet)) => self.incoming(packet),
            Ok(Event::Outgoing(_)) => {}
        }
        None
    }

    fn incoming(&mut self, packet: Incoming) {
        match packet {
            Incoming::ConnAck(accepted) => {
                let properties = accepted.properties.as_ref();
                let max_inflight = self.settings.config.max_inflight;
                self.window =
                    connection::window(max_inflight, properties.and_then(|p| p.receive_max));
                let max_packet = properties.and_then(|p| p.max_packet_size);
                self.max_packet = max_packet.map_or(u64::MAX, u64::from);
                if let Some(accepted) = self.accepted.take() {
                    // Whoever asked may have stopped waiting.
                    let _ = accepted.send(());
                }
            }
            Incoming::PubAck(ack) => {
                let Some(Pending { topic, reply }) = self.flight.landed(ack.pkid) else { return };
                let fine = [PubAckReason::Success, PubAckReason::NoMatchingSubscribers];
                let outcome = if fine.contains(&ack.reason) {
                    Ok(())
                } else {
                    Err(refused("publish", topic, &format!("{:?}", ack.reason)))
                };
                let _ = reply.send(outcome);
            }
            Incoming::SubAck(ack) => self.agreed(&ack),
            Incoming::Publish(publish) => {
                let topic = std::str::from_utf8(&publish.topic).ok().and_then(|t| t.parse().ok());
                let Some(topic) = topic else { return };
                let (payload, retained) = (publish.payload, publish.retain);
                let message = Message { topic, payload, retained };
                self.message = Some((message, Instant::now()));
            }
            _ => {}
        }
    }

    fn agreed(&mut self, ack: &SubAck) {
        let Some((filters, reply)) = self.subscribed.remove(&ack.pkid) else { return };
        let no = filters
            .into_iter()
            .zip(&ack.return_codes)
            .find(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
        let outcome = match no {
            None => Ok(()),
            Some((filter, code)) => Err(refused("subscribe to", filter, &format!("{code:?}"))),
        };
        let _ = reply.send(outcome);
    }
}

fn refused(operation: &'static str, topic: String, code: &dyn ToString) -> ClientError {
    ClientError::Refused { operation, topic, code: code.to_string() }
}
