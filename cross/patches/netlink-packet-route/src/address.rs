//! `struct ifaddrmsg` and its attributes: an address of a network device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

use crate::{AddressFamily, attribute};

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_MULTICAST: u16 = 7;

bitflags::bitflags! {
    /// `ifa_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct AddressHeaderFlags: u8 {
        /// IFA_F_PERMANENT: set by hand, not learned.
        const Permanent = 0x80;
        const _ = !0;
    }
}

/// How far an address is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressScope {
    /// Everywhere.
    #[default]
    Universe,
    /// Less far.
    Other(u8),
}

impl From<AddressScope> for u8 {
    fn from(scope: AddressScope) -> u8 {
        match scope {
            AddressScope::Universe => 0,
            AddressScope::Other(number) => number,
        }
    }
}

impl From<u8> for AddressScope {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Universe,
            other => Self::Other(other),
        }
    }
}

/// The fixed part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressHeader {
    /// IPv4 or IPv6.
    pub family: AddressFamily,
    /// Bits of the network.
    pub prefix_len: u8,
    /// Marks.
    pub flags: AddressHeaderFlags,
    /// How far it is valid.
    pub scope: AddressScope,
    /// The number of its device.
    pub index: u32,
}

/// What is said of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressAttribute {
    /// IFA_ADDRESS: of the other end, where there is one.
    Address(IpAddr),
    /// IFA_LOCAL: of this end.
    Local(IpAddr),
    /// IFA_BROADCAST.
    Broadcast(Ipv4Addr),
    /// IFA_MULTICAST.
    Multicast(Ipv6Addr),
}

/// A message on an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressMessage {
    /// The fixed part.
    pub header: AddressHeader,
    /// The rest.
    pub attributes: Vec<AddressAttribute>,
}

impl AddressMessage {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = &self.header;
        let mut bytes =
            vec![header.family.into(), header.prefix_len, header.flags.bits(), header.scope.into()];
        bytes.extend(header.index.to_ne_bytes());
        for attribute in &self.attributes {
            let (kind, value) = match *attribute {
                AddressAttribute::Address(address) => (IFA_ADDRESS, address),
                AddressAttribute::Local(address) => (IFA_LOCAL, address),
                AddressAttribute::Broadcast(address) => (IFA_BROADCAST, address.into()),
                AddressAttribute::Multicast(address) => (IFA_MULTICAST, address.into()),
            };
            match value {
                IpAddr::V4(address) => attribute::push(&mut bytes, kind, &address.octets()),
                IpAddr::V6(address) => attribute::push(&mut bytes, kind, &address.octets()),
            }
        }
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (fixed, rest) = attribute::split::<8>(bytes)?;
        let [family, prefix_len, flags, scope, index @ ..] = *fixed;
        let header = AddressHeader {
            family: family.into(),
            prefix_len,
            flags: AddressHeaderFlags::from_bits_retain(flags),
            scope: scope.into(),
            index: u32::from_ne_bytes(index),
        };
        let mut attributes = Vec::new();
        for (kind, value) in attribute::read(rest)? {
            match kind {
                IFA_ADDRESS => attributes.push(AddressAttribute::Address(address(value)?)),
                IFA_LOCAL => attributes.push(AddressAttribute::Local(address(value)?)),
                _ => {}
            }
        }
        Ok(Self { header, attributes })
    }
}

fn address(value: &[u8]) -> Result<IpAddr, DecodeError> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        Ok(four.into())
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(value) {
        Ok(sixteen.into())
    } else {
        Err(DecodeError::invalid_ip_address(value.len()))
    }
}
