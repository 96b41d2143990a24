//! One connection of the session, from dialling to its end.
//!
//! Hands messages to rumqttc as far as the window allows, matches acknowledgements, and hands what
//! comes down to the owner. Never awaits anything but the one `select!`: requests to rumqttc are tried,
//! never waited for, and a full inbound queue stops the reading, not the task. Next: `coming.rs` for what
//! the broker says, [`crate::connection`].

mod coming;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::Outgoing as Sent;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, PubAck, PubAckReason, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, Incoming};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::LinkState;
use super::flight::Flight;
use super::task::{Closing, Task};
use crate::connection::{self, Role, Said};
use crate::outbox::OutboxStore;
use crate::reason::{self, Blame, Kind, Reason};
use crate::topics::{self, Up};

/// How a connection ended.
pub(super) enum End {
    /// The owner wanted it.
    Closed(Closing),
    /// It broke, or was never made (`held` is `None`).
    Lost { reason: Reason, held: Option<Duration> },
}

/// What a message under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cargo {
    Birth,
    Farewell,
    Entry(u64),
}

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause, in shortest reconnect pauses, after the broker refused a message for lack of room.
const REFUSED_PAUSE: u32 = 5;
/// No packet of MQTT can be larger.
const PACKET_MAX: u64 = 268_435_455;

pub(super) struct Live<'a, O> {
    task: &'a mut Task<O>,
    client: AsyncClient,
    flight: Flight<Cargo>,
    filters: Vec<String>,
    /// A subscription that the broker has not agreed to yet; whether it asks for all that is kept.
    subscribing: Option<bool>,
    /// Acknowledgements that did not fit into rumqttc's channel yet.
    acks: VecDeque<u16>,
    /// `Some` once the broker has accepted the connection.
    connected: Option<Instant>,
    /// What to announce, and until when the broker has to agree to the subscriptions before.
    agreeing: Option<(LinkState, Instant)>,
    window: usize,
    max_packet: u64,
    /// Nothing new is sent before.
    rest_until: Option<Instant>,
    landed: usize,
    closing: Option<(Closing, Instant)>,
    /// A message that waits for room with the owner; nothing is read meanwhile.
    waiting: Option<Waiting>,
}

struct Waiting {
    put: Pin<Box<dyn Future<Output = ()> + Send>>,
    since: Instant,
}

impl<'a, O: OutboxStore> Live<'a, O> {
    /// Connects, and serves the connection to its end.
    pub(super) async fn serve(task: &'a mut Task<O>) -> End {
        let config = &task.settings.config;
        let (tenant, node) = (task.address.tenant(), task.address.node());
        let status = Up::Status.topic(&task.address);
        let will = LastWill::new(status, task.status.will.clone(), QoS::AtLeastOnce, true, None);
        let client_id = format!("skerry:{tenant}:{node}");
        let role = Role { client_id, will: Some(will), lasting: true };
        let (client, event_loop) = match connection::prepare(&task.settings, role) {
            Ok(prepared) => prepared,
            Err(reason) => return End::Lost { reason, held: None },
        };
        task.connection += 1;
        let (said, events) = connection::events();
        let driven = Box::pin(connection::drive(event_loop, said));
        let live = Live {
            client,
            flight: Flight::new(config.ack_timeout.duration()),
            filters: topics::node_filters(&task.address, &task.settings.groups),
            subscribing: None,
            acks: VecDeque::new(),
            connected: None,
            agreeing: None,
            window: 0,
            max_packet: PACKET_MAX,
            rest_until: None,
            landed: 0,
            closing: None,
            waiting: None,
            task,
        };
        live.run(driven, events).await
    }

