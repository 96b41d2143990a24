//! `struct ifinfomsg` and its attributes: a network device.

use std::os::fd::RawFd;

use netlink_packet_core::DecodeError;

use crate::attribute;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;

bitflags::bitflags! {
    /// `ifi_flags`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct LinkFlags: u32 {
        /// IFF_UP: the device is in use.
        const Up = 1;
        const _ = !0;
    }
}

/// The fixed part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkHeader {
    /// The device's number in its namespace.
    pub index: u32,
    /// What it is, or what it is to be.
    pub flags: LinkFlags,
    /// Which of the flags are meant.
    pub change_mask: LinkFlags,
}

/// What is said of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAttribute {
    /// IFLA_IFNAME.
    IfName(String),
    /// IFLA_NET_NS_FD: the namespace it is to be moved to.
    NetNsFd(RawFd),
}

/// A message on a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkMessage {
    /// The fixed part.
    pub header: LinkHeader,
    /// The rest.
    pub attributes: Vec<LinkAttribute>,
}

impl LinkMessage {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // Family, filler and type of hardware are not said.
        let mut bytes = vec![0; 4];
        bytes.extend(self.header.index.to_ne_bytes());
        bytes.extend(self.header.flags.bits().to_ne_bytes());
        bytes.extend(self.header.change_mask.bits().to_ne_bytes());
        for attribute in &self.attributes {
            match attribute {
                LinkAttribute::IfName(name) => {
                    let mut text = name.clone().into_bytes();
                    text.push(0);
                    attribute::push(&mut bytes, IFLA_IFNAME, &text);
                }
                LinkAttribute::NetNsFd(fd) => {
                    attribute::push(&mut bytes, IFLA_NET_NS_FD, &fd.to_ne_bytes());
                }
            }
        }
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (fixed, rest) = attribute::split::<16>(bytes)?;
        let word = |at: usize| {
            u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let header = LinkHeader {
            index: word(4),
            flags: LinkFlags::from_bits_retain(word(8)),
            change_mask: LinkFlags::from_bits_retain(word(12)),
        };
        let attributes = attribute::read(rest)?
            .into_iter()
            .filter(|(kind, _)| *kind == IFLA_IFNAME)
            .map(|(_, value)| {
                let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
                LinkAttribute::IfName(String::from_utf8_lossy(text).into_owned())
            })
            .collect();
        Ok(Self { header, attributes })
    }
}
