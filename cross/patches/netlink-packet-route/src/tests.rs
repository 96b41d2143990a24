use netlink_packet_core::NetlinkMessage;

use super::*;
use crate::address::{AddressAttribute, AddressScope};
use crate::link::{LinkAttribute, LinkFlags};

fn through(message: RouteNetlinkMessage) -> (Vec<u8>, RouteNetlinkMessage) {
    let mut request = NetlinkMessage::from(message);
    request.finalize();
    let mut bytes = vec![0; request.header.length as usize];
    request.serialize(&mut bytes);
    let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
    match read.payload {
        netlink_packet_core::NetlinkPayload::InnerMessage(message) => (bytes, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_is_read_as_it_was_written() {
    let mut link = LinkMessage::default();
    link.header.index = 7;
    link.header.flags = LinkFlags::Up;
    link.attributes.push(LinkAttribute::IfName("eth0".into()));
    let (bytes, read) = through(RouteNetlinkMessage::SetLink(link.clone()));
    assert_eq!(read, RouteNetlinkMessage::SetLink(link));
    // 16 of the message, 16 of the link, and a name of five bytes with its head, filled up to four.
    assert_eq!(bytes.len(), 16 + 16 + 12);
}

#[test]
fn an_address_is_read_as_it_was_written() {
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet6;
    address.header.prefix_len = 64;
    address.header.scope = AddressScope::Other(253);
    address.header.index = 3;
    let ip = "fe80::1".parse().unwrap();
    address.attributes.push(AddressAttribute::Address(ip));
    address.attributes.push(AddressAttribute::Local(ip));
    let (_, read) = through(RouteNetlinkMessage::NewAddress(address.clone()));
    assert_eq!(read, RouteNetlinkMessage::NewAddress(address));
}

#[test]
fn what_is_cut_off_is_an_error_and_no_panic() {
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet;
    let ip = "192.0.2.1".parse().unwrap();
    address.attributes.push(AddressAttribute::Local(ip));
    let bytes = address.bytes();
    let mut good = 0;
    for length in 0..bytes.len() {
        good += usize::from(AddressMessage::read(&bytes[..length]).is_ok());
    }
    // With no attribute, and with up to three bytes that are none.
    assert_eq!(good, 4);
}

#[test]
fn the_kernel_answers() {
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;

    // SAFETY: a new descriptor, owned by the file below alone.
    let fd = unsafe { libc_socket(16, 3, 0) };
    assert!(fd >= 0);
    let mut socket = unsafe { std::fs::File::from_raw_fd(fd) };
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName("lo".into()));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
    request.header.flags = netlink_packet_core::NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.header.length as usize];
    request.serialize(&mut bytes);
    socket.write_all(&bytes).unwrap();
    let mut answer = vec![0; 16384];
    let length = socket.read(&mut answer).unwrap();
    let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..length]).unwrap();
    let netlink_packet_core::NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) =
        read.payload
    else {
        panic!("{:?}", read.payload);
    };
    assert_eq!(link.attributes, [LinkAttribute::IfName("lo".into())]);
    assert!(link.header.index > 0);
}

unsafe extern "C" {
    #[link_name = "socket"]
    fn libc_socket(domain: i32, kind: i32, protocol: i32) -> i32;
}