    async fn run(
        mut self,
        mut driven: Pin<Box<impl Future<Output = std::convert::Infallible>>>,
        mut events: tokio::sync::mpsc::Receiver<Said>,
    ) -> End {
        loop {
            self.hand_over();
            if self.connected.is_some() && self.task.ask_again && self.subscribing.is_none() {
                self.subscribe();
            }
            let timer = self.timer();
            let ended = tokio::select! {
                never = &mut driven => match never {},
                said = events.recv(), if self.waiting.is_none() => self.heard(said, &mut events),
                () = wait_for(&mut self.waiting), if self.waiting.is_some() => {
                    let waited = self.waiting.take().map(|waiting| waiting.since.elapsed());
                    self.flight.postpone(waited.unwrap_or_default());
                    None
                }
                command = self.task.channels.commands.recv(), if self.closing.is_none() => {
                    let closing = self.task.serve_commands(command);
                    closing.and_then(|closing| self.close(closing))
                }
                Some(settled) = self.task.channels.acks.recv() => {
                    self.acknowledge(settled);
                    None
                }
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    self.timer_fired()
                }
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// When something has to happen even if nothing else does.
    fn timer(&self) -> Option<Instant> {
        // While nothing is read, no acknowledgement can be.
        let overdue = if self.waiting.is_some() { None } else { self.overdue() };
        let closing = self.closing.as_ref().map(|(_, until)| *until);
        let rest = if self.task.outbox.has_queued() { self.rest_until } else { None };
        [overdue, closing, rest].into_iter().flatten().min()
    }

    fn timer_fired(&mut self) -> Option<End> {
        let now = Instant::now();
        if self.rest_until.is_some_and(|until| until <= now) {
            self.rest_until = None;
        }
        if self.closing.as_ref().is_some_and(|(_, until)| *until <= now) {
            return self.closing.take().map(|(closing, _)| End::Closed(closing));
        }
        if self.waiting.is_none() && self.overdue().is_some_and(|due| due <= now) {
            let text = format!("{} does not acknowledge messages", self.task.settings.url);
            return Some(self.lost(Reason::new(Kind::NoAnswer, text)));
        }
        None
    }

    /// When the broker has been silent for too long.
    fn overdue(&self) -> Option<Instant> {
        let agreeing = self.agreeing.as_ref().map(|(_, until)| *until);
        [self.flight.due(), agreeing].into_iter().flatten().min()
    }

    fn lost(&self, reason: Reason) -> End {
        End::Lost { reason, held: self.connected.map(|since| since.elapsed()) }
    }

    fn hand_over_acks(&mut self) {
        while let Some(packet) = self.acks.front() {
            let publish = Publish { pkid: *packet, qos: QoS::AtLeastOnce, ..Publish::default() };
            if self.client.try_ack(&publish).is_err() {
                break;
            }
            self.acks.pop_front();
        }
    }

    /// Gives rumqttc what it may have: acknowledgements first, then messages.
    fn hand_over(&mut self) {
        self.hand_over_acks();
        let may_send = self.connected.is_some() && self.closing.is_none();
        if !may_send || self.rest_until.is_some() {
            return;
        }
        let window = if self.task.one_by_one { 1 } else { self.window };
        while self.flight.len() < window {
            let now = self.task.now();
            let next = self.task.outbox.next(self.max_packet, now);
            // What outlived its time leaves the store.
            self.task.persist();
            let Some((entry, left)) = next else { break };
            let expiry = left.map(|left| {
                let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
            });
            let cargo = Cargo::Entry(entry.seq);
            if !self.publish(cargo, entry.topic, entry.payload, entry.retain, expiry) {
                // rumqttc's channel is full; the next event makes room.
                self.task.outbox.put_back(entry.seq);
                break;
            }
        }
        self.task.tell();
    }

    fn publish(
        &mut self,
        cargo: Cargo,
        topic: String,
        payload: Bytes,
        retain: bool,
        message_expiry_interval: Option<u32>,
    ) -> bool {
        let size = payload.len() + topic.len();
        let properties = PublishProperties { message_expiry_interval, ..Default::default() };
        let tried = self.client.try_publish_with_properties(
            topic,
            QoS::AtLeastOnce,
            retain,
            payload,
            properties,
        );
        if tried.is_ok() {
            self.flight.hand_over(cargo, size, Instant::now());
        }
        tried.is_ok()
    }

    fn publish_status(&mut self, cargo: Cargo, payload: Bytes) -> bool {
        self.publish(cargo, Up::Status.topic(&self.task.address), payload, true, None)
    }

    /// Deals with everything the event loop has said.
    fn heard(
        &mut self,
        first: Option<Said>,
        events: &mut tokio::sync::mpsc::Receiver<Said>,
    ) -> Option<End> {
        let mut next = first;
        let mut end = None;
        while let (Some(said), None) = (next.take(), &end) {
            end = match said {
                Ok(Event::Incoming(packet)) => self.incoming(packet),
                Ok(Event::Outgoing(sent)) => self.outgoing(&sent),
                Err(error) => Some(self.broken(&error)),
            };
            if self.waiting.is_none() && end.is_none() {
                next = events.try_recv().ok();
            }
        }
        self.task.persist();
        self.task.tell();
        end
    }

    fn outgoing(&mut self, sent: &Sent) -> Option<End> {
        match sent {
            Sent::Publish(packet) => self.flight.took_off(*packet),
            Sent::Disconnect => {
                return self.closing.take().map(|(closing, _)| End::Closed(closing));
            }
            _ => {}
        }
        None
    }

    fn incoming(&mut self, packet: Incoming) -> Option<End> {
        match packet {
            Incoming::ConnAck(accepted) => self.accepted(&accepted),
            Incoming::PubAck(ack) => self.landed(&ack),
            Incoming::SubAck(ack) => {
                self.subscribed(&ack);
                None
            }
            Incoming::Publish(publish) => self.arrived(publish),
            _ => None,
        }
    }

    fn landed(&mut self, ack: &PubAck) -> Option<End> {
        let cargo = self.flight.landed(ack.pkid)?;
        self.landed += 1;
        if self.landed >= self.window {
            self.task.one_by_one = false;
        }
        let fine =
            matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        if !fine {
            let refusal = format!("{cargo:?}: {:?}", ack.reason);
            warn!(broker = %self.task.settings.url, %refusal, "message refused");
            self.task.stats.last_refusal = Some(refusal);
        }
        match cargo {
            Cargo::Birth => {}
            Cargo::Farewell => self.disconnect(),
            Cargo::Entry(seq) if fine => {
                self.task.outbox.acknowledged(seq);
                self.task.stats.delivered += 1;
            }
            Cargo::Entry(seq) => self.refused(seq, ack.reason),
        }
        None
    }

    fn refused(&mut self, seq: u64, reason: PubAckReason) {
        let again = matches!(
            reason,
            PubAckReason::QuotaExceeded
                | PubAckReason::UnspecifiedError
                | PubAckReason::ImplementationSpecificError
                | PubAckReason::PacketIdentifierInUse
        );
        if again {
            let pause = self.task.settings.config.reconnect_min.duration() * REFUSED_PAUSE;
            self.rest_until = Some(Instant::now() + pause);
        }
        self.task.outbox.refused(seq, again);
    }

    fn close(&mut self, closing: Closing) -> Option<End> {
        if self.connected.is_none() {
            return Some(End::Closed(closing));
        }
        // What was acknowledged before must not come again.
        while let Ok(settled) = self.task.channels.acks.try_recv() {
            self.acknowledge(settled);
        }
        self.hand_over_acks();
        let farewell = closing.farewell.clone();
        self.closing = Some((closing, Instant::now() + FAREWELL));
        let said = farewell.is_some_and(|bytes| self.publish_status(Cargo::Farewell, bytes));
        if !said {
            self.disconnect();
        }
        None
    }

    /// When this cannot be said, the time for the farewell runs out.
    fn disconnect(&mut self) {
        if let Err(error) = self.client.try_disconnect() {
            debug!(%error, "left without a word");
        }
    }

    /// The connection broke; perhaps on a message, which then must not break every connection to come.
    fn broken(&mut self, error: &ConnectionError) -> End {
        if let Some((closing, _)) = self.closing.take() {
            return End::Closed(closing);
        }
        if self.connected.is_some() {
            let blame = reason::blame(error);
            match (blame, self.flight.sole()) {
                (Blame::Network, _) => {}
                (Blame::Perhaps, Some(Cargo::Entry(seq))) => self.task.outbox.refused(*seq, true),
                (Blame::Message, Some(Cargo::Entry(seq))) => {
                    let refusal = format!("message {seq} ended the connection: {error}");
                    warn!(broker = %self.task.settings.url, %refusal);
                    self.task.stats.last_refusal = Some(refusal);
                    self.task.outbox.refused(*seq, false);
                }
                _ => self.task.one_by_one = true,
            }
        }
        self.lost(reason::explain(error, &self.task.settings.url, &self.task.settings.config))
    }
}

async fn wait_for(waiting: &mut Option<Waiting>) {
    if let Some(waiting) = waiting {
        waiting.put.as_mut().await;
    }
}
