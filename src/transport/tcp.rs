//! Printers on the network, port 9100 (escpos §3.4): most serve one connection. Whoever owns it asks the printer's side for a sign of life
//! while nothing is said: a printer that lost its power never hangs up.

use rustix::net::sockopt;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a line may be silent before the printer's side is asked for a sign of life.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);
/// The pause between two such questions.
const KEEP_ALIVE_GAP: Duration = Duration::from_secs(5);
/// How many of them may stay without an answer: a dead line is known after half a minute.
const KEEP_ALIVE_TRIES: u32 = 3;

/// Connects to a printer. Small questions go out at once.
pub async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE_GAP)?;
    sockopt::set_tcp_keepcnt(&stream, KEEP_ALIVE_TRIES)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Where the kernel shows its connections.
const CONNECTIONS: &str = "/proc/net/tcp";

/// Whether the printer's side has not acknowledged all that was sent: a printer without power takes bytes into our own buffers only.
pub fn is_owed(stream: &TcpStream) -> bool {
    let ends = (stream.local_addr(), stream.peer_addr());
    let (Ok(SocketAddr::V4(ours)), Ok(SocketAddr::V4(theirs))) = ends else { return false };
    owed(Path::new(CONNECTIONS), ours, theirs).is_some_and(|bytes| bytes > 0)
}

/// Bytes of a connection that wait for an acknowledgement; none where the table does not know it.
fn owed(table: &Path, ours: SocketAddrV4, theirs: SocketAddrV4) -> Option<u64> {
    let text = std::fs::read_to_string(table).ok()?;
    let ends = [ours, theirs].map(|end| format!("{:08X}:{:04X}", u32::from_ne_bytes(end.ip().octets()), end.port()));
    // Number, our end, their end, state, then what waits to be sent and to be read.
    let row = text.lines().map(|line| line.split_whitespace().skip(1)).find(|row| {
        let mut row = row.clone();
        ends.iter().all(|end| row.next() == Some(end))
    });
    let (sent, _) = row?.nth(3)?.split_once(':')?;
    u64::from_str_radix(sent, 16).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_line_is_asked_for_a_sign_of_life() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = open("127.0.0.1", listener.local_addr().unwrap().port()).await.unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap() && stream.nodelay().unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEP_ALIVE_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&stream).unwrap(), KEEP_ALIVE_GAP);
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), KEEP_ALIVE_TRIES);
    }
}
