//! What the broker says on one connection, but for acknowledgements: that it accepts the connection and
//! the subscriptions, and what it has for this node.
//!
//! It announces a connection only when whatever is published reaches the node. It must never wait: what
//! comes down is put where [`super::Live`] finds it.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Publish, RetainForwardRule, SubAck, SubscribeReasonCode,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::super::LinkState;
use super::{Cargo, End, Live, PACKET_MAX, Waiting};
use crate::connection;
use crate::inbound::{Arrival, Settled};
use crate::outbox::OutboxStore;
use crate::reason::{Kind, Reason};
use crate::topics::{Down, Topic};

impl<O: OutboxStore> Live<'_, O> {
    pub(super) fn accepted(&mut self, accepted: &ConnAck) -> Option<End> {
        let properties = accepted.properties.as_ref();
        if properties.and_then(|p| p.max_qos) == Some(0) {
            let text = format!("{} cannot acknowledge messages (QoS 1)", self.task.settings.url);
            return Some(self.lost(Reason::new(Kind::Protocol, text)));
        }
        let max_inflight = self.task.settings.config.max_inflight;
        self.window = connection::window(max_inflight, properties.and_then(|p| p.receive_max));
        let max_packet = properties.and_then(|p| p.max_packet_size);
        self.max_packet = max_packet.map_or(PACKET_MAX, u64::from);
        let now = Instant::now();
        self.connected = Some(now);
        self.task.stats.connections += 1;
        let session_present = accepted.session_present;
        self.task.subscribed &= session_present;
        if !self.task.subscribed || self.task.ask_again {
            self.subscribe();
        }
        let birth = (self.task.status.birth)();
        self.publish_status(Cargo::Birth, birth);
        info!(broker = %self.task.settings.url, session_present, "connected");
        let state = LinkState::Connected { since: now.into_std(), session_present };
        self.agreeing = Some((state, now + self.task.settings.config.ack_timeout.duration()));
        if self.subscribing.is_none() {
            self.announce();
        }
        None
    }

    /// Connected means: whatever is published from now on reaches this node.
    fn announce(&mut self) {
        if let Some((state, _)) = self.agreeing.take() {
            self.task.channels.state.send_replace(state);
        }
    }

    /// Retained messages come with a new subscription only, unless the owner asks for them: the session
    /// has the others already.
    pub(super) fn subscribe(&mut self) {
        let all = self.task.ask_again;
        let rule = if all {
            RetainForwardRule::OnEverySubscribe
        } else {
            RetainForwardRule::OnNewSubscribe
        };
        let filters = self.filters.iter().map(|path| Filter {
            retain_forward_rule: rule.clone(),
            ..Filter::new(path, QoS::AtLeastOnce)
        });
        self.subscribing = Some(all);
        if let Err(error) = self.client.try_subscribe_many(filters.collect::<Vec<_>>()) {
            warn!(%error, "not subscribed");
        }
    }

    pub(super) fn subscribed(&mut self, ack: &SubAck) {
        let outcomes = self.filters.iter().zip(&ack.return_codes);
        let refused: Vec<String> = outcomes
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, code)| format!("{filter}: {code:?}"))
            .collect();
        for refused in &refused {
            warn!(broker = %self.task.settings.url, %refused, "subscription refused");
        }
        self.task.subscribed = refused.is_empty();
        if self.subscribing.take() == Some(true) {
            self.task.ask_again = false;
        }
        self.task.stats.refused_subscriptions = refused;
        self.announce();
    }

    pub(super) fn arrived(&mut self, publish: Publish) -> Option<End> {
        if publish.properties.as_ref().is_some_and(|p| p.topic_alias.is_some()) {
            let text = format!("{} uses topic aliases, unasked", self.task.settings.url);
            return Some(self.lost(Reason::new(Kind::Protocol, text)));
        }
        let connection = self.task.connection;
        let receipt = (publish.qos == QoS::AtLeastOnce)
            .then_some(Settled { connection, packet: publish.pkid });
        let Some(topic) = self.recognise(&publish.topic) else {
            self.task.stats.strange += 1;
            receipt.into_iter().for_each(|receipt| self.acknowledge(receipt));
            return None;
        };
        self.task.stats.received += 1;
        let Publish { retain: retained, payload, .. } = publish;
        let arrival = Arrival { topic, retained, payload, receipt };
        let put = Box::pin(self.task.channels.queue.put(arrival));
        self.waiting = Some(Waiting { put, since: Instant::now() });
        None
    }

    /// What a message is, if it is for this node.
    fn recognise(&mut self, topic: &[u8]) -> Option<Down> {
        let text = std::str::from_utf8(topic).ok()?;
        match text.parse::<Topic>() {
            Ok(Topic::Down(node, down)) if node == self.task.address => Some(down),
            Ok(Topic::Group { tenant, group }) if tenant == *self.task.address.tenant() => {
                if self.task.settings.groups.contains(&group) {
                    return Some(Down::GroupDesired(group));
                }
                // A subscription of an earlier configuration, which the broker remembers.
                let tried = self.client.try_unsubscribe(text);
                debug!(%group, done = tried.is_ok(), "left a group");
                None
            }
            _ => None,
        }
    }

    pub(super) fn acknowledge(&mut self, settled: Settled) {
        if settled.connection == self.task.connection {
            self.acks.push_back(settled.packet);
        }
    }
}
