//! Stands in for `netlink-packet-route`: of rtnetlink(7) the messages on links and addresses, which is
//! what libcontainer moves a network device into a container with.
//!
//! The crate knows every message of the kernel, and 0.25 MiB of that stay in a device binary, because
//! any of them may arrive and must then be read and printed. Here what was not asked for is read as
//! [`RouteNetlinkMessage::Other`], and attributes that libcontainer does not look at are passed over. Put in
//! place by `[patch.crates-io]` in the workspace's Cargo.toml.
//!
//! Reads what the kernel sends, so that lengths are checked and nothing here can panic on it.

use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable,
};

pub mod address;
mod attribute;
pub mod link;

use address::AddressMessage;
use link::LinkMessage;

/// The family of an address, as `ifa_family` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// None said.
    #[default]
    Unspec,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Another.
    Other(u8),
}

impl From<AddressFamily> for u8 {
    fn from(family: AddressFamily) -> u8 {
        match family {
            AddressFamily::Unspec => 0,
            AddressFamily::Inet => 2,
            AddressFamily::Inet6 => 10,
            AddressFamily::Other(number) => number,
        }
    }
}

impl From<u8> for AddressFamily {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Unspec,
            2 => Self::Inet,
            10 => Self::Inet6,
            other => Self::Other(other),
        }
    }
}

/// A message of rtnetlink(7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteNetlinkMessage {
    /// RTM_NEWLINK.
    NewLink(LinkMessage),
    /// RTM_GETLINK.
    GetLink(LinkMessage),
    /// RTM_SETLINK.
    SetLink(LinkMessage),
    /// RTM_NEWADDR.
    NewAddress(AddressMessage),
    /// RTM_GETADDR.
    GetAddress(AddressMessage),
    /// Any other, by its number.
    Other(u16),
}

impl From<RouteNetlinkMessage> for NetlinkPayload<RouteNetlinkMessage> {
    fn from(message: RouteNetlinkMessage) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for RouteNetlinkMessage {
    fn message_type(&self) -> u16 {
        match self {
            Self::NewLink(_) => 16,
            Self::GetLink(_) => 18,
            Self::SetLink(_) => 19,
            Self::NewAddress(_) => 20,
            Self::GetAddress(_) => 22,
            Self::Other(number) => *number,
        }
    }

    fn buffer_len(&self) -> usize {
        self.bytes().len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let bytes = self.bytes();
        buffer[..bytes.len()].copy_from_slice(&bytes);
    }
}

impl RouteNetlinkMessage {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::NewLink(link) | Self::GetLink(link) | Self::SetLink(link) => link.bytes(),
            Self::NewAddress(address) | Self::GetAddress(address) => address.bytes(),
            Self::Other(_) => Vec::new(),
        }
    }
}

impl NetlinkDeserializable for RouteNetlinkMessage {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match header.message_type {
            16 => Self::NewLink(LinkMessage::read(payload)?),
            18 => Self::GetLink(LinkMessage::read(payload)?),
            19 => Self::SetLink(LinkMessage::read(payload)?),
            20 => Self::NewAddress(AddressMessage::read(payload)?),
            22 => Self::GetAddress(AddressMessage::read(payload)?),
            other => Self::Other(other),
        })
    }
}

#[cfg(test)]
mod tests;
