//! One door for all versions of MQTT: looks at a client's first packet, and passes its connection on
//! to rumqttd's door for that version.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::Inner;

/// Connections at once.
const CLIENTS_MAX: usize = 5_000;
/// A client that says nothing for so long is sent away.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// After a failed accept; mostly there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// The header, the name and the level of a CONNECT packet are never longer.
const HEAD_MAX: usize = 16;

/// Passes connections on, for ever.
pub(super) async fn serve(listener: TcpListener, inner: Inner) {
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        // Never closed, so there is always a permit to wait for.
        let permit = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((client, address)) => {
                tokio::spawn(async move {
                    let ended = pass(client, inner).await;
                    debug!(%address, ?ended, "connection ended");
                    drop(permit);
                });
            }
            Err(error) => {
                debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn pass(mut client: TcpStream, inner: Inner) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::with_capacity(HEAD_MAX);
    let door = loop {
        match door(&head, inner) {
            Door::Here(address) => break address,
            Door::None => return Ok(()),
            Door::Unclear => {
                let mut byte = [0; HEAD_MAX];
                let room = HEAD_MAX.saturating_sub(head.len());
                let free = byte.get_mut(..room).unwrap_or_default();
                match timeout(FIRST_WORD, client.read(free)).await {
                    Ok(read) => match read? {
                        0 => return Ok(()),
                        count => head.extend(byte.iter().take(count)),
                    },
                    Err(_) => return Ok(()),
                }
            }
        }
    };
    let mut broker = TcpStream::connect(door).await?;
    broker.set_nodelay(true)?;
    broker.write_all(&head).await?;
    copy_bidirectional(&mut client, &mut broker).await.map(drop)
}

/// Which door a client needs.
#[derive(Debug, PartialEq, Eq)]
enum Door {
    Here(SocketAddr),
    /// It does not speak MQTT.
    None,
    /// More must be read.
    Unclear,
}

/// CONNECT is 0x10, the length in 1 to 4 bytes, the length of the name in 2, the name, the level.
fn door(head: &[u8], inner: Inner) -> Door {
    let Some((kind, rest)) = head.split_first() else { return Door::Unclear };
    if *kind != 0x10 {
        return Door::None;
    }
    let Some(last) = rest.iter().take(4).position(|byte| byte & 0x80 == 0) else {
        return if rest.len() < 4 { Door::Unclear } else { Door::None };
    };
    let name = rest.get(last + 1..).unwrap_or_default();
    let level = match name {
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] => *level,
        _ if b"\0\x04MQTT".starts_with(name) => return Door::Unclear,
        _ => return Door::None,
    };
    Door::Here(if level == 5 { inner.v5 } else { inner.v4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: Inner = Inner {
        v4: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4),
        v5: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5),
    };

    #[test]
    fn the_level_of_the_first_packet_chooses_the_door_however_it_is_cut() {
        for (length, level, address) in [
            (&[20_u8][..], 5, INNER.v5),
            (&[0x94, 0x01], 5, INNER.v5),
            (&[20], 4, INNER.v4),
            (&[0x80, 0x80, 0x80, 0x01], 4, INNER.v4),
        ] {
            let packet = [&[0x10], length, b"\0\x04MQTT", &[level]].concat();
            assert!(packet.len() <= HEAD_MAX);
            for cut in 0..packet.len() {
                assert_eq!(door(&packet[..cut], INNER), Door::Unclear, "{cut}");
            }
            assert_eq!(door(&packet, INNER), Door::Here(address));
        }
    }

    #[test]
    fn who_speaks_otherwise_is_sent_away() {
        assert_eq!(door(b"GET / HTTP/1.1", INNER), Door::None);
        assert_eq!(door(b"\x10\xff\xff\xff\xff", INNER), Door::None);
        assert_eq!(door(b"\x10\x14\0\x04NOPE", INNER), Door::None);
    }
}
